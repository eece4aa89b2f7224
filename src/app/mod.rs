//! The composition root.

mod origin;
mod serve;
