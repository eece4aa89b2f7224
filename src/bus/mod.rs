//! The buses: in this process, or over Redis.

mod ahead;
pub mod copies;

pub mod local;
pub mod redis;
