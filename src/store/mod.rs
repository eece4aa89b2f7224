//! Where events and the state behind the REST reads are kept.
//!
//! [`sqlite`], inside the binary, for one node; [`postgres`] for several, with a [`spool`] before it. Every store passes the conformance suite in `tests/it/store`.
//! Nothing here knows HTTP, sockets or who may read what.

pub mod postgres;
pub mod spool;
pub mod sqlite;
