//! Checkpoints: who decides when, what is stored of them, and where.
