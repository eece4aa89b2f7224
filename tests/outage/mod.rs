//! Cut networks, killed servers, frozen clients and full disks, with real processes.
//!
//! Needs root, for network namespaces and mounts: `make outage`. Each test that counts alerts adds its rows to
//! `target/outage.md`, which `make outage` shows at its end. With `WARDBELL_SOAK` set the long ones run as well (`make soak`).

mod clients;
mod crash;
mod disk;
mod flow;
mod link;
mod network;
mod report;

/// Whether the outages that take minutes shall run.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("WARDBELL_SOAK").is_some()
}
