//! The server is killed while alerts flow.

use std::time::Duration;

use super::flow::{Counter, Sender, settle, token_mode};
use crate::support::Transport;

#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn every_accepted_alert_reaches_every_client_once_across_kills_under_500_posts_a_second() {
    let mut server = token_mode().start().await;
    let mut counters = Vec::new();
    for transport in Transport::ALL {
        counters.push(Counter::start(server.addr(), transport, None).await);
    }
    // Fifty backends at ten posts a second each.
    let sender = Sender::start(server.addr(), 50, Duration::from_millis(100));

    for kill in 1..=3 {
        sender.until_accepted(400 + 37 * kill).await;
        server = server.kill_and_restart().await;
    }
    sender.until_accepted(200).await;

    settle(
        "three times kill -9 under 500 posts/s",
        server.addr(),
        sender,
        &counters,
    )
    .await;
}
