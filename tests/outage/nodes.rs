//! What several nodes share breaks, or they do, while alerts flow to all of them and clients listen at each.

use std::sync::Arc;
use std::time::Duration;

use super::flow::{Counter, Sender, Sent, settle};
use super::{is_soak, outage};
use crate::cluster::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::{Transport, eventually};

/// The longest that a post may take.
const PROMISED: Duration = Duration::from_millis(5_500);

/// Three nodes, a client over each transport at each of them, and alerts posted to all.
struct Ward {
    cluster: Cluster,
    counters: Vec<Counter>,
    sender: Sender,
    /// What stands between each client and the nodes.
    fronts: Vec<Proxy>,
}

impl Ward {
    async fn open(cluster: Cluster) -> Self {
        let mut fronts = Vec::new();
        let mut counters = Vec::new();
        for node in 0..3 {
            for transport in Transport::ALL {
                let front = Proxy::to_first_of(cluster.addrs_from(node)).await;
                counters.push(Counter::start(front.addr(), transport, None).await);
                fronts.push(front);
            }
        }
        let sender = Sender::to_each_of(&cluster.addrs(), 6, Duration::from_millis(50));
        sender.until_accepted(50).await;
        Self {
            cluster,
            counters,
            sender,
            fronts,
        }
    }

    /// Waits until these nodes say this about a part, in `/ready` and in their metrics.
    async fn until_told(&self, nodes: &[usize], part: &str, state: &str, metric: &str) {
        for index in nodes {
            let rest = self.cluster.node(*index).rest();
            eventually("the node tells what is down", async || {
                let ready = rest.attempt(reqwest::Method::GET, "/ready", None).await.ok()?;
                (ready.status == 200 && ready.json()["parts"][part] == state).then_some(())
            })
            .await;
            eventually("its metrics tell it as well", async || {
                let metrics = rest.get("/metrics").await;
                metrics.text.lines().any(|line| line == metric).then_some(())
            })
            .await;
        }
    }

    /// Has the clients of the first node lose their connections and come back to the second.
    async fn change_over(&self) {
        for front in &self.fronts[..3] {
            front.go_on_to_the_next();
        }
        self.sender.until_accepted(50).await;
    }

    async fn until_whole(&self) {
        self.until_told(&[0, 1, 2], "bus", "up", "wardbell_bus_up 1").await;
        self.until_told(&[0, 1, 2], "store", "up", "wardbell_store_up 1").await;
    }

    /// Counts what was posted and heard.
    async fn close(self, what: &str) -> Sent {
        self.sender.until_accepted(100).await;
        let addr = self.cluster.node(0).addr();
        let sent = settle(what, addr, self.sender, &self.counters).await;
        eprintln!(
            "{what}: {} spooled, {} refused, slowest answer {:?}",
            sent.spooled, sent.refused, sent.slowest
        );
        assert!(sent.slowest < PROMISED, "a post took {:?}", sent.slowest);
        sent
    }
}

