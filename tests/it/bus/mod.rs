//! The bus of many nodes: real Redis servers, a real PostgreSQL, several nodes in this process.

mod bridges;
mod node;
mod order;
mod outages;
mod presence;
mod servers;
