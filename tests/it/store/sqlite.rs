//! SQLite: the conformance suite, and what a file on a disk asks for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use wardbell::clock::ManualClock;
use wardbell::domain::{Event, Position, Timestamp};
use wardbell::ports::{Append, Appended, EventStore, HistoryQuery, Receipt, SessionChange, SessionStore, StoreError};
use wardbell::store::sqlite::{OpenError, Settings, SqliteStore};

use super::conformance::fixtures::{
    EventExt as _, START, alert, append, at, commit, event, everything_before, patient, position, publish,
};
use super::conformance::{self, Fresh};

async fn fresh() -> Fresh {
    let home = TempDir::new().unwrap();
    let clock = ManualClock::starting_at(START);
    let settings = Settings::at(home.path().join("wardbell.db"));
    let store = SqliteStore::open(settings, Arc::new(clock.clone())).unwrap();
    Fresh {
        store: Arc::new(store),
        clock,
        _home: Box::new(home),
    }
}

conformance::suite!(fresh);

fn open_with(settings: Settings) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(settings, Arc::new(ManualClock::starting_at(START)))
}

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    open_with(Settings::at(path))
}

/// A folder, and where its database is.
fn home() -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let path = home.path().join("wardbell.db");
    (home, path)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// What the disk holds at this moment, as a power cut or `kill -9` would leave it.
fn as_killed_now(path: &Path) -> (TempDir, PathBuf) {
    let (home, copy) = home();
    fs::copy(path, &copy).unwrap();
    fs::copy(beside(path, "-wal"), beside(&copy, "-wal")).unwrap();
    (home, copy)
}

/// Bytes of a frame of the write-ahead log: a header and a page.
const FRAME: usize = 24 + 4_096;

/// How far the write-ahead log is written, in bytes: up to the last frame with the header's salt (file format §4.1).
fn logged(path: &Path) -> u64 {
    let log = fs::read(beside(path, "-wal")).unwrap();
    let (header, frames) = log.split_at(32);
    let is_of_this_log = |frame: &&[u8]| frame[8..16] == header[16..24];
    if header == [0; 32] {
        return 0; // laid out, and nothing written yet
    }
    let frames = frames.chunks_exact(FRAME).take_while(is_of_this_log).count();
    (32 + frames * FRAME) as u64
}

async fn unpublished(store: &SqliteStore) -> Vec<Event> {
    store
        .unpublished(100_000)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, event)| event)
        .collect()
}

// ---------------------------------------------------------------- one writer

#[tokio::test]
async fn two_hundred_concurrent_requests_share_a_handful_of_transactions() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let before = store.transactions();

    let commits = join_all((0..200).map(|_| store.commit(vec![append([alert("P1")])])));
    let saves = join_all((0..50).map(|_| store.save(vec![SessionChange::Forget { pid: "gone".to_owned() }])));
    let checks = join_all((0..50).map(|_| store.check()));
    let (commits, saves, checks) = tokio::join!(commits, saves, checks);

    assert!(
        commits
            .iter()
            .all(|outcome| matches!(outcome.as_deref(), Ok([Appended::Committed(_)])))
    );
    assert!(saves.iter().chain(&checks).all(Result::is_ok));
    let transactions = store.transactions() - before;
    assert!((1..=10).contains(&transactions), "{transactions} transactions");
}

#[tokio::test]
async fn publishing_costs_no_transaction_of_its_own() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let before = store.transactions();

    for _ in 0..20 {
        publish(&store, [alert("P1")]).await;
        let last = store.last_position().await.unwrap();
        store
            .published_in(&["patient_P1".into()], Position::START, last, 100)
            .await
            .unwrap();
    }

    // One more, should the machine be so slow that there was time in between to write down the last publication.
    let transactions = store.transactions() - before;
    assert!((20..=21).contains(&transactions), "{transactions} transactions");
}

