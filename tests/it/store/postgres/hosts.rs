//! Several hosts in one address: whichever can be written to is found, and found again.

use std::net::{SocketAddr, TcpListener};

use wardbell::ports::EventStore;

use super::super::conformance::fixtures::*;
use super::outage::server;
use super::{name, node_at};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::Proxy;

/// The address of a database at these hosts.
fn at(hosts: &[SocketAddr], url: &str) -> String {
    let hosts: Vec<String> = hosts.iter().map(SocketAddr::to_string).collect();
    format!("postgres://wardbell@{}/{}", hosts.join(","), name(url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_takes_connections_and_never_answers_does_not_keep_a_node_from_the_other() {
    let (server, url) = server().await;
    // The kernel takes connections; nobody reads what they say.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = [silent.local_addr().unwrap(), server.addr()];

    let node = node_at(&at(&hosts, &url)).await;

    commit(&node, append([event(&["a"])])).await;
    for _ in 0..20 {
        let (one, two, three) = tokio::join!(node.last_position(), node.horizon(), node.check());
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
    }
    // Which host is good is known from then on: of several connections only the first has waited for the other.
    silent.set_nonblocking(true).unwrap();
    let mut waited = 0;
    while silent.accept().is_ok() {
        waited += 1;
    }
    assert_eq!(waited, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_host_in_use_goes_away_the_other_is_used_and_the_first_again_when_that_goes() {
    let (server, url) = server().await;
    let (one, other) = (Proxy::to(server.addr()).await, Proxy::to(server.addr()).await);
    let node = node_at(&at(&[one.addr(), other.addr()], &url)).await;
    commit(&node, append([event(&["a"])])).await;

    one.cut();
    eventually("the other host is used", async || node.check().await.ok()).await;
    commit(&node, append([event(&["a"])])).await;
    one.restore();
    other.cut();
    eventually("the first host is used", async || node.check().await.ok()).await;
    commit(&node, append([event(&["a"])])).await;

    assert_eq!(node.last_position().await.unwrap(), position(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_passed_by() {
    let (primary, url) = server().await;
    let standby = tokio::task::spawn_blocking(|| Postgres::with(&["default_transaction_read_only=on"], ""));
    let standby = standby.await.unwrap();
    let hosts = [standby.addr(), primary.addr()];

    let node = node_at(&format!("{}?target_session_attrs=read-write", at(&hosts, &url))).await;

    commit(&node, append([event(&["a"])])).await;
}
