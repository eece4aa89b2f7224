//! Who is let in, and how those are told who are not.

use std::time::Duration;

use serde_json::{Value, json};
use wardbell::clock::Clock as _;

use super::nobody_is_left;
use crate::support::socket::Refusal;
use crate::support::{Packet, TestServer, Transport, Visitor, nurse};

async fn refused(visitor: Visitor) -> Value {
    match visitor.attempt().await {
        Err(Refusal::Connect(error)) => error["message"].clone(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("was let in"),
    }
}

#[tokio::test]
async fn every_socket_is_greeted_with_its_own_id() {
    let server = TestServer::start().await;
    for transport in Transport::ALL {
        let client = server.visitor().over(transport).connect().await;

        assert_eq!(client.greeting["status"], "connected");
        assert_eq!(client.greeting["sid"], client.sid);
        assert_eq!(client.greeting["timestamp"], crate::support::server::START);
    }
}

#[tokio::test]
async fn a_token_is_taken_from_auth_from_the_header_and_from_the_query() {
    let server = TestServer::builder().mode("token").start().await;
    let token = nurse().of("h1").token(server.clock.now());

    for transport in Transport::ALL {
        let ways = [
            server.visitor().auth(json!({"token": token})),
            server.visitor().header("authorization", &format!("Bearer {token}")),
            server.visitor().query("token", &token),
        ];
        for visitor in ways {
            let mut client = visitor.over(transport).connect().await;
            client.join("hospital_h1").await;
        }
    }
}

#[tokio::test]
async fn whoever_has_no_good_token_is_told_what_is_wrong_with_it() {
    let server = TestServer::builder()
        .mode("token")
        .set("WARDBELL__SOCKET__CONNECT_TIMEOUT", "1s") // who is not let in is sent away after it
        .start()
        .await;
    let now = server.clock.now();
    let visitor = || server.visitor();

    assert_eq!(refused(visitor()).await, "Authentication required");
    assert_eq!(
        refused(visitor().auth(json!({"token": null}))).await,
        "Authentication required"
    );
    assert_eq!(
        refused(visitor().auth(json!({"token": "nonsense"}))).await,
        "Invalid token"
    );
    let forged = nurse()
        .of("h1")
        .token_signed_with(now, "another secret, just as long as ours");
    assert_eq!(refused(visitor().auth(json!({"token": forged}))).await, "Invalid token");
    let refresh = nurse().of("h1").with("type", json!("refresh")).token(now);
    assert_eq!(
        refused(visitor().auth(json!({"token": refresh}))).await,
        "Invalid token"
    );
    let over = nurse().of("h1").token(now.minus(Duration::from_hours(2)));
    assert_eq!(refused(visitor().auth(json!({"token": over}))).await, "Token expired");
    // The query's user_id and user_role prove nothing here.
    let claimed = visitor().query("user_id", "u1").query("user_role", "doctor");
    assert_eq!(refused(claimed).await, "Authentication required");
    nobody_is_left_without_status(&server).await;
}

/// In `token` mode the status needs a token; the metrics do not.
async fn nobody_is_left_without_status(server: &TestServer) {
    crate::support::eventually("no connection is counted", async || {
        let polling = super::metric(server, "wardbell_connections{transport=\"polling\"}").await;
        let websocket = super::metric(server, "wardbell_connections{transport=\"websocket\"}").await;
        (polling + websocket == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_that_is_not_theirs_is_refused_and_the_socket_lives_on() {
    let server = TestServer::builder().mode("token").start().await;
    let mut client = server.connect(&nurse().of("h1")).await;

    let answer = client.call("join_room", json!({"room": "hospital_h2"})).await;

    assert_eq!(
        answer,
        json!({"message": "Unauthorized", "room": "hospital_h2", "code": "unauthorized"})
    );
    assert_eq!(client.expect("error").await, answer);
    client.join("hospital_h1").await;
}

#[tokio::test]
async fn legacy_mode_believes_the_query_and_needs_it() {
    let server = TestServer::builder().mode("legacy").start().await;

    let mut client = server
        .visitor()
        .query("user_id", "u1")
        .query("user_role", "nurse")
        .connect()
        .await;
    client.join("patient_P1").await;

    let message = "user_id and user_role required";
    assert_eq!(refused(server.visitor()).await, message);
    assert_eq!(refused(server.visitor().query("user_id", "u1")).await, message);
    assert_eq!(
        refused(server.visitor().query("user_id", "u1").query("user_role", "surgeon")).await,
        message
    );
    assert_eq!(
        refused(server.visitor().query("user_id", "u1").query("user_role", "service")).await,
        message
    );
}

#[tokio::test]
async fn open_mode_lets_everybody_in_whatever_they_say() {
    let server = TestServer::start().await;

    for visitor in [
        server.visitor(),
        server.visitor().query("user_id", "u1").query("user_role", "nurse"),
        server.visitor().query("user_id", "%20").query("user_role", "surgeon"),
        server.visitor().auth(json!({"token": "nonsense"})),
    ] {
        visitor.connect().await.join("triage_queue").await;
    }
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_socket_whose_token_expires_is_told_and_closed_after_the_grace() {
    let server = TestServer::builder().mode("token").start().await;
    let mut client = server.connect(&nurse().of("h1")).await;
    client.join("patient_P1").await;

    server.clock.advance(Duration::from_hours(1));
    let told = client.expect("token_expired").await;
    assert_eq!(told["message"], "Token expired");
    assert_eq!(
        told["disconnect_at"],
        server
            .clock
            .now()
            .plus(Duration::from_mins(1))
            .to_string()
            .replace(".123456", ".000000")
    );

    server.alert("P1", "critical", "still heard").await;
    assert_eq!(client.expect("patient_alert").await["message"], "still heard");

    server.clock.advance(Duration::from_mins(1));
    let seen = client.until_closed().await;
    // The transport is closed, not the namespace: stock clients come back, with a new token if they have one.
    assert!(!seen.contains(&Packet::Disconnected), "{seen:?}");
}
