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
mod nodes;
mod report;
mod restore;

/// How long a part of several nodes stays away.
pub(crate) fn outage() -> std::time::Duration {
    std::time::Duration::from_secs(if is_soak() { 60 } else { 8 })
}

/// Whether the outages that take minutes shall run.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("WARDBELL_SOAK").is_some()
}
