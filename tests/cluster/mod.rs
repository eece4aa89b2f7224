//! Several nodes as one server: real processes on a real Redis and a real PostgreSQL.

mod acl;
mod behind_nginx;
mod crowd;
mod ehr;
mod events;
mod nginx;
pub(crate) mod nodes;
mod recovery;
mod refusals;
mod workers;
