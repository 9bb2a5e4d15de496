//! The state crate through its public face.

mod basics;
