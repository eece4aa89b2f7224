//! Sockets against the real server: rooms, handshakes, recovery, clients that are slow or rude.

mod handshake;
mod lost;
mod recovery;
mod restored;
mod rooms;
mod session;
mod slow;
mod transport;

use serde_json::Value;

use super::support::{TestServer, eventually};

/// What `GET /api/status/socket` says in open mode.
async fn status(server: &TestServer) -> Value {
    server.rest().get("/api/status/socket").await.json()
}

/// Waits until the server counts nobody: no connection, no socket, no room.
async fn nobody_is_left(server: &TestServer) {
    eventually("nobody is counted", async || {
        let status = status(server).await;
        let of_node = &status["nodes"][0]["active_connections"];
        (status["active_connections"] == 0 && *of_node == 0 && status["rooms"] == serde_json::json!({})).then_some(())
    })
    .await;
    eventually("no connection is counted", async || {
        let polling = metric(server, "wardbell_connections{transport=\"polling\"}").await;
        let websocket = metric(server, "wardbell_connections{transport=\"websocket\"}").await;
        (polling + websocket == 0).then_some(())
    })
    .await;
}

/// One of the server's metrics; 0 where it is not there yet.
async fn metric(server: &TestServer, name: &str) -> i64 {
    let text = server.rest().get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// The `message` of the alert that comes next.
async fn next_alert(client: &mut super::support::Client) -> String {
    client.expect("patient_alert").await["message"]
        .as_str()
        .unwrap()
        .to_owned()
}
