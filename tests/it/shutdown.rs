//! How the process ends: softly so that clients come back, at once if it is asked twice.

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::support::process::Setup;
use crate::support::{Packet, ServerProcess, Transport, in_time};

#[tokio::test]
async fn sigterm_closes_every_transport_so_that_clients_come_back_and_exits_with_0() {
    let mut server = ServerProcess::start().await;
    let mut clients = Vec::new();
    for transport in Transport::ALL {
        clients.push(server.visitor().over(transport).connect().await);
    }

    server.signal(Signal::SIGTERM);

    for client in &mut clients {
        // A packet `41` would be `io server disconnect`, after which a stock client stays away.
        assert!(!client.until_closed().await.contains(&Packet::Disconnected));
    }
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn sigint_ends_it_as_well() {
    let mut server = ServerProcess::start().await;

    server.signal(Signal::SIGINT);

    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn an_accepted_post_is_answered_and_kept_although_the_end_begins_meanwhile() {
    let mut server = ServerProcess::start().await;
    let rest = server.rest();
    let posts = (0..50).map(|number| {
        let rest = rest.clone();
        async move {
            let body = json!({"patient_id": "P-1", "alert_type": "critical", "alert_data": {"number": number}});
            let answer = rest
                .attempt(Method::POST, "/api/alerts/patient", Some(body.to_string()))
                .await
                .ok()?;
            answer.status.is_success().then(|| answer.json()["alert_id"].clone())
        }
    });

    let posting = tokio::spawn(futures_util::future::join_all(posts.collect::<Vec<_>>()));
    tokio::task::yield_now().await;
    server.signal(Signal::SIGTERM);
    let accepted: Vec<_> = posting.await.unwrap().into_iter().flatten().collect();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());

    let server = server.kill_and_restart().await;
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=P-1&limit=1000")
        .await
        .text;
    for id in &accepted {
        assert!(history.contains(id.as_str().unwrap()), "{id} was answered");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // A grace so long that only the second signal can end the test in time.
    let mut server = Setup::new()
        .set("WARDBELL__SERVER__SHUTDOWN_GRACE", "10m")
        .start()
        .await;
    // A request that never ends keeps the soft end waiting.
    let stuck = stuck_request(&server).await;

    server.signal(Signal::SIGTERM);
    crate::support::eventually("the first signal is noticed", async || {
        server.log().contains("SIGTERM").then_some(())
    })
    .await;
    server.signal(Signal::SIGTERM);

    server.ended().await;
    drop(stuck);
}

/// A request of which the body is announced and never sent.
async fn stuck_request(server: &ServerProcess) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let head = "POST /api/alerts/patient HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    in_time("sending", stream.write_all(head.as_bytes())).await.unwrap();
    stream
}
