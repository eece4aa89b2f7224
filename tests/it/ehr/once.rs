//! `Idempotency-Key` on the routes of §6: a backend that was not answered tells the same again, and nobody hears it twice.

use serde_json::{Value, json};

use super::{Clinic, Staff, appointment, message, names, staff, until};
use crate::support::{Answer, Rest};

/// Their backend, with this key.
fn under(clinic: &Clinic, who: &Staff, key: &str) -> Rest {
    clinic.rest(who).header("idempotency-key", key)
}

fn is_replayed(answer: &Answer) -> bool {
    match answer.header("idempotency-replayed") {
        None => false,
        Some(value) => {
            assert_eq!(value, "true");
            true
        }
    }
}

fn text_of(id: &str, participants: &[&str]) -> Value {
    json!({"message": message(id, "T1", "u2"), "participants": participants})
}

#[tokio::test]
async fn a_message_that_is_told_again_under_its_key_is_heard_once_and_answered_as_before() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut client = clinic.connect(&who).await;
    let rest = under(&clinic, &who, "4711");
    let path = "/api/messaging/T1/messages";

    let first = rest.post(path, &text_of("M1", &["u1", "u2"])).await;
    let second = rest.post(path, &text_of("M1", &["u1", "u2"])).await;

    assert!(!is_replayed(&first) && is_replayed(&second));
    let (first, second) = (first.expect(202), second.expect(202));
    assert!(first["event_id"].is_string(), "{first}");
    assert_eq!(first, second);
    let heard = clinic.heard(&mut client, &who).await;
    let heard: Vec<_> = names(&heard)
        .into_iter()
        .filter(|name| *name == "message:new")
        .collect();
    assert_eq!(heard, ["message:new"]);
}

#[tokio::test]
async fn the_same_told_many_times_at_once_is_heard_once() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut client = clinic.connect(&who).await;
    let rest = under(&clinic, &who, "at-once");

    let body = appointment("A1");
    let told = (0..16).map(|_| rest.post("/api/appointments", &body));
    let answers = futures_util::future::join_all(told).await;

    assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    let bodies: Vec<Value> = answers.iter().map(|answer| answer.expect(202)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let heard = clinic.heard(&mut client, &who).await;
    assert_eq!(names(&heard), ["appointment:created"]);
}

#[tokio::test]
async fn a_key_with_another_body_or_path_is_refused_and_nothing_is_told() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut client = clinic.connect(&who).await;
    let rest = under(&clinic, &who, "4711");
    rest.post("/api/messaging/T1/messages", &text_of("M1", &["u1", "u2"]))
        .await
        .expect(202);
    // Counted by another task than the one that tells the message.
    until(&mut client, "message:unread-count").await;
    clinic.heard(&mut client, &who).await;

    for (path, body) in [
        ("/api/messaging/T1/messages", text_of("M2", &["u1", "u2"])),
        ("/api/messaging/T2/messages", text_of("M1", &["u1", "u2"])),
    ] {
        let refused = rest.post(path, &body).await.expect(422);
        assert!(
            refused["error"].as_str().unwrap().contains("Idempotency-Key"),
            "{refused}"
        );
    }

    assert_eq!(names(&clinic.heard(&mut client, &who).await), [""; 0]);
}

#[tokio::test]
async fn a_key_is_another_one_for_another_tenant_and_another_route() {
    let clinic = Clinic::start().await;
    let (one, other) = (staff("a", "u1"), staff("b", "u1"));
    let mut at_other = clinic.connect(&other).await;
    let sent = text_of("M1", &["u1", "u2"]);
    let path = "/api/messaging/T1/messages";
    let first = under(&clinic, &one, "4711").post(path, &sent).await.expect(202);

    let elsewhere = under(&clinic, &other, "4711").post(path, &sent).await;
    let another_route = under(&clinic, &one, "4711")
        .post("/api/appointments", &appointment("A1"))
        .await;

    assert!(!is_replayed(&elsewhere) && !is_replayed(&another_route));
    assert_ne!(elsewhere.expect(202)["event_id"], first["event_id"]);
    another_route.expect(202);
    let heard = clinic.heard(&mut at_other, &other).await;
    assert_eq!(names(&heard)[0], "message:new");
}

#[tokio::test]
async fn every_way_to_tell_something_can_be_told_once() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let rest = under(&clinic, &who, "the-same");
    let status = json!({"status": "checked_in", "patientId": "P1"});
    for (method, path, body) in [
        ("PATCH", "/api/appointments/A1", appointment("A1")),
        ("PATCH", "/api/appointments/A1/status", status),
        ("DELETE", "/api/appointments/A1", json!({})),
        ("PUT", "/api/messaging/T1/participants", json!({"participants": ["u1"]})),
        (
            "PATCH",
            "/api/messages/M1/read",
            json!({"threadId": "T1", "readBy": "u1"}),
        ),
        (
            "POST",
            "/api/tasks",
            json!({"id": "K1", "title": "Call", "assignedTo": "u1"}),
        ),
        ("POST", "/api/events", json!({"event": "claim:paid", "entity": {}})),
    ] {
        let ask = || rest.ask(method.parse().unwrap(), path, Some(body.to_string()));

        let (first, second) = (ask().await, ask().await);

        assert!(!is_replayed(&first) && is_replayed(&second), "{method} {path}");
        assert_eq!(first.expect(202), second.expect(202), "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_name_after_the_caller_is_known() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let long = "k".repeat(256);

    for key in ["", "a b", &long] {
        let refused = under(&clinic, &who, key)
            .post("/api/appointments", &appointment("A1"))
            .await;
        let refused = refused.expect(422);
        assert!(
            refused["error"].as_str().unwrap().contains("Idempotency-Key"),
            "{refused}"
        );
    }
    let stranger = clinic.server.rest().header("idempotency-key", "4711");
    let refused = stranger.post("/api/appointments", &appointment("A1")).await;
    assert_eq!(refused.expect(401), json!({"error": "Missing token"}));
}

#[tokio::test]
async fn participants_that_were_told_before_do_not_come_back() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut client = clinic.connect(&who).await;
    let sent = text_of("M1", &["u1", "u2"]);
    let rest = under(&clinic, &who, "4711");
    rest.post("/api/messaging/T1/messages", &sent).await.expect(202);
    clinic.thread(&who, "T1", &["u2", "u3"]).await;
    clinic.heard(&mut client, &who).await;

    assert!(is_replayed(&rest.post("/api/messaging/T1/messages", &sent).await));
    let next = json!({"message": message("M2", "T1", "u2")});
    clinic
        .rest(&who)
        .post("/api/messaging/T1/messages", &next)
        .await
        .expect(202);

    assert_eq!(names(&clinic.heard(&mut client, &who).await), [""; 0]);
}
