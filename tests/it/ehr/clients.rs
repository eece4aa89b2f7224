//! What clients send: threads, and what is malformed, too much or none of their business.

use serde_json::{Value, json};

use super::{Clinic, dropped, message, names, staff, until, until_about};
use crate::support::{Client, doctor, eventually};

pub(super) async fn two(clinic: &Clinic) -> (Client, Client) {
    let (a, b) = (staff("a", "u1"), staff("a", "u2"));
    clinic.thread(&a, "T1", &["u1", "u2"]).await;
    let mut one = clinic.connect(&a).await;
    let other = clinic.connect(&b).await;
    until_about(&mut one, "user:online", "u2").await;
    (one, other)
}

#[tokio::test]
async fn only_participants_join_and_type() {
    let clinic = Clinic::start().await;
    let (_one, mut other) = two(&clinic).await;
    let outsider = clinic.connect(&staff("a", "u3")).await;
    let before = dropped(&clinic.server).await;

    outsider.emit("message:join-thread", json!("T1"));
    outsider.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    outsider.emit("message:join-thread", json!("unknown"));

    eventually("three are dropped", async || {
        (dropped(&clinic.server).await == before + 3).then_some(())
    })
    .await;
    let heard = clinic.heard(&mut other, &staff("a", "u2")).await;
    assert!(!names(&heard).contains(&"message:typing"), "{heard:?}");
}

#[tokio::test]
async fn participants_are_what_the_backend_said_last() {
    let clinic = Clinic::start().await;
    let (one, mut other) = two(&clinic).await;
    let writer = staff("a", "u1");
    let body = json!({"message": message("M1", "T1", "u1"), "participants": ["u1", "u3"]});
    clinic
        .rest(&writer)
        .post("/api/messaging/T1/messages", &body)
        .await
        .expect(202);

    one.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    let mut third = clinic.connect(&staff("a", "u3")).await;
    one.emit("message:typing", json!({"threadId": "T1", "isTyping": false}));

    until(&mut third, "message:typing").await;
    let heard = clinic.heard(&mut other, &staff("a", "u2")).await;
    assert!(
        !names(&heard).iter().any(|name| name.starts_with("message:")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn what_is_malformed_is_counted_and_harmless() {
    let clinic = Clinic::start().await;
    let (one, mut other) = two(&clinic).await;
    let before = dropped(&clinic.server).await;
    let long = "x".repeat(500_000);
    let malformed: Vec<(&str, Value)> = vec![
        ("message:join-thread", Value::Null),
        ("message:join-thread", json!({"threadId": "T1"})),
        ("message:join-thread", json!("")),
        ("message:join-thread", json!(["T1"])),
        ("message:join-thread", json!(long)),
        ("message:leave-thread", json!(7)),
        ("message:typing", json!("T1")),
        ("message:typing", json!({"threadId": "T1"})),
        ("message:typing", json!({"threadId": "T1", "isTyping": "yes"})),
        ("message:typing", json!({"threadId": long, "isTyping": false})),
        ("user:status", json!("busy")),
        ("user:status", json!({"status": "away"})),
        ("patient:viewing", json!({"isViewing": true})),
        ("patient:viewing", json!({"patientId": "a b", "isViewing": true})),
        ("patient:viewing", json!({"patientId": "P1", "isViewing": null})),
        ("join_room", json!({"room": "tenant:b"})),
        ("no-such-event", json!(1)),
    ];

    for (event, payload) in &malformed {
        one.emit(event, payload.clone());
    }
    one.send_raw(r#"42["message:typing"]"#.to_owned());
    one.send_raw(r#"42["user:status","away","too","many"]"#.to_owned());

    assert_eq!(until(&mut other, "user:status").await["status"], "away", "it lives on");
    let expected = before + malformed.len() as u64 + 1;
    eventually("all are counted", async || {
        (dropped(&clinic.server).await == expected).then_some(())
    })
    .await;
    let viewers = clinic.rest(&staff("a", "u1")).get("/api/presence").await.expect(200);
    assert_eq!(viewers.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_id_of_ten_megabytes_ends_its_own_connection_and_no_other() {
    let clinic = Clinic::start().await;
    let (mut one, mut other) = two(&clinic).await;
    let mut ours = clinic.server.connect(&doctor()).await;

    one.emit("message:join-thread", json!("x".repeat(10_000_000)));
    ours.emit("join_room", json!({"room": "x".repeat(10_000_000)}));

    one.until_closed().await;
    ours.until_closed().await;
    assert_eq!(until(&mut other, "user:offline").await["userId"], "u1");
    let metrics = clinic.server.rest().get("/metrics").await.text;
    assert!(
        metrics.contains("\nwardbell_client_messages_too_large_total 2\n"),
        "both are counted, of either contract: {metrics}"
    );
}

#[tokio::test]
async fn thousands_of_joins_are_dropped_in_silence_and_others_hear_on_time() {
    let clinic = Clinic::start().await;
    let (mut one, mut other) = two(&clinic).await;
    for number in 0..3_000 {
        one.emit("message:join-thread", json!(format!("T{number}")));
    }

    clinic
        .rest(&staff("a", "u2"))
        .post("/api/appointments", &super::appointment("A1"))
        .await
        .expect(202);

    until(&mut other, "appointment:created").await;
    eventually("they are counted", async || {
        (dropped(&clinic.server).await >= 2_900).then_some(())
    })
    .await;
    let heard = clinic.heard(&mut one, &staff("a", "u1")).await;
    assert!(
        !names(&heard).contains(&"error"),
        "never answered, never cut off: {heard:?}"
    );
}

#[tokio::test]
async fn two_windows_of_one_user_both_hear_everything() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let (mut one, mut other) = (clinic.connect(&who).await, clinic.connect(&who).await);
    let rest = clinic.rest(&who);
    let task = json!({"id": "K1", "title": "Call", "assignedTo": "u1"});

    rest.post("/api/tasks", &task).await.expect(202);
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    rest.post("/api/messaging/T1/messages", &said).await.expect(202);
    one.emit("user:status", json!("online"));

    assert_eq!(
        until(&mut other, "user:status").await["userId"],
        "u1",
        "but the sender, which is a socket"
    );
    for client in [&mut one, &mut other] {
        let heard = clinic.heard(client, &who).await;
        assert!(!names(&heard).contains(&"user:online"), "{heard:?}");
    }
    other.vanish();
    rest.post("/api/tasks", &task).await.expect(202);
    until(&mut one, "notification:new").await;
}
