//! Several nodes on one database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use wardbell::clock::ManualClock;
use wardbell::domain::bed::BedStatus;
use wardbell::domain::{EventId, Position};
use wardbell::ports::{
    Append, Appended, EventStore, SessionChange, SessionStore, StateChange, StateStore, Store, StoreError,
};
use wardbell::store::postgres::{Absorb, Nodes, OpenError, PostgresStore, SchemaError, Settings};

use super::super::conformance::fixtures::*;
use super::super::conformance::sessions::session;
use super::{database, name, node_at};
use crate::support::postgres::Postgres;

/// Everything in the log, read on from the last position that was seen, as a node reads it.
async fn read_on(store: &PostgresStore, after: &mut Position) -> Vec<EventId> {
    let page = store.published_after(*after, 10_000).await.unwrap();
    if let Some(last) = page.last() {
        *after = last.position;
    }
    page.into_iter().map(|one| one.event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_that_start_at_once_on_an_empty_database_migrate_it_once() {
    let url = database().await;

    let nodes = join_all((0..3).map(|_| node_at(&url))).await;

    for node in &nodes {
        node.check().await.unwrap();
    }
    let applied = Postgres::shared().sql(name(&url), "SELECT count(*), max(number) FROM wardbell_migrations");
    assert_eq!(applied, "2|2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let url = database().await;
    node_at(&url).await.close().await;
    let sql = "INSERT INTO wardbell_migrations (number, sha256) VALUES (3, '\\x00')";
    Postgres::shared().sql(name(&url), sql);

    let refused = PostgresStore::open(Settings::at(&url), Arc::new(ManualClock::starting_at(START))).await;

    assert!(
        matches!(
            refused,
            Err(OpenError::Schema(SchemaError::Newer { found: 3, known: 2 }))
        ),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_bus_to_others_works_on_a_database_alone() {
    let url = database().await;
    let open = async |nodes| {
        let settings = Settings {
            nodes,
            ..Settings::at(&url)
        };
        PostgresStore::open(settings, Arc::new(ManualClock::starting_at(START))).await
    };
    let is_refused = |opened: Result<PostgresStore, _>| matches!(opened, Err(OpenError::Schema(SchemaError::NotAlone)));

    let alone = open(Nodes::One).await.unwrap();
    assert!(is_refused(open(Nodes::One).await));
    assert!(is_refused(open(Nodes::Many).await));
    alone.close().await;
    let several = (open(Nodes::Many).await.unwrap(), open(Nodes::Many).await.unwrap());
    assert!(is_refused(open(Nodes::One).await));
    several.0.check().await.unwrap();
    several.1.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequence_numbers_have_no_holes_and_readers_miss_nothing_while_nodes_commit_at_the_same_time() {
    const NODES: usize = 3;
    const BATCHES: usize = 40;
    let url = database().await;
    let nodes = join_all((0..NODES).map(|_| node_at(&url))).await;
    let reader = node_at(&url).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn({
        let (reader, is_over) = (reader.clone(), Arc::clone(&is_over));
        async move {
            let (mut after, mut seen) = (Position::START, Vec::new());
            loop {
                let was_over = is_over.load(Ordering::SeqCst);
                seen.extend(read_on(&reader, &mut after).await);
                if was_over {
                    return seen;
                }
            }
        }
    });

    let committed = join_all(nodes.iter().map(|node| async move {
        let mut committed = Vec::new();
        for size in 0..BATCHES {
            let batch: Vec<Append> = (0..=size % 5).map(|_| append([event(&["a"]), alert("P1")])).collect();
            for outcome in node.commit(batch.clone()).await.unwrap() {
                let Appended::Committed(sequences) = outcome else {
                    panic!("{outcome:?}")
                };
                committed.extend(sequences);
            }
        }
        committed
    }))
    .await;
    is_over.store(true, Ordering::SeqCst);
    let seen = reading.await.unwrap();

    let numbers: BTreeSet<u64> = committed.iter().flatten().copied().collect();
    let count = committed.iter().map(Vec::len).sum::<usize>();
    assert_eq!(numbers.len(), count);
    assert_eq!(
        numbers.last().copied(),
        Some(count as u64),
        "numbers are given without holes"
    );
    assert!(committed.iter().all(|node| node.is_sorted()));
    let mut after = Position::START;
    assert_eq!(
        seen,
        read_on(&reader, &mut after).await,
        "each event once, in the one order"
    );
    assert_eq!(seen.len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_in_the_middle_of_a_commit_is_passed_and_nobody_skips_an_event() {
    let url = database().await;
    let node = node_at(&url).await;
    let mut after = Position::START;
    let first = event(&["a"]);
    commit(&node, append([first.clone()])).await;
    assert_eq!(read_on(&node, &mut after).await, [first.id]);
    // Another node has its number and does not commit: what psql does here is what a node does that was stopped there.
    let mut other = std::process::Command::new("psql")
        .args(["-X", "-q", "-d"])
        .arg(format!("{url}?options=-c%20idle_in_transaction_session_timeout%3D1000"))
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = other.stdin.take().unwrap();
    std::io::Write::write_all(
        &mut input,
        b"BEGIN; UPDATE numbering SET last = last + 1;\n\\! touch /dev/null\n",
    )
    .unwrap();
    let server = Postgres::shared();
    let waits = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'idle in transaction'",
        name(&url)
    );
    while server.sql("postgres", &waits) != "1" {}

    let second = event(&["a"]);
    let sequences = commit(&node, append([second.clone()])).await;

    assert_eq!(sequences, [2], "the number of the other was not used up");
    assert_eq!(read_on(&node, &mut after).await, [second.id]);
    drop(input);
    other.wait().unwrap();
    assert_eq!(read_on(&node, &mut after).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_on_two_nodes_at_once_has_its_effect_once() {
    let url = database().await;
    let nodes = join_all((0..3).map(|_| node_at(&url))).await;

    for round in 0..20 {
        let key = format!("key-{round}");
        let outcomes = join_all(nodes.iter().enumerate().map(|(index, node)| {
            let asking = Append {
                once: Some(once(&key, 1, &format!("node {index}"))),
                ..append([event(&["a"])])
            };
            // Another key beside it, in the opposite order on every second node: they must not wait for each other.
            let other = Append {
                once: Some(once(&format!("other-{round}-{}", index % 2), 1, "{}")),
                ..Append::default()
            };
            let batch = if index % 2 == 0 {
                vec![asking, other]
            } else {
                vec![other, asking]
            };
            async move { node.commit(batch).await.unwrap() }
        }))
        .await;

        let committed = outcomes
            .iter()
            .flatten()
            .filter(|outcome| matches!(outcome, Appended::Committed(events) if !events.is_empty()));
        assert_eq!(committed.count(), 1, "{outcomes:?}");
        let (_, kept) = nodes[0].outcome_of("caller POST /api", &key).await.unwrap().unwrap();
        for outcome in outcomes.iter().flatten() {
            match outcome {
                Appended::Repeated(answer) => assert!(*answer == kept || answer == "{}"),
                Appended::Committed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(nodes[0].last_position().await.unwrap(), position(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beds_and_cases_that_two_nodes_change_at_once_are_kept_by_one_of_them() {
    let url = database().await;
    let (one, other) = (node_at(&url).await, node_at(&url).await);

    for round in 0..20 {
        let change = |id: &str| {
            let new_case = StateChange::Triage {
                case: case(&format!("T{round}")),
                expected: None,
            };
            let bed = StateChange::Bed {
                bed: bed("H1", id, None, BedStatus::Occupied),
                expected: round,
                raised: Vec::new(),
            };
            vec![changing([bed]), changing([new_case]), append([event(&["a"])])]
        };
        let (first, second) = tokio::join!(one.commit(change("B1")), other.commit(change("B2")));

        let (first, second) = (first.unwrap(), second.unwrap());
        for index in 0..2 {
            let kept = [&first[index], &second[index]].map(|outcome| matches!(outcome, Appended::Committed(_)));
            assert!(kept[0] != kept[1], "round {round}: {first:?} {second:?}");
        }
        assert!(matches!(
            (&first[2], &second[2]),
            (Appended::Committed(_), Appended::Committed(_))
        ));
    }
    assert_eq!(one.bed_board(&hospital("H1")).await.unwrap().revision, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_of_several_nodes_at_once_remove_everything_once() {
    let url = database().await;
    let nodes = join_all((0..3).map(|_| node_at(&url))).await;
    for _ in 0..5 {
        commit(&nodes[0], append((0..1_000).map(|_| event(&["a", "b"])))).await;
    }

    let swept = join_all(nodes.iter().map(|node| node.sweep(everything_before(at(1))))).await;

    let swept: Vec<u64> = swept.into_iter().map(|swept| swept.unwrap().events).collect();
    assert_eq!(swept.iter().sum::<u64>(), 5_000, "{swept:?}");
    assert_eq!(nodes[1].horizon().await.unwrap(), position(5_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_postgresql_cannot_hold_comes_back_as_it_was() {
    let node = node_at(&database().await).await;
    let mut odd = event(&["room\0with\u{1}nul", "r"]);
    odd.name = "event\0name".to_owned().into();
    let nul = session("pid\0");

    commit(&node, append([odd.clone()])).await;
    node.save(vec![SessionChange::Open(nul.clone())]).await.unwrap();

    let found = node
        .published_in(&[room("room\0with\u{1}nul")], Position::START, position(9), 9)
        .await
        .unwrap();
    assert_eq!(*found[0].event, odd);
    assert_eq!(node.session("pid\0").await.unwrap(), Some(nul));
    let long = "x".repeat(100_000);
    commit(&node, append([event(&[&long])])).await;
    let found = node
        .published_in(&[room(&long)], Position::START, position(9), 9)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_spool_hands_over_is_kept_once_under_the_positions_it_was_published_at() {
    let url = database().await;
    let (one, other) = (node_at(&url).await, node_at(&url).await);
    commit(&one, append([event(&["a"])])).await;
    let (early, late) = (event(&["a"]), event(&["a"]));
    let between = Position { major: 1, minor: 1 };
    let spooled = |event: &wardbell::domain::Event, published| Absorb {
        append: append([event.clone()]),
        stored_at: at(5),
        published: vec![published],
    };
    commit(&one, append([event(&["a"])])).await;

    let batch = [spooled(&early, Some((between, at(6)))), spooled(&late, None)];
    let first = one.absorb(&batch).await.unwrap();
    let again = other.absorb(&batch).await.unwrap();

    assert_eq!(first, again);
    assert_eq!(one.position_of(early.id).await.unwrap(), Some(between));
    assert_eq!(one.position_of(late.id).await.unwrap(), Some(position(first[1][0])));
    assert_eq!(one.published_after(Position::START, 10).await.unwrap().len(), 4);
    // Another node's spool has used the same position while neither could ask: told again rather than lost.
    let clash = event(&["a"]);
    let clashing = other.absorb(&[spooled(&clash, Some((between, at(6))))]).await.unwrap();
    assert_eq!(
        other.position_of(clash.id).await.unwrap(),
        Some(position(clashing[0][0]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_spool_hands_over_to_a_restored_database_stands_before_what_comes_next() {
    let node = node_at(&database().await).await;
    commit(&node, append([event(&["a"])])).await;
    // Published behind number 7, of which the backup knows nothing.
    let spooled = event(&["a"]);
    let lost = Position { major: 7, minor: 3 };

    let absorbed = node
        .absorb(&[Absorb {
            append: append([spooled.clone()]),
            stored_at: at(5),
            published: vec![Some((lost, at(6)))],
        }])
        .await
        .unwrap();
    let next = event(&["a"]);
    commit(&node, append([next.clone()])).await;

    assert_eq!(absorbed, [[2]]);
    assert_eq!(node.position_of(spooled.id).await.unwrap(), Some(position(2)));
    assert_eq!(node.position_of(next.id).await.unwrap(), Some(position(3)));
    assert_eq!(node.last_position().await.unwrap(), position(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_makes_a_store_that_is_unavailable_and_not_an_error() {
    let clock = Arc::new(ManualClock::starting_at(START));

    let store = PostgresStore::open(Settings::at("postgres://u:hunter2@127.0.0.1:1/none"), clock)
        .await
        .unwrap();

    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(!format!("{error:?} {store:?}").contains("hunter2"));
    let _: &dyn Store = &store;
}
