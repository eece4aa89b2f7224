//! One order for all, nothing missing, nothing twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use wardbell::domain::EventId;
use wardbell::ports::{Append, Appended, Bus as _};

use super::node::{Node, ROOM, assert_one_order, database, settings};
use crate::store::conformance::fixtures;
use crate::support::eventually;
use crate::support::redis::Redis;

async fn three(redis: &Redis, database: &str) -> [Node; 3] {
    let url = redis.url();
    let nodes = [
        Node::start(&url, database).await,
        Node::start(&url, database).await,
        Node::start(&url, database).await,
    ];
    for node in &nodes {
        node.until_connected().await;
    }
    nodes
}

/// So many events from as many tasks as there are nodes, all at once.
async fn emit_everywhere(nodes: &[Node], each: usize) -> Vec<EventId> {
    let mut emitting = JoinSet::new();
    for node in nodes {
        for _ in 0..4 {
            let emitter = node.emitter();
            emitting.spawn(async move {
                let mut ids = Vec::new();
                for _ in 0..each / 4 {
                    let event = fixtures::event(&[ROOM]);
                    ids.push(event.id);
                    let append = Append {
                        events: vec![event.into()],
                        ..Append::default()
                    };
                    emitter.emit(append).await.unwrap();
                }
                ids
            });
        }
    }
    emitting.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_that_emit_at_once_hand_on_the_same_events_in_the_same_order() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;

    let ids = emit_everywhere(&nodes, 200).await;

    for node in &nodes {
        node.hears_all("every event", &ids).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1], &nodes[2]], &ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_no_longer_has_comes_from_the_store() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;
    let before = nodes[0].emit().await;
    nodes[2].hears_all("the first event", &[before]).await;

    // Nothing of this reaches the others: Redis forgets each entry before they could read it.
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    redis.ask(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let mut ids = emit_everywhere(&nodes[..1], 80).await;
    redis.ask(&["CLIENT", "UNPAUSE"]);
    redis.ask(&["XTRIM", "wardbell:events", "MAXLEN", "=", "0"]);
    ids.extend(emit_everywhere(&nodes, 20).await);
    ids.push(before);

    for node in &nodes {
        node.hears_all("every event", &ids).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1], &nodes[2]], &ids);
    assert!(nodes[2].counter("bus_filled_total") > 0, "some came from the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suppressed_alert_is_handed_to_nobody_and_holds_nobody_up() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;
    let mut suppressed = fixtures::alert("P1");
    if let Some(alert) = &mut suppressed.alert {
        alert.is_suppressed = true;
    }

    let first = nodes[0].emit().await;
    nodes[0].try_emit(suppressed).await.unwrap();
    let last = nodes[0].emit().await;

    for node in &nodes {
        node.hears_all("both others", &[first, last]).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1], &nodes[2]], &[first, last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_late_goes_on_where_the_store_is() {
    let (redis, database) = (Redis::start(), database().await);
    let early = Node::start(&redis.url(), &database).await;
    early.until_connected().await;
    early.emit().await;

    let late = Node::start(&redis.url(), &database).await;
    late.until_connected().await;
    let after = early.emit().await;

    late.hears_all("what came after its start", &[after]).await;
    assert_eq!(late.ids(), [after], "and nothing from before");
    assert_eq!(late.positions(), [late.store.last_position().await.unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_committed_and_did_not_publish_is_handed_on_by_the_others() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;

    // The store has it, and whoever was to write it to the stream is dead.
    let orphan = fixtures::event(&[ROOM]);
    let id = orphan.id;
    let append = Append {
        events: vec![orphan.into()],
        ..Append::default()
    };
    nodes[0].kill();
    nodes[0].store.commit(vec![append]).await.unwrap();
    let after = nodes[1].emit().await;

    for node in &nodes[1..] {
        node.hears_all("both", &[id, after]).await;
    }
    assert_one_order(&[&nodes[1], &nodes[2]], &[id, after]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_doubled_late_or_not_ours_change_nothing() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;
    let first = nodes[0].emit().await;
    nodes[1].hears_all("the first event", &[first]).await;

    // The last entry once more, field by field, and noise.
    redis.ask(&[
        "EVAL",
        "local e = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2]
         redis.call('XADD', KEYS[1], '*', unpack(e))
         redis.call('XADD', KEYS[1], '*', 'message', 'hello')
         redis.call('XADD', KEYS[1], '*', 'n', 'many', 'p', '\\255')",
        "1",
        "wardbell:events",
    ]);
    let last = nodes[0].emit().await;

    for node in &nodes {
        node.hears_all("both", &[first, last]).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1], &nodes[2]], &[first, last]);
    assert_eq!(nodes[1].counter("bus_foreign_total"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_bounded_in_length_and_age() {
    let (redis, database) = (Redis::start(), database().await);
    let server = wardbell::bus::redis::Server::parse(&redis.url().into(), None).unwrap();
    let short = wardbell::bus::redis::Settings {
        max_events: 100,
        max_age: Duration::from_secs(1),
        ..settings(server)
    };
    let nodes = [Node::with(short, &database).await];
    nodes[0].until_connected().await;

    emit_everywhere(&nodes, 1_000).await;
    let length: u64 = redis.ask(&["XLEN", "wardbell:events"]).parse().unwrap();
    assert!(length <= 300, "100, and what a node of the radix tree holds: {length}");

    eventually("old entries are gone", async || {
        (redis.ask(&["XLEN", "wardbell:events"]) == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_the_end_is_handed_on_and_written() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;

    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(nodes[0].emit().await);
    }
    nodes[0].hears_all("its own events", &ids).await;
    nodes[0].bus.close();

    nodes[0].ended().await;
    assert_eq!(redis.ask(&["XLEN", "wardbell:events"]), "20");
    nodes[1].hears_all("the other's events", &ids).await;
}

/// Else a client would come back to another node with the later event's offset, and never hear of the earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_hands_on_nothing_whose_predecessor_it_lacks() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = three(&redis, &database).await;
    let events = [Arc::new(fixtures::event(&[ROOM])), Arc::new(fixtures::event(&[ROOM]))];
    let ids = events.clone().map(|event| event.id);
    let mut numbers = Vec::new();
    for event in &events {
        let append = Append {
            events: vec![Arc::clone(event)],
            ..Append::default()
        };
        match nodes[0].store.commit(vec![append]).await.unwrap().remove(0) {
            Appended::Committed(given) => numbers.extend(given),
            other => panic!("{other:?}"),
        }
    }

    // The first is another's, who has not written it to the stream yet.
    let own = vec![(numbers[1], Arc::clone(&events[1]))];
    nodes[0].bus.publish(own).await.unwrap();
    nodes[0].bus.close();
    nodes[0].ended().await;

    let heard = nodes[0].ids();
    assert!(heard.is_empty() || heard == ids, "{heard:?}");
    nodes[2].hears_all("both", &ids).await;
}
