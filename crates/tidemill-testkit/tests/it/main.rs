//! What the harnesses find, and that they find nothing where there is nothing.

mod checks;
mod operators;
mod scripts;
