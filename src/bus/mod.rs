//! The buses: in this process, or over Redis.

pub mod local;
