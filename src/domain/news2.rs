//! NEWS2.
