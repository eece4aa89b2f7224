//! The composition root.

mod origin;
mod serve;
pub mod settings;
