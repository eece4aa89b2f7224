//! wardbell: the realtime alert server for hospitals.
//!
//! Backends POST what happened; clinicians' browsers, in Socket.IO rooms, are told within milliseconds; what was answered
//! with a 2xx is never lost.
//!
//! Who may import whom (`tests/architecture.rs` holds the code to it):
//!
//! ```text
//! domain, clock ← telemetry ← ports ← emitter ← service ← the edges (store, bus, auth, socket, api, ehr) ← app ← main, cli
//! ```
//!
//! An edge never imports another edge, and `store` and `bus` stop at `ports`. `config` is read by `app` and `cli` alone: they
//! hand every part the settings it needs, in that part's own types.

pub mod api;
pub mod app;
pub mod auth;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod ehr;
pub mod emitter;
pub mod ports;
pub mod service;
pub mod shutdown;
pub mod socket;
pub mod store;
pub mod telemetry;
