//! The buses: in this process, or over Redis; and the bridges, over which workers' events come in.

mod ahead;
pub mod copies;

pub mod bridges;
pub mod local;
pub mod redis;