#[tokio::test]
async fn what_was_put_off_is_written_down_when_there_is_time() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let alert = alert("P1");
    publish(&store, [alert.clone()]).await;
    store
        .add_receipts(vec![Receipt {
            event_id: alert.id,
            delivered: 3,
            recovered: 0,
        }])
        .await
        .unwrap();
    let before = store.transactions();

    let written = async {
        while store.transactions() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.unwrap();

    let (_copied, copy) = as_killed_now(&path);
    let after = open(&copy).unwrap();
    assert!(unpublished(&after).await.is_empty());
    assert_eq!(after.alert(alert.id).await.unwrap().unwrap().delivered, 3);
}

#[tokio::test]
async fn nothing_can_be_asked_of_a_closed_store() {
    let (_home, path) = home();
    let store = open(&path).unwrap();

    store.close().await;
    store.close().await;

    assert!(matches!(
        store.commit(vec![Append::default()]).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(store.unpublished(1).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
}

// ---------------------------------------------------------------- crash and return

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_that_was_answered() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let mut answered = Vec::new();

    for _ in 0..20 {
        let alert = alert("P1");
        let last = commit(&store, append([alert.clone()])).await[0];
        answered.push(alert);

        let (_copied, copy) = as_killed_now(&path);
        let after = open(&copy).unwrap();
        assert_eq!(unpublished(&after).await, answered);
        assert!(commit(&after, append([event(&["a"])])).await[0] > last);
    }
}

#[tokio::test]
async fn what_was_published_shortly_before_a_kill_is_published_again_rather_than_never() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let (first, second) = (alert("P1"), alert("P1"));
    publish(&store, [first.clone()]).await;
    publish(&store, [second.clone()]).await; // writes down, with its commit, that the first was published

    let (_copied, copy) = as_killed_now(&path);

    let after = open(&copy).unwrap();
    let left = unpublished(&after).await;
    assert!(left.iter().all(|event| event.id == second.id), "{left:?}");
    assert_eq!(
        after.position_of(first.id).await.unwrap(),
        store.position_of(first.id).await.unwrap()
    );
}

#[tokio::test]
async fn the_log_is_laid_out_at_the_start_and_used_again_when_it_is_full() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let length = |path: &Path| fs::metadata(beside(path, "-wal")).unwrap().len();
    let laid_out = length(&path);
    assert!(laid_out > 8 << 20, "{laid_out} bytes");

    let mut written = 0;
    let (mut before, mut kept) = (0, Vec::new());
    while written < 3 * laid_out {
        let alert = alert("P1");
        commit(&store, append([alert.clone()])).await;
        store.check().await.unwrap();
        kept.push(alert);
        let now = logged(&path);
        written += now.checked_sub(before).unwrap_or(now);
        before = now;
    }

    assert!(length(&path) < 2 * laid_out + (1 << 20), "{} bytes", length(&path));
    store.close().await;
    drop(store);
    assert_eq!(unpublished(&open(&path).unwrap()).await, kept);
}

#[tokio::test]
async fn a_write_that_was_cut_off_is_as_if_it_had_not_begun() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let (first, second) = (alert("P1"), alert("P1"));
    commit(&store, append([first.clone()])).await;
    let before_second = logged(&path);
    commit(&store, append([second])).await;

    let (_copied, copy) = as_killed_now(&path);
    let log = fs::OpenOptions::new().write(true).open(beside(&copy, "-wal")).unwrap();
    log.set_len(before_second + 5_000).unwrap();

    assert_eq!(unpublished(&open(&copy).unwrap()).await, [first]);
}

#[tokio::test]
async fn a_closed_store_is_one_file_and_knows_everything_when_it_is_opened_again() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let swept = publish(&store, [event(&["a"])]).await;
    let kept = publish(&store, [alert("P1").raised(at(5))]).await;
    store.sweep(everything_before(at(1))).await.unwrap();

    store.close().await;
    assert!(!beside(&path, "-wal").exists());
    drop(store);

    let store = open(&path).unwrap();
    assert_eq!(store.horizon().await.unwrap(), position(swept[0]));
    assert_eq!(store.last_position().await.unwrap(), position(kept[0]));
    assert!(unpublished(&store).await.is_empty());
    assert!(commit(&store, append([event(&["a"])])).await[0] > kept[0]);
}

