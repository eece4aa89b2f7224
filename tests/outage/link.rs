//! A client's link goes down while alerts flow.

use std::time::Duration;

use super::flow::{Counter, Sender, settle, token_mode};
use super::is_soak;
use super::network::Network;
use crate::support::Transport;
use crate::support::process::Setup;

/// Twenty alerts a second: a hospital on a bad day.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients over each transport lose their link for so long.
async fn lose_the_link_for(seconds: u64, pings: &str, setup: Setup) {
    let network = Network::new();
    let server = setup.on(network.server()).start().await;
    let counters = connect_over_each_transport(&server, &network).await;
    let sender = Sender::start(server.addr(), 1, PAUSE);
    heard_some(&counters).await;

    network.down();
    tokio::time::sleep(Duration::from_secs(seconds)).await; // the outage itself
    network.up();

    settle(
        &format!("link down {seconds} s, {pings}"),
        server.addr(),
        sender,
        &counters,
    )
    .await;
}

/// The same, and the server is killed and started again while the link is down.
async fn lose_the_link_and_the_server_for(seconds: u64, setup: Setup) {
    let network = Network::new();
    let server = setup.on(network.server()).start().await;
    let counters = connect_over_each_transport(&server, &network).await;
    let sender = Sender::start(server.addr(), 1, PAUSE);
    heard_some(&counters).await;

    network.down();
    tokio::time::sleep(Duration::from_secs(seconds) / 2).await;
    let server = server.kill_and_restart().await;
    tokio::time::sleep(Duration::from_secs(seconds) / 2).await;
    network.up();

    settle(
        &format!("link down {seconds} s, kill -9 meanwhile"),
        server.addr(),
        sender,
        &counters,
    )
    .await;
}

async fn connect_over_each_transport(server: &crate::support::ServerProcess, network: &Network) -> Vec<Counter> {
    let mut counters = Vec::new();
    for transport in Transport::ALL {
        counters.push(Counter::start(server.addr(), transport, Some(network.name())).await);
    }
    counters
}

async fn heard_some(counters: &[Counter]) {
    for counter in counters {
        crate::support::eventually("alerts flow", async || (counter.count().await > 5).then_some(())).await;
    }
}

/// Pings that notice an outage within three seconds: both sides give up, the client comes back and recovers. With the
/// default ones a short outage is only a connection that stalls.
fn short_pings() -> Setup {
    token_mode()
        .set("SOCKET_IO_PING_INTERVAL", "1")
        .set("SOCKET_IO_PING_TIMEOUT", "2")
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_the_link_is_down_for_5_seconds() {
    lose_the_link_for(5, "default pings", token_mode()).await;
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_both_sides_notice_5_seconds_without_a_link() {
    lose_the_link_for(5, "pings of 1 s + 2 s", short_pings()).await;
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_the_link_is_down_for_40_seconds() {
    lose_the_link_for(40, "default pings", token_mode()).await;
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_both_sides_notice_40_seconds_without_a_link() {
    lose_the_link_for(40, "pings of 1 s + 2 s", short_pings()).await;
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_the_link_is_down_for_3_minutes() {
    if is_soak() {
        lose_the_link_for(180, "default pings", token_mode()).await;
    }
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn nothing_is_missed_when_the_server_is_killed_while_the_link_is_down() {
    lose_the_link_and_the_server_for(6, token_mode()).await;
}

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn a_backlog_of_20_000_alerts_reaches_a_client_that_comes_back() {
    const BACKLOG: usize = 20_000;
    let network = Network::new();
    let server = short_pings().on(network.server()).start().await;
    let counters = connect_over_each_transport(&server, &network).await;

    network.down();
    let sender = Sender::start(server.addr(), 64, Duration::from_millis(1));
    sender.until_accepted(BACKLOG).await;
    let sent = sender.stop().await;
    assert!(sent.accepted.len() >= BACKLOG);
    network.up();

    // While the clients take the backlog, new alerts flow.
    let sender = Sender::start(server.addr(), 1, PAUSE);
    for counter in &counters {
        counter.until_heard(sent.accepted.last().unwrap()).await;
        counter.row("backlog of 20,000", &sent).await.check();
    }
    settle("while the backlog was taken", server.addr(), sender, &counters).await;
}
