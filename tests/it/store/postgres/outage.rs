//! A server that is killed, hangs and comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use wardbell::domain::{EventId, Position};
use wardbell::ports::{Appended, EventStore, StoreError};

use super::super::conformance::fixtures::*;
use super::node_at;
use crate::support::eventually;
use crate::support::postgres::Postgres;

/// A server of the test's own and a database on it.
pub(super) async fn server() -> (Arc<Postgres>, String) {
    tokio::task::spawn_blocking(|| {
        let server = Arc::new(Postgres::start());
        let url = server.database();
        (server, url)
    })
    .await
    .unwrap()
}

/// How often each event is in the log.
async fn counts(store: &impl EventStore) -> BTreeMap<EventId, u32> {
    let (mut after, mut counts) = (Position::START, BTreeMap::new());
    loop {
        let page = eventually("the log can be read", async || {
            store.published_after(after, 5_000).await.ok()
        })
        .await;
        let Some(last) = page.last() else { return counts };
        after = last.position;
        for one in page {
            *counts.entry(one.event.id).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_nodes_commit_has_every_acknowledged_event_once() {
    const ROUNDS: usize = 4;
    let (server, url) = server().await;
    let nodes = join_all((0..2).map(|_| node_at(&url))).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let posting = nodes.iter().cloned().map(|node| {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let (mut kept, mut refused, mut uncertain) = (Vec::new(), Vec::new(), 0);
            while !is_over.load(Ordering::SeqCst) {
                let batch: Vec<_> = (0..3).map(|_| append([event(&["a"])])).collect();
                let ids = batch.iter().map(|append| append.events[0].id);
                match node.commit(batch.clone()).await {
                    Ok(outcomes) => {
                        assert!(outcomes.iter().all(|outcome| matches!(outcome, Appended::Committed(_))));
                        kept.extend(ids);
                    }
                    Err(StoreError::Unavailable(_)) => {
                        refused.extend(ids);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(StoreError::Uncertain(_)) => uncertain += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            (kept, refused, uncertain)
        })
    });
    let posting: Vec<_> = posting.collect();

    for _ in 0..ROUNDS {
        let before = eventually("posts go through", async || nodes[0].last_position().await.ok())
            .await
            .major;
        eventually("posts go through", async || {
            nodes[0]
                .last_position()
                .await
                .ok()
                .filter(|last| last.major > before + 200)
        })
        .await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart();
        })
        .await
        .unwrap();
    }
    eventually("the store is back", async || nodes[1].check().await.ok()).await;
    is_over.store(true, Ordering::SeqCst);
    let outcomes = join_all(posting).await;

    let counts = counts(&nodes[0]).await;
    let (mut acknowledged, mut uncertain) = (0, 0);
    for outcome in outcomes {
        let (kept, refused, unknown) = outcome.unwrap();
        acknowledged += kept.len();
        uncertain += unknown;
        for id in kept {
            assert_eq!(counts.get(&id), Some(&1), "an acknowledged event is there once");
        }
        for id in refused {
            assert_eq!(counts.get(&id), None, "a refused event is not there");
        }
    }
    eprintln!("{ROUNDS} kills: {acknowledged} acknowledged, 0 missing, 0 doubled, {uncertain} batches uncertain");
    assert!(acknowledged > ROUNDS * 200);
    assert!(counts.len() <= acknowledged + 3 * uncertain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_not_waited_for_and_is_found_again() {
    let (server, url) = server().await;
    let node = node_at(&url).await;
    commit(&node, append([event(&["a"])])).await;

    server.freeze();
    let begun = Instant::now();
    let (refused, read) = tokio::join!(node.commit(vec![append([event(&["a"])])]), node.last_position());
    let first = begun.elapsed();
    let begun = Instant::now();
    for _ in 0..20 {
        assert!(node.commit(vec![append([event(&["a"])])]).await.is_err());
        assert!(node.check().await.is_err());
    }
    let afterwards = begun.elapsed();
    server.thaw();

    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(read.is_err());
    // The bound is the contract's, not a measure of speed.
    assert!(first < Duration::from_secs(5), "{first:?}");
    assert!(afterwards < Duration::from_secs(5), "{afterwards:?}");
    eventually("the store is back", async || node.check().await.ok()).await;
    commit(&node, append([event(&["a"])])).await;
    assert_eq!(counts(&node).await.len(), 2, "what was refused was never kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_the_server_is_gone_works_when_it_is_there() {
    let (server, url) = server().await;
    server.kill();

    let node = node_at(&url).await;
    assert!(node.check().await.is_err());
    let restarting = Arc::clone(&server);
    tokio::task::spawn_blocking(move || restarting.restart()).await.unwrap();

    eventually("the store is there", async || node.check().await.ok()).await;
    commit(&node, append([event(&["a"])])).await;
}