#[tokio::test]
async fn sequence_numbers_go_on_when_everything_was_swept_before_the_restart() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let swept = publish(&store, [event(&["a"]), event(&["a"])]).await;
    store.sweep(everything_before(at(1))).await.unwrap();
    drop(store);

    let store = open(&path).unwrap();

    assert!(commit(&store, append([event(&["a"])])).await[0] > swept[1]);
}

#[tokio::test]
async fn dropping_a_store_writes_down_what_was_put_off() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    publish(&store, [alert("P1")]).await;

    drop(store);

    assert!(unpublished(&open(&path).unwrap()).await.is_empty());
}

// ---------------------------------------------------------------- a disk that refuses

#[tokio::test]
async fn a_full_disk_refuses_whole_batches_keeps_what_it_has_and_is_used_again_when_there_is_space() {
    let (_home, path) = home();
    let store = open_with(Settings {
        max_bytes: Some(1 << 20),
        ..Settings::at(&path)
    })
    .unwrap();
    let large = |raised_at: Timestamp| {
        let payload = format!(r#"{{"message":"{}"}}"#, "x".repeat(20_000));
        Event {
            payload: wardbell::domain::Payload::from_json(payload),
            ..alert("P1").raised(raised_at)
        }
    };
    let mut kept = Vec::new();
    let refused = loop {
        let batch = [large(START), large(START)];
        match store
            .commit(vec![append([batch[0].clone()]), append([batch[1].clone()])])
            .await
        {
            Ok(outcomes) => {
                for outcome in outcomes {
                    let Appended::Committed(sequences) = outcome else {
                        panic!("{outcome:?}")
                    };
                    kept.push((sequences[0], position(sequences[0])));
                }
            }
            Err(error) => break error,
        }
        assert!(kept.len() < 100, "never full");
    };
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");

    let query = HistoryQuery {
        patient_id: Some(patient("P1")),
        limit: 1_000,
        ..HistoryQuery::default()
    };
    assert_eq!(store.history(&query).await.unwrap().alerts.len(), kept.len());
    assert!(
        store
            .commit(vec![append([large(START)]), append([large(START)])])
            .await
            .is_err()
    );
    let last = kept.last().unwrap().0;
    store.mark_published(kept, START).await.unwrap();
    store.sweep(everything_before(at(1))).await.unwrap();

    let after = commit(&store, append([large(at(2)), large(at(2))])).await;
    assert_eq!(after, [last + 1, last + 2]);
    assert_eq!(store.history(&query).await.unwrap().alerts.len(), 2);
}

#[tokio::test]
async fn every_check_writes_to_the_disk() {
    let (_home, path) = home();
    let store = open(&path).unwrap();

    for _ in 0..3 {
        let before = logged(&path);
        store.check().await.unwrap();
        assert!(logged(&path) > before + 32_768);
    }
}

#[tokio::test]
async fn nothing_is_accepted_while_the_file_is_not_at_its_place() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    let (before, after) = (alert("P1"), alert("P1"));
    commit(&store, append([before.clone()])).await;

    fs::rename(&path, beside(&path, ".moved")).unwrap();
    assert!(matches!(
        store.commit(vec![append([alert("P1")])]).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    fs::write(&path, "another file").unwrap();
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    fs::rename(beside(&path, ".moved"), &path).unwrap();

    store.check().await.unwrap();
    commit(&store, append([after.clone()])).await;
    assert_eq!(unpublished(&store).await, [before, after]);
}

// ---------------------------------------------------------------- opening

#[tokio::test]
async fn the_folder_is_created_and_the_files_are_for_the_owner_only() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("a/b/wardbell.db");

    let store = open(&path).unwrap();
    commit(&store, append([alert("P1")])).await;

    for ending in ["", "-wal", "-shm", ".lock"] {
        let mode = fs::metadata(beside(&path, ending)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{ending:?}");
    }
    assert_eq!(
        fs::metadata(home.path().join("a/b")).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn a_database_that_others_could_read_is_closed_to_them() {
    let (_home, path) = home();
    drop(open(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let _store = open(&path).unwrap();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_database_in_use_is_refused_until_it_is_not() {
    let (_home, path) = home();
    let first = open(&path).unwrap();

    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    commit(&first, append([alert("P1")])).await;
    drop(first);

    assert_eq!(unpublished(&open(&path).unwrap()).await.len(), 1);
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_begun_again() {
    let (_home, path) = home();
    fs::write(beside(&path, ".new"), "half a database").unwrap();
    fs::write(beside(&path, ".new-journal"), "half a journal").unwrap();

    let store = open(&path).unwrap();

    commit(&store, append([alert("P1")])).await;
    assert!(!beside(&path, ".new").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_named() {
    let (_home, path) = home();
    fs::write(&path, "a file").unwrap();

    for path in [
        path.join("wardbell.db"),
        PathBuf::from("/proc/wardbell/wardbell.db"),
        PathBuf::from("/proc/wardbell.db"),
    ] {
        let refused = open(&path).unwrap_err();
        assert!(matches!(refused, OpenError::File { .. }), "{refused:?}");
        assert!(
            refused.to_string().contains(path.parent().unwrap().to_str().unwrap()),
            "{refused}"
        );
    }
}

/// Expects that the file is refused, that the message names it, and that it is left as it is.
fn refused(path: &Path) -> OpenError {
    let before = fs::read(path).unwrap();

    let refused = open(path).unwrap_err();

    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    assert!(fs::read(path).unwrap() == before, "{refused}: but the file was changed");
    refused
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let garbage: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for content in [&b"x"[..], b"SQLite format 3", &garbage, &[0; 8_192]] {
        let (_home, path) = home();
        fs::write(&path, content).unwrap();

        let refused = refused(&path);

        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
    }
    let (home, _) = home();
    assert!(matches!(open(home.path()), Err(OpenError::Foreign { .. })));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let (_home, path) = home();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE events (theirs); INSERT INTO events VALUES (1)")
        .unwrap();
    other.close().unwrap();

    let refused = refused(&path);

    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (_home, path) = home();
    drop(open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 1_000).unwrap();
    newer.close().unwrap();

    let refused = refused(&path);

    assert!(matches!(refused, OpenError::Newer { found: 1_000, .. }), "{refused:?}");
}

/// A closed database with a few hundred alerts.
async fn filled() -> (TempDir, PathBuf) {
    let (home, path) = home();
    let store = open(&path).unwrap();
    publish(&store, (0..300).map(|n| alert(&format!("P{n}")))).await;
    store.close().await;
    (home, path)
}

#[tokio::test]
async fn a_truncated_database_is_refused_and_left_alone() {
    for cut_to in [0, 100, 4_095, 4_096, 5_000, 20_000, 40_960] {
        let (_home, path) = filled().await;
        assert!(fs::metadata(&path).unwrap().len() > 60_000);
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(cut_to)
            .unwrap();

        let refused = refused(&path);

        assert!(matches!(refused, OpenError::Damaged { .. }), "{cut_to}: {refused:?}");
    }
}

#[tokio::test]
async fn a_database_that_lacks_only_its_last_page_is_refused() {
    let (_home, path) = filled().await;
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 4_096)
        .unwrap();

    assert!(matches!(refused(&path), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_database_with_an_overwritten_page_is_refused_and_left_alone() {
    let (_home, path) = filled().await;
    let mut content = fs::read(&path).unwrap();
    let pages = content.len() / 4_096;
    for page in 3..pages {
        content[page * 4_096..page * 4_096 + 200].fill(0xAB);
    }
    fs::write(&path, content).unwrap();

    assert!(matches!(refused(&path), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_database_that_is_gone_while_its_log_is_there_is_not_begun_anew() {
    let (_home, path) = home();
    let store = open(&path).unwrap();
    commit(&store, append([alert("P1")])).await;
    let (_copied, copy) = as_killed_now(&path);
    fs::remove_file(&copy).unwrap();
    let log = fs::read(beside(&copy, "-wal")).unwrap();

    let refused = open(&copy).unwrap_err();

    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert!(!copy.exists());
    assert_eq!(fs::read(beside(&copy, "-wal")).unwrap(), log);
}
