//! The server from outside: real servers, real sockets, one binary so that it links once.
//!
//! What needs Node and Python clients (`interop`) or root (`outage`) is ignored by a plain `cargo test`; `make test` installs what
//! is needed and runs everything.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and so may the functions that only tests call"
)]
#![expect(clippy::print_stderr, reason = "a failing test says what the other side wrote")]

mod api;
mod auth;
mod bus;
mod capacity;
mod cli;
mod crash;
mod ehr;
mod limiter;
mod origin;
mod shutdown;
mod sockets;
mod store;
mod support;
mod wire;

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../interop/mod.rs"]
mod interop;
#[path = "../outage/mod.rs"]
mod outage;
