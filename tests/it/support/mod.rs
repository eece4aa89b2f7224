//! What tests are written with: servers, the people who use them, and clients that do as they are told.
//!
//! Nothing here sleeps to synchronise. Waiting is for an event, with a deadline; that nothing came is proved by a marker
//! that takes the same way ([`TestServer::assert_silent`]).

pub(crate) mod certificates;
pub(crate) mod people;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod rest;
pub(crate) mod server;
pub(crate) mod socket;

use std::time::Duration;

pub(crate) use people::{Person, admin, doctor, nurse, patient, service, staff};
pub(crate) use process::ServerProcess;
pub(crate) use rest::{Answer, Rest};
pub(crate) use server::TestServer;
pub(crate) use socket::{Client, Packet, Transport, Visitor};

/// How long anything may take that is expected to happen. Long, because two busy cores are slow; no test passes by waiting
/// for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for `what`, which must happen before the [`DEADLINE`].
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let output = tokio::time::timeout(DEADLINE, future).await;
    output.unwrap_or_else(|_elapsed| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks again and again, every few milliseconds, until there is an answer: for what another process or the server's own
/// bookkeeping will show, and nobody announces.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
