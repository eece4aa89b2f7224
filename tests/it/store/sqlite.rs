//! SQLite: the conformance suite, and what a file on a disk asks for.

use std::sync::Arc;

use tempfile::TempDir;
use wardbell::clock::ManualClock;
use wardbell::store::sqlite::{Settings, SqliteStore};

use super::conformance::{self, Fresh, fixtures::START};

async fn fresh() -> Fresh {
    let home = TempDir::new().unwrap();
    let clock = ManualClock::starting_at(START);
    let store = SqliteStore::open(Settings::at(home.path().join("wardbell.db")), Arc::new(clock.clone())).unwrap();
    Fresh {
        store: Arc::new(store),
        clock,
        _home: Box::new(home),
    }
}

conformance::suite!(fresh);