async fn redis_is_killed(redis: Redis, comes_back: &str) {
    let redis = Arc::new(redis);
    let ward = Ward::open(Cluster::on(Arc::clone(&redis), vec![Setup::new(); 3]).await).await;

    redis.kill();
    ward.until_told(&[0, 1, 2], "bus", "down", "wardbell_bus_up 0").await;
    ward.change_over().await;
    tokio::time::sleep(outage()).await;
    tokio::task::spawn_blocking(move || redis.restart()).await.unwrap();
    ward.until_whole().await;

    let sent = ward
        .close(&format!(
            "Redis killed {} s, back {comes_back}, clients change nodes",
            outage().as_secs()
        ))
        .await;
    assert_eq!((sent.spooled, sent.refused), (0, 0), "posts do not depend on Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn redis_is_killed_and_comes_back_empty_and_nobody_misses_an_alert() {
    redis_is_killed(Redis::start(), "empty").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn redis_is_killed_and_comes_back_with_its_data_and_nobody_misses_an_alert() {
    redis_is_killed(Redis::durable(), "with its data").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn redis_hangs_and_nobody_misses_an_alert() {
    let ward = Ward::open(Cluster::of(3).await).await;

    ward.cluster.redis.freeze();
    ward.until_told(&[0, 1, 2], "bus", "down", "wardbell_bus_up 0").await;
    tokio::time::sleep(outage()).await;
    ward.cluster.redis.thaw();
    ward.until_whole().await;

    let sent = ward
        .close(&format!("Redis hangs (SIGSTOP) {} s", outage().as_secs()))
        .await;
    assert_eq!((sent.spooled, sent.refused), (0, 0), "posts do not depend on Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn postgresql_is_killed_and_nobody_misses_an_alert() {
    let ward = Ward::open(Cluster::of(3).await).await;

    ward.cluster.database.kill();
    ward.until_told(&[0, 1, 2], "store", "spooling", "wardbell_store_up 0")
        .await;
    ward.change_over().await;
    tokio::time::sleep(outage()).await;
    ward.change_over().await;
    let database = Arc::clone(&ward.cluster.database);
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    ward.until_whole().await;

    let sent = ward
        .close(&format!(
            "PostgreSQL killed {} s, clients change nodes",
            outage().as_secs()
        ))
        .await;
    assert!(sent.spooled > 0, "alerts were accepted meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn postgresql_hangs_and_nobody_misses_an_alert() {
    let ward = Ward::open(Cluster::of(3).await).await;

    ward.cluster.database.freeze();
    ward.until_told(&[0, 1, 2], "store", "spooling", "wardbell_store_up 0")
        .await;
    tokio::time::sleep(outage()).await;
    ward.cluster.database.thaw();
    ward.until_whole().await;

    let sent = ward
        .close(&format!("PostgreSQL hangs (SIGSTOP) {} s", outage().as_secs()))
        .await;
    assert!(sent.spooled > 0, "alerts were accepted meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn a_node_is_killed_and_nobody_misses_an_alert() {
    let mut ward = Ward::open(Cluster::of(3).await).await;

    for node in [1, 2] {
        ward.cluster.kill(node);
        ward.sender.until_accepted(200).await;
        ward.cluster.start(node).await;
        ward.sender.until_accepted(100).await;
    }

    ward.close("two of three nodes, one after the other: kill -9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn two_nodes_are_cut_from_redis_and_nobody_misses_an_alert() {
    let redis = Arc::new(Redis::durable());
    let cuts = [Proxy::to(redis.addr()).await, Proxy::to(redis.addr()).await];
    let through = |cut: &Proxy| Setup::new().set("REDIS_URL", &format!("redis://{}", cut.addr()));
    let setups = vec![through(&cuts[0]), through(&cuts[1]), Setup::new()];
    let ward = Ward::open(Cluster::on(redis, setups).await).await;

    for cut in &cuts {
        cut.cut();
    }
    ward.until_told(&[0, 1], "bus", "down", "wardbell_bus_up 0").await;
    tokio::time::sleep(outage()).await;
    for cut in &cuts {
        cut.restore();
    }
    ward.until_whole().await;

    let sent = ward
        .close(&format!("two nodes cut from Redis {} s", outage().as_secs()))
        .await;
    assert_eq!((sent.spooled, sent.refused), (0, 0), "posts do not depend on Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn three_nodes_are_restarted_in_turn_and_nobody_misses_an_alert() {
    let mut ward = Ward::open(Cluster::of(3).await).await;

    let rounds = if is_soak() { 10 } else { 1 };
    for node in (0..rounds).flat_map(|_| 0..3) {
        ward.cluster.stop(node).await;
        ward.sender.until_accepted(50).await;
        ward.cluster.start(node).await;
        ward.sender.until_accepted(50).await;
    }

    let sent = ward
        .close(&format!("rolling restart of three nodes, {rounds} times"))
        .await;
    assert_eq!(sent.spooled, 0);
}
