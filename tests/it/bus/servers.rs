//! Every kind of Redis that a URL can name.

use std::time::Duration;

use wardbell::bus::redis::Server;

use super::node::{Node, assert_one_order, database, settings};
use crate::support::certificates::Certificates;
use crate::support::eventually;
use crate::support::redis::Redis;

async fn pair(url: &str, authorities: Option<&[u8]>) -> [Node; 2] {
    let (database, server) = (
        database().await,
        Server::parse(&url.to_owned().into(), authorities).unwrap(),
    );
    let nodes = [
        Node::with(settings(server.clone()), &database).await,
        Node::with(settings(server), &database).await,
    ];
    for node in &nodes {
        node.until_connected().await;
    }
    nodes
}

/// Events from either node reach both through the stream alone: faster than the store is asked.
async fn assert_carries(nodes: &[Node; 2]) {
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(nodes[0].emit().await);
        ids.push(nodes[1].emit().await);
    }
    for node in nodes {
        node.hears_all("every event", &ids).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1]], &ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_acl_with_the_least_that_is_needed() {
    let redis = Redis::start();
    redis.ask(&[
        "ACL",
        "SETUSER",
        "ward",
        "on",
        ">p@ss/word",
        "~wardbell:*",
        "resetchannels",
        "-@all",
        "+xadd",
        "+xread",
        "+xrevrange",
        "+xtrim",
        "+hset",
        "+hgetall",
        "+hdel",
        "+expire",
        "+time",
        "+ping",
    ]);
    redis.ask(&["ACL", "SETUSER", "default", "off"]);

    let nodes = pair(&format!("redis://ward:p%40ss%2Fword@{}", redis.addr()), None).await;

    assert_carries(&nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_outage_and_not_an_end() {
    let (redis, database) = (Redis::with(&["--requirepass", "sesame"]), database().await);
    let server = Server::parse(&format!("redis://:wrong@{}", redis.addr()).into(), None).unwrap();
    let node = Node::with(settings(server), &database).await;

    let id = node.emit().await;

    node.hears_all("its own event", &[id]).await;
    assert!(wardbell::ports::Bus::check(&*node.bus).await.is_err());
}

/// A server that speaks TLS beside the plain protocol, under one of these certificates; its URL there.
pub(super) fn with_tls(certificates: &Certificates) -> (Redis, String) {
    let port = crate::support::process::free_port(std::net::Ipv4Addr::LOCALHOST.into()).to_string();
    let file = |name| certificates.file(name).display().to_string();
    let redis = Redis::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]);
    (redis, format!("rediss://127.0.0.1:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_authority_of_one_s_own() {
    let certificates = Certificates::new();
    let (_redis, url) = with_tls(&certificates);
    let authorities = std::fs::read(certificates.file("ca.pem")).unwrap();

    let nodes = pair(&url, Some(&authorities)).await;

    assert_carries(&nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (_redis, url) = with_tls(&certificates);
    let authorities = std::fs::read(others.file("ca.pem")).unwrap();
    let server = Server::parse(&url.into(), Some(&authorities)).unwrap();
    let node = Node::with(settings(server), &database().await).await;

    let id = node.emit().await;

    node.hears_all("its own event", &[id]).await;
    assert!(wardbell::ports::Bus::check(&*node.bus).await.is_err());
}

/// A master, its replica, and three Sentinels that know of both; and how to name them.
pub(super) async fn sentinels() -> (Redis, Redis, [Redis; 3], String) {
    let master = Redis::start();
    let replica = Redis::with(&["--replicaof", "127.0.0.1", &master.addr().port().to_string()]);
    let sentinels = [
        Redis::sentinel(&master, 2),
        Redis::sentinel(&master, 2),
        Redis::sentinel(&master, 2),
    ];
    for sentinel in &sentinels {
        eventually("the Sentinels know each other and the replica", async || {
            let known = sentinel.ask(&["SENTINEL", "MASTER", "alerts"]);
            let count = |name: &str| {
                let mut lines = known.lines().skip_while(|line| *line != name);
                lines.nth(1).and_then(|count| count.parse::<u32>().ok())
            };
            (count("num-slaves") == Some(1) && count("num-other-sentinels") == Some(2)).then_some(())
        })
        .await;
    }
    let hosts: Vec<String> = sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect();
    let url = format!("redis+sentinel://{}/alerts", hosts.join(","));
    (master, replica, sentinels, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master_when_the_first_is_killed() {
    let (master, replica, _sentinels, url) = sentinels().await;
    let nodes = pair(&url, None).await;
    assert_carries(&nodes).await;
    let mut ids = nodes[0].ids();

    master.kill();
    for _ in 0..20 {
        ids.push(nodes[0].emit().await);
        ids.push(nodes[1].emit().await);
        tokio::time::sleep(Duration::from_millis(100)).await; // alerts flow while the Sentinels decide
    }
    eventually("the replica is the master", async || {
        replica.ask(&["ROLE"]).starts_with("master").then_some(())
    })
    .await;
    for node in &nodes {
        node.until_connected().await;
    }
    ids.push(nodes[0].emit().await);

    for node in &nodes {
        node.hears_all("every event", &ids).await;
    }
    assert_one_order(&[&nodes[0], &nodes[1]], &ids);
    let length: u64 = replica.ask(&["XLEN", "wardbell:events"]).parse().unwrap();
    assert!(length > 0, "the new master carries events");
}

/// A Cluster that works.
pub(super) async fn cluster() -> [Redis; 3] {
    let servers = [Redis::cluster_node(), Redis::cluster_node(), Redis::cluster_node()];
    let hosts: Vec<String> = servers.iter().map(|server| server.addr().to_string()).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(hosts.iter().map(String::as_str));
    create.push("--cluster-yes");
    servers[0].ask(&create);
    for server in &servers {
        eventually("the Cluster is there", async || {
            server
                .ask(&["CLUSTER", "INFO"])
                .contains("cluster_state:ok")
                .then_some(())
        })
        .await;
    }
    servers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three() {
    let servers = cluster().await;

    // One seed is enough, whichever server holds the stream.
    for server in &servers {
        let nodes = pair(&format!("redis+cluster://{}", server.addr()), None).await;
        assert_carries(&nodes).await;
    }
}
