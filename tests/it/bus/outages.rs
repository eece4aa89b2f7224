//! What breaks, and what each node still hands on.

use std::time::{Duration, Instant};

use wardbell::bus::redis::Server;
use wardbell::domain::EventId;

use super::node::{Node, assert_one_order, database, settings};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;

async fn connected(urls: &[String], database: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    for url in urls {
        let node = Node::start(url, database).await;
        node.until_connected().await;
        nodes.push(node);
    }
    nodes
}

async fn emit_some(nodes: &[Node], ids: &mut Vec<EventId>) {
    for _ in 0..10 {
        for node in nodes {
            ids.push(node.emit().await);
        }
    }
}

async fn assert_all_heard(nodes: &[Node], ids: &[EventId]) {
    for node in nodes {
        node.hears_all("every event", ids).await;
    }
    assert_one_order(&nodes.iter().collect::<Vec<_>>(), ids);
}

async fn until_missed(nodes: &[Node]) {
    for node in nodes {
        eventually("the outage is noticed", async || {
            wardbell::ports::Bus::check(&*node.bus).await.is_err().then_some(())
        })
        .await;
    }
}

async fn survive_a_kill(redis: Redis) {
    let database = database().await;
    let nodes = connected(&[redis.url(), redis.url(), redis.url()], &database).await;
    let mut ids = Vec::new();
    emit_some(&nodes, &mut ids).await;

    redis.kill();
    emit_some(&nodes, &mut ids).await;
    assert_all_heard(&nodes, &ids).await; // with Redis still gone
    until_missed(&nodes).await;
    redis.restart();
    for node in &nodes {
        node.until_connected().await;
    }
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_and_comes_back_empty() {
    survive_a_kill(Redis::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed_and_comes_back_with_its_data() {
    survive_a_kill(Redis::durable()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_emptied_while_it_runs() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = connected(&[redis.url(), redis.url()], &database).await;
    let mut ids = Vec::new();
    emit_some(&nodes, &mut ids).await;

    redis.ask(&["FLUSHALL"]);
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
}

/// A replica that was promoted without the last writes, and whose clock is behind.
#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_back_to_an_older_state() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = connected(&[redis.url(), redis.url()], &database).await;
    let mut ids = Vec::new();
    emit_some(&nodes, &mut ids).await;

    redis.ask(&["DEL", "wardbell:events"]);
    redis.ask(&["XADD", "wardbell:events", "1000-0", "n", "1"]);
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_hangs_and_no_post_hangs_with_it() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = connected(&[redis.url(), redis.url()], &database).await;
    let mut ids = Vec::new();

    redis.freeze();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        for node in &nodes {
            let begun = Instant::now();
            ids.push(node.emit().await);
            slowest = slowest.max(begun.elapsed());
        }
    }
    assert_all_heard(&nodes, &ids).await;
    until_missed(&nodes).await;
    redis.thaw();
    for node in &nodes {
        node.until_connected().await;
    }
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
    assert!(slowest < Duration::from_secs(5), "a post took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_are_cut_from_redis_and_not_from_the_database() {
    let (redis, database) = (Redis::start(), database().await);
    let (first, second) = (Proxy::to(redis.addr()).await, Proxy::to(redis.addr()).await);
    let through = |proxy: &Proxy| format!("redis://{}", proxy.addr());
    let nodes = connected(&[through(&first), through(&second), redis.url()], &database).await;
    let mut ids = Vec::new();
    emit_some(&nodes, &mut ids).await;

    first.cut();
    second.cut();
    emit_some(&nodes, &mut ids).await;
    assert_all_heard(&nodes, &ids).await; // while they are cut
    first.restore();
    second.restore();
    for node in &nodes {
        node.until_connected().await;
    }
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_takes_no_writes_is_as_good_as_none() {
    let (redis, database) = (Redis::start(), database().await);
    let nodes = connected(&[redis.url(), redis.url()], &database).await;
    let mut ids = Vec::new();

    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    emit_some(&nodes, &mut ids).await;
    assert_all_heard(&nodes, &ids).await;
    until_missed(&nodes).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    for node in &nodes {
        node.until_connected().await;
    }
    emit_some(&nodes, &mut ids).await;

    assert_all_heard(&nodes, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_while_redis_is_gone() {
    let (redis, database) = (Redis::start(), database().await);
    redis.kill();
    let node = Node::with(settings(Server::parse(&redis.url().into(), None).unwrap()), &database).await;

    let id = node.emit().await;
    node.hears_all("its own event", &[id]).await;
    redis.restart();

    node.until_connected().await;
}
