//! `join_room` and `leave_room`, as the wire contract (A §2 and §3) says it.

use serde_json::{Value, json};

use super::{nobody_is_left, status};
use crate::support::{Packet, TestServer, Transport, admin, eventually};

#[tokio::test]
async fn joining_and_leaving_are_answered_and_take_effect_over_every_transport() {
    let server = TestServer::start().await;
    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;

        let joined = client.call("join_room", json!({"room": "patient_P1"})).await;
        assert_eq!(
            (&joined["room"], &joined["status"]),
            (&json!("patient_P1"), &json!("joined")),
            "{transport:?}"
        );
        assert_eq!(client.expect("room_joined").await, joined, "{transport:?}");

        server.alert("P1", "critical", "help").await;
        assert_eq!(client.expect("patient_alert").await["message"], "help", "{transport:?}");

        let left = client.call("leave_room", json!({"room": "patient_P1"})).await;
        assert_eq!(
            (&left["room"], &left["status"]),
            (&json!("patient_P1"), &json!("left")),
            "{transport:?}"
        );
        assert_eq!(client.expect("room_left").await, left, "{transport:?}");

        server.alert("P1", "critical", "nobody hears this").await;
        server.assert_silent(&mut client, "marker").await;
        client.leave_politely().await;
    }
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_payload_is_answered_and_the_socket_lives_on() {
    let server = TestServer::start().await;
    let mut client = server.connect(&admin()).await;
    let too_long = format!("patient_{}", "x".repeat(129));
    let wrong = [
        json!(null),
        json!(true),
        json!(7),
        json!("patient_P1"),
        json!(["patient_P1"]),
        json!({}),
        json!({"room": null}),
        json!({"room": 7}),
        json!({"room": {"room": "patient_P1"}}),
        json!({"room": ""}),
        json!({"room": "patient"}),
        json!({"room": "patient_"}),
        json!({"room": "patient_a b"}),
        json!({"room": "ward_7"}),
        json!({"room": "Patient_P1"}),
        json!({"room": " patient_P1"}),
        json!({"room": too_long}),
        json!({"roomname": "patient_P1"}),
    ];

    for event in ["join_room", "leave_room"] {
        for payload in &wrong {
            let answer = client.call(event, payload.clone()).await;

            assert_eq!(answer["message"], "Invalid room name", "{event} {payload}");
            assert_eq!(answer["code"], "invalid_room", "{event} {payload}");
            let named = payload.get("room").filter(|room| room.is_string());
            assert_eq!(answer.get("room"), named, "{event} {payload}");
            assert_eq!(client.expect("error").await, answer, "{event} {payload}");
        }
        client.send_raw(format!("42[\"{event}\"]"));
        assert_eq!(
            client.expect("error").await["message"],
            "Invalid room name",
            "{event} without a payload"
        );
    }
    client.join("patient_P1").await;
    assert_eq!(status(&server).await["rooms"], json!({"patient_P1": 1}));
}

#[tokio::test]
async fn joining_twice_and_leaving_what_one_is_not_in_are_harmless() {
    let server = TestServer::start().await;
    let mut client = server.connect(&admin()).await;

    client.leave("triage_queue").await;
    client.join("triage_queue").await;
    client.join("triage_queue").await;

    assert_eq!(status(&server).await["rooms"], json!({"triage_queue": 1}));
    client.leave("triage_queue").await;
    assert_eq!(status(&server).await["rooms"], json!({}));
}

#[tokio::test]
async fn a_join_and_a_leave_in_one_breath_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = server.connect(&admin()).await;

    for _ in 0..20 {
        client.emit("join_room", json!({"room": "patient_P1"}));
        client.emit("leave_room", json!({"room": "patient_P1"}));
    }

    for _ in 0..20 {
        client.expect("room_joined").await;
        client.expect("room_left").await;
    }
    assert_eq!(status(&server).await["rooms"], json!({}));
}

#[tokio::test]
async fn a_socket_in_several_rooms_of_an_event_gets_it_once() {
    let server = TestServer::start().await;
    let mut plain = server.connect(&admin()).await;
    let mut positioned = server.visitor_as(&admin()).asking_for_recovery().connect().await;
    for client in [&mut plain, &mut positioned] {
        for room in ["patient_P1", "triage_T1", "triage_queue"] {
            client.join(room).await;
        }
    }

    let triage = json!({"triage_id": "T1", "patient_id": "P1", "status": "pending"});
    assert!(server.rest().post("/api/triage", &triage).await.status.is_success());
    server.alert("P1", "critical", "marker").await;

    for client in [&mut plain, &mut positioned] {
        assert_eq!(client.expect("triage_updated").await["triage_id"], "T1");
        assert_eq!(client.expect("patient_alert").await["message"], "marker");
    }
}

#[tokio::test]
async fn a_socket_can_be_in_so_many_rooms_and_no_more() {
    let server = TestServer::builder()
        .set("WARDBELL__SOCKET__MAX_ROOMS", "2")
        .start()
        .await;
    let mut client = server.connect(&admin()).await;
    client.join("patient_P1").await;
    client.join("patient_P2").await;

    let answer = client.call("join_room", json!({"room": "patient_P3"})).await;

    assert_eq!(answer["code"], "too_many_rooms");
    assert_eq!(client.expect("error").await, answer);
    client.join("patient_P1").await; // where it is already
    client.leave("patient_P1").await;
    client.join("patient_P3").await;
}

#[tokio::test]
async fn a_socket_that_sends_too_many_events_is_told_and_then_closed() {
    let server = TestServer::builder()
        .set("WARDBELL__SOCKET__EVENTS_PER_SECOND", "1")
        .set("WARDBELL__SOCKET__EVENTS_BURST", "5")
        .start()
        .await;
    let mut client = server.connect(&admin()).await;

    for _ in 0..5 {
        client.join("patient_P1").await;
    }
    let limited = client.call("join_room", json!({"room": "patient_P1"})).await;
    assert_eq!(limited["code"], "rate_limited");
    assert_eq!(client.expect("error").await, limited);

    for _ in 0..1_000 {
        client.emit("an event that nobody knows", json!({}));
    }
    client.until_closed().await;
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn unknown_events_are_not_answered() {
    let server = TestServer::start().await;
    let mut client = server.connect(&admin()).await;

    client.emit("typing", json!({"room": "patient_P1"}));
    client.send_raw("427[\"typing\",{}]".to_owned());

    server.assert_silent(&mut client, "P1").await;
}

#[tokio::test]
async fn who_vanishes_is_in_no_room_any_more() {
    let server = TestServer::start().await;
    for transport in [Transport::Websocket, Transport::Upgrade] {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("hospital_h1").await;
        eventually("the socket is counted", async || {
            (status(&server).await["active_connections"] == 1).then_some(())
        })
        .await;

        client.vanish();

        nobody_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_socket_hears_of_events_in_the_order_in_which_they_were_accepted() {
    let server = TestServer::start().await;
    let mut client = server.connect(&admin()).await;
    client.join("patient_P1").await;
    for n in 0..200 {
        server.alert("P1", "critical", &n.to_string()).await;
    }

    for n in 0..200 {
        match client.next("an alert").await {
            Packet::Event(name, arguments) if name == "patient_alert" => {
                assert_eq!(arguments.len(), 1);
                assert_eq!(arguments[0]["message"], Value::from(n.to_string()));
            }
            other @ (Packet::Event(..)
            | Packet::Ack(..)
            | Packet::Connected
            | Packet::Disconnected
            | Packet::Closed(_)) => {
                panic!("{other:?}")
            }
        }
    }
}
