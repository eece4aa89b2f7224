//! The server is killed while alerts flow.

use std::time::{Duration, Instant};

use super::flow::{Counter, Sender, settle, token_mode};
use crate::support::Transport;

#[expect(clippy::cast_precision_loss, reason = "a few thousand alerts")]
#[tokio::test]
#[ignore = "needs root and the stock clients: make outage"]
async fn every_accepted_alert_reaches_every_client_once_across_kills_under_500_posts_a_second() {
    let mut server = token_mode().start().await;
    let mut counters = Vec::new();
    for transport in Transport::ALL {
        counters.push(Counter::start(server.addr(), transport, None).await);
    }
    // Fifty backends that post ten times a second each, as long as they are answered in time.
    let sender = Sender::start(server.addr(), 50, Duration::from_millis(100));
    let (mut accepted, mut up) = (0, Duration::ZERO);

    for kill in 1..=3 {
        let begun = Instant::now();
        accepted += sender.until_accepted(400 + 37 * kill).await;
        up += begun.elapsed();
        server = server.kill_and_restart().await;
    }
    sender.until_accepted(200).await;

    let rate = accepted as f64 / up.as_secs_f64();
    let outage = format!("three times kill -9 under {rate:.0} posts/s");
    settle(&outage, server.addr(), sender, &counters).await;
}
