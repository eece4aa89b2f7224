//! Whether a node can be sent work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::lock;

/// Whether this node can be sent work. Clones are the same readiness.
///
/// A node begins as not ready, is ready from [`started`](Self::started) on while no part is down, and is never again once
/// it is stopping.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stop: Option<CancellationToken>,
    down: BTreeMap<&'static str, String>,
}

impl State {
    fn phase(&self) -> Phase {
        match &self.stop {
            None => Phase::Starting,
            Some(stop) if stop.is_cancelled() => Phase::Stopping,
            Some(_) => Phase::Serving,
        }
    }
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not yet listening.
    Starting,
    /// Listening.
    Serving,
    /// Ending; takes no new work.
    Stopping,
}

impl Phase {
    /// `starting`, `serving` or `stopping`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Stopping => "stopping",
        }
    }
}

impl Readiness {
    /// The node listens and its parts are up, until `stop` is cancelled (the shutdown's soft token).
    pub fn started(&self, stop: &CancellationToken) {
        lock(&self.0).stop = Some(stop.clone());
    }

    /// A part cannot do its work, and why, in words that anybody may read.
    pub fn down(&self, part: &'static str, why: impl Into<String>) {
        lock(&self.0).down.insert(part, why.into());
    }

    /// A part works again.
    pub fn up(&self, part: &'static str) {
        lock(&self.0).down.remove(part);
    }

    /// Where the node is in its life.
    pub fn phase(&self) -> Phase {
        lock(&self.0).phase()
    }

    /// Serving, with no part down.
    pub fn is_ready(&self) -> bool {
        let state = lock(&self.0);
        state.phase() == Phase::Serving && state.down.is_empty()
    }

    /// The parts that are down, and why.
    pub fn parts_down(&self) -> BTreeMap<&'static str, String> {
        lock(&self.0).down.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_between_its_start_and_its_end() {
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());

        let starting = (readiness.phase(), readiness.is_ready());
        readiness.started(&stop);
        let serving = (readiness.phase(), readiness.is_ready());
        stop.cancel();
        let stopping = (readiness.phase(), readiness.is_ready());

        assert_eq!(starting, (Phase::Starting, false));
        assert_eq!(serving, (Phase::Serving, true));
        assert_eq!(stopping, (Phase::Stopping, false));
    }

    #[test]
    fn a_node_with_a_part_down_is_not_ready_until_it_is_up_again() {
        let readiness = Readiness::default();
        readiness.started(&CancellationToken::new());

        readiness.down("store", "the disk is full");
        assert!(!readiness.is_ready());
        assert_eq!(
            readiness.parts_down().get("store").map(String::as_str),
            Some("the disk is full")
        );
        readiness.up("store");

        assert!(readiness.is_ready());
    }
}
