//! The derive macros of `tidemill-serialization`.
