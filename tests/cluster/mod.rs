//! Several nodes as one server: real processes on a real Redis and a real PostgreSQL.

mod events;
pub(crate) mod nodes;
mod recovery;
mod refusals;
