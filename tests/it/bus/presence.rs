//! Who is connected, counted over all nodes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wardbell::bus::redis::{Presence, Server};
use wardbell::ports::{Connections, NodeStatus, SocketStatus};

use crate::support::eventually;
use crate::support::redis::Redis;

/// Sockets of one node, as many as a test says.
struct Sockets(Mutex<SocketStatus>);

impl Sockets {
    fn of(node: &str) -> Self {
        let nodes = vec![NodeStatus {
            node: node.to_owned(),
            active_connections: 0,
        }];
        Self(Mutex::new(SocketStatus {
            nodes,
            ..SocketStatus::default()
        }))
    }

    fn set(&self, rooms: &[(&str, usize)]) {
        let mut status = self.0.lock().unwrap();
        status.active_connections = rooms.iter().map(|(_, members)| members).sum();
        status.rooms = rooms
            .iter()
            .map(|(room, members)| ((*room).to_owned(), *members))
            .collect();
        status.nodes[0].active_connections = status.active_connections;
    }
}

#[async_trait]
impl Connections for Sockets {
    async fn status(&self) -> SocketStatus {
        self.0.lock().unwrap().clone()
    }
}

struct Node {
    sockets: Arc<Sockets>,
    presence: Arc<Presence>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Node {
    fn start(redis: &Redis) -> Self {
        Self::named("", redis)
    }

    fn named(name: &str, redis: &Redis) -> Self {
        let sockets = Arc::new(Sockets::of(name));
        let server = Server::parse(&redis.url().into(), None).unwrap();
        let presence = Arc::new(Presence::new(server, "wardbell", sockets.clone()));
        let (stop, beating) = (CancellationToken::new(), presence.clone());
        let stopped = stop.clone();
        let running = tokio::spawn(async move { beating.run(stopped).await });
        Self {
            sockets,
            presence,
            stop,
            running,
        }
    }

    async fn until(&self, what: &str, connections: usize) -> SocketStatus {
        eventually(what, async || {
            let status = self.presence.status().await;
            (status.active_connections == connections && !status.is_partial).then_some(status)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shares_of_all_nodes_are_added_up() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    nodes[0].sockets.set(&[("patient_P1", 2), ("triage_queue", 1)]);
    nodes[1].sockets.set(&[("patient_P1", 3)]);

    for node in &nodes {
        let status = node.until("both shares count", 6).await;
        assert_eq!(status.rooms["patient_P1"], 5);
        assert_eq!(status.rooms["triage_queue"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_is_told_by_name_with_its_own_share_until_it_ends() {
    let redis = Redis::start();
    let nodes = [Node::named("b", &redis), Node::named("a", &redis)];
    let own = |status: SocketStatus| -> Vec<(String, usize)> {
        let of = |node: NodeStatus| (node.node, node.active_connections);
        status.nodes.into_iter().map(of).collect()
    };
    nodes[0].sockets.set(&[("patient_P1", 1), ("triage_queue", 1)]);
    nodes[1].sockets.set(&[("patient_P1", 3)]);

    for node in &nodes {
        let told = own(node.until("both shares count", 5).await);
        assert_eq!(told, [("a".to_owned(), 3), ("b".to_owned(), 2)]);
    }
    nodes[1].stop.cancel();

    let told = own(nodes[0].until("the other is gone", 2).await);
    assert_eq!(told, [("b".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_takes_its_share_along() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    nodes[0].sockets.set(&[("patient_P1", 1)]);
    nodes[1].sockets.set(&[("patient_P1", 1)]);
    nodes[0].until("both shares count", 2).await;

    nodes[1].stop.cancel();

    nodes[0].until("the other is gone", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_s_share_is_gone_within_thirty_seconds() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    nodes[0].sockets.set(&[("patient_P1", 1)]);
    nodes[1].sockets.set(&[("patient_P1", 1)]);
    nodes[0].until("both shares count", 2).await;

    nodes[1].running.abort();
    let died = Instant::now();

    while nodes[0].presence.status().await.active_connections == 2 {
        assert!(died.elapsed() < Duration::from_secs(30), "the dead still count");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_node_tells_its_own_share_at_once_and_says_so() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    nodes[0].sockets.set(&[("patient_P1", 1)]);
    nodes[1].sockets.set(&[("patient_P1", 1)]);
    nodes[0].until("both shares count", 2).await;

    redis.freeze();
    let begun = Instant::now();
    let status = nodes[0].presence.status().await;

    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    assert_eq!(status.active_connections, 1);
    assert!(status.is_partial);
    redis.thaw();
    nodes[0].until("both shares count again", 2).await;
}
