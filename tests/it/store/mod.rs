//! What every store must do ([`conformance`]), and what each does in its own way.

pub(crate) mod conformance;
mod postgres;
mod spool;
mod sqlite;
