//! Two clinics with the same ids: nothing of one is ever told to the other, whichever way one tries.

use serde_json::{Value, json};

use super::{Clinic, appointment, message, names, staff, until_about};
use crate::support::Client;

/// What a backend tells by the generic route. The last is not a test's marker.
const FURTHER: [&str; 24] = [
    "patient:updated",
    "encounter:created",
    "encounter:updated",
    "encounter:completed",
    "encounter:signed",
    "biopsy:created",
    "biopsy:updated",
    "biopsy:result_received",
    "biopsy:reviewed",
    "prescription:created",
    "prescription:sent",
    "prescription:status_changed",
    "claim:created",
    "claim:updated",
    "claim:status_changed",
    "claim:submitted",
    "claim:denied",
    "claim:paid",
    "prior_auth:created",
    "prior_auth:status_changed",
    "prior_auth:approved",
    "prior_auth:denied",
    "payment:posted",
    "payment:received",
];

/// The same user, patient and thread ids in two clinics.
struct Two {
    clinic: Clinic,
    a: super::Staff,
    b: super::Staff,
    at_a: Client,
    at_b: Client,
}

impl Two {
    async fn new() -> Self {
        let clinic = Clinic::start().await;
        let (a, b) = (staff("a", "u1"), staff("b", "u1"));
        for who in [&a, &b] {
            clinic.thread(who, "T1", &["u1", "u2"]).await;
        }
        let (mut at_a, mut at_b) = (clinic.connect(&a).await, clinic.connect(&b).await);
        for client in [&mut at_a, &mut at_b] {
            client.emit("message:join-thread", json!("T1"));
            client.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
        }
        let mut two = Self {
            clinic,
            a,
            b,
            at_a,
            at_b,
        };
        for who in [two.a.clone(), two.b.clone()] {
            let rest = two.clinic.rest(&who);
            crate::support::eventually("both view", async || {
                let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
                (viewers.as_array().unwrap().len() == 1).then_some(())
            })
            .await;
        }
        two.heard_at_b().await;
        two
    }

    /// Everything until a's page has been told that so much is unread, which another task counts than the one that tells the
    /// rest: what that would tell b is on its way by then.
    async fn heard_at_a_until_unread(&mut self, count: u64) -> Vec<(String, Value)> {
        let mut heard = Vec::new();
        loop {
            let (name, payload) = super::next(&mut self.at_a).await;
            let is_it = name == "message:unread-count" && payload["unreadCount"] == count;
            heard.push((name, payload));
            if is_it {
                return heard;
            }
        }
    }

    async fn heard_at_b(&mut self) -> Vec<(String, Value)> {
        self.clinic.heard(&mut self.at_b, &self.b).await
    }
}

#[tokio::test]
async fn no_route_tells_another_tenant_anything() {
    let mut two = Two::new().await;
    let rest = two.clinic.rest(&two.a);
    let task = json!({"id": "K1", "title": "Call", "assignedTo": "u1"});
    let result = json!({"id": "R1", "status": "final", "providerUserId": "u1", "priority": "stat"});
    let status = json!({"status": "checked_in", "patientId": "P1", "providerUserId": "u1", "priority": "stat"});
    let read = json!({"threadId": "T1", "readBy": "u1"});
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});

    rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    rest.patch("/api/appointments/A1", &appointment("A1")).await.expect(202);
    rest.patch("/api/appointments/A1/status", &status).await.expect(202);
    rest.ask(reqwest::Method::DELETE, "/api/appointments/A1", None)
        .await
        .expect(202);
    rest.post("/api/messaging/T1/messages", &said).await.expect(202);
    rest.patch("/api/messages/M1/read", &read).await.expect(202);
    rest.post("/api/tasks", &task).await.expect(202);
    rest.patch("/api/tasks/K2", &task).await.expect(202);
    rest.post("/api/lab-results", &result).await.expect(202);
    rest.patch("/api/lab-results/R2", &result).await.expect(202);
    rest.post("/api/orders", &result).await.expect(202);
    rest.patch("/api/orders/R1/status", &result).await.expect(202);
    rest.patch("/api/patients/P1/vitals", &json!({"x": 1}))
        .await
        .expect(202);
    rest.post("/api/patients/P1/allergies", &json!({"x": 1}))
        .await
        .expect(202);
    rest.post("/api/patients/P1/medications", &json!({"x": 1}))
        .await
        .expect(202);
    for room in [
        Value::Null,
        json!("user:u1"),
        json!("thread:T1"),
        json!("patient:P1"),
        json!("tenant:a"),
    ] {
        rest.post(
            "/api/events",
            &json!({"event": "claim:created", "entity": {}, "room": room}),
        )
        .await
        .expect(202);
    }
    rest.post(
        "/api/events",
        &json!({"event": "urgent_alert", "entity": {"message": "m"}}),
    )
    .await
    .expect(202);

    let mut at_a = two.heard_at_a_until_unread(0).await;
    at_a.extend(two.clinic.heard(&mut two.at_a, &two.a).await);
    let heard: std::collections::BTreeSet<&str> = names(&at_a).into_iter().collect();
    for event in [
        "appointment:created",
        "appointment:updated",
        "appointment:cancelled",
        "patient:checkin",
        "appointment:checkedin",
        "message:new",
        "message:notification",
        "message:read",
        "message:unread-count",
        "notification:new",
        "patient:vitals-updated",
        "patient:allergies-updated",
        "patient:medications-updated",
        "claim:created",
    ] {
        assert!(heard.contains(event), "{event} in its own tenant: {heard:?}");
    }
    assert_eq!(two.heard_at_b().await, [], "and nothing in the other");
}

#[tokio::test]
async fn none_of_the_further_events_is_told_to_another_tenant() {
    let mut two = Two::new().await;
    let rest = two.clinic.rest(&two.a);

    for event in FURTHER {
        let entity = json!({"id": "E1", "providerUserId": "u1", "status": "approved"});
        let body = json!({"event": event, "entity": entity});
        rest.post("/api/events", &body).await.expect(202);
    }

    let mut heard = Vec::new();
    while heard.last().is_none_or(|name| name != "payment:received") {
        heard.push(super::next(&mut two.at_a).await.0);
    }
    for event in FURTHER {
        assert!(
            heard.iter().any(|name| name == event),
            "{event} in its own tenant: {heard:?}"
        );
    }
    assert_eq!(two.heard_at_b().await, [], "and nothing in the other");
}

#[tokio::test]
async fn who_takes_part_in_a_thread_of_that_name_in_another_tenant_decides_nothing() {
    let mut two = Two::new().await;
    two.clinic.thread(&two.a, "T1", &["u2"]).await;
    let said = json!({"message": message("M1", "T1", "u2")});

    two.clinic
        .rest(&two.b)
        .post("/api/messaging/T1/messages", &said)
        .await
        .expect(202);
    two.clinic
        .rest(&two.a)
        .post("/api/messaging/T1/messages", &said)
        .await
        .expect(202);

    super::until(&mut two.at_b, "message:new").await;
    let at_a = two.clinic.heard(&mut two.at_a, &two.a).await;
    assert!(!names(&at_a).contains(&"message:new"), "{at_a:?}");
}

#[tokio::test]
async fn no_client_event_reaches_another_tenant() {
    let mut two = Two::new().await;
    let colleague = staff("a", "u2");
    let at_colleague = two.clinic.connect(&colleague).await;

    at_colleague.emit("message:join-thread", json!("T1"));
    at_colleague.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    at_colleague.emit("user:status", json!("away"));
    at_colleague.emit("patient:viewing", json!({"patientId": "P2", "isViewing": true}));

    let mut missing: std::collections::BTreeSet<&str> =
        ["user:online", "message:typing", "user:status", "patient:viewing"].into();
    while !missing.is_empty() {
        let (name, payload) = super::next(&mut two.at_a).await;
        if payload["userId"] == "u2" {
            missing.remove(name.as_str());
        }
    }
    at_colleague.vanish();
    until_about(&mut two.at_a, "user:offline", "u2").await;
    assert_eq!(two.heard_at_b().await, []);
}

#[tokio::test]
async fn what_a_client_names_is_inside_its_own_tenant_whatever_it_is_called() {
    let mut two = Two::new().await;
    for sly in ["tenant:b:thread:T1", "T1:../b", "%3A", "b:thread:T1", "*"] {
        two.at_a.emit("message:join-thread", json!(sly));
        two.at_a
            .emit("message:typing", json!({"threadId": sly, "isTyping": true}));
        two.at_a
            .emit("patient:viewing", json!({"patientId": sly, "isViewing": true}));
    }
    let rest = two.clinic.rest(&two.a);
    for room in ["tenant:b", "tenant:b:user:u1", "tenant:b:patient:P1", "patient_P1"] {
        let body = json!({"event": "claim:created", "entity": {"from": "a"}, "room": room});
        rest.post("/api/events", &body).await.expect(422);
    }
    let sly = json!({"event": "claim:created", "entity": {"from": "a"}, "room": "user:u1%3A"});
    rest.post("/api/events", &sly).await.expect(202);

    let in_b = json!({"event": "claim:created", "entity": {"from": "b"}, "room": "patient:P1"});
    two.clinic.rest(&two.b).post("/api/events", &in_b).await.expect(202);

    assert_eq!(names(&two.heard_at_b().await), ["claim:created"], "its own");
    let at_a = two.clinic.heard(&mut two.at_a, &two.a).await;
    assert!(!names(&at_a).contains(&"claim:created"), "{at_a:?}");
}

#[tokio::test]
async fn every_read_and_every_snapshot_is_of_ones_own_tenant() {
    let mut two = Two::new().await;
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    two.clinic
        .rest(&two.a)
        .post("/api/messaging/T1/messages", &said)
        .await
        .expect(202);
    two.heard_at_a_until_unread(1).await;
    let only = staff("c", "u9");

    let rest = two.clinic.rest(&only);
    assert_eq!(rest.get("/api/presence").await.expect(200), json!([]));
    assert_eq!(rest.get("/api/patients/P1/viewers").await.expect(200), json!([]));
    let at_b = two.clinic.rest(&two.b);
    assert_eq!(
        at_b.get("/api/messaging/unread-count").await.expect(200),
        json!({"count": 0})
    );
    assert_eq!(at_b.get("/api/presence").await.expect(200).as_array().unwrap().len(), 1);
    let mut newcomer = two.clinic.connect(&only).await;
    assert_eq!(
        two.clinic.heard(&mut newcomer, &only).await,
        [],
        "nobody is online and nobody views anybody in c"
    );
    assert_eq!(two.heard_at_b().await, []);
}

#[tokio::test]
async fn a_state_of_another_tenants_thing_decides_nothing() {
    let two = Two::new().await;
    let (a, b) = (two.clinic.rest(&two.a), two.clinic.rest(&two.b));
    a.post("/api/appointments", &appointment("A1")).await.expect(202);
    a.post("/api/tasks", &json!({"id": "K1", "title": "Call", "assignedTo": "u1"}))
        .await
        .expect(202);

    let unknown = b
        .patch("/api/appointments/A1/status", &json!({"status": "in_room"}))
        .await;
    let task = b
        .patch("/api/tasks/K1", &json!({"title": "Call", "assignedTo": "u1"}))
        .await
        .expect(202);

    assert!(!unknown.text.contains("Erika"), "{}", unknown.text);
    assert_eq!(unknown.status, 422);
    assert!(task["event_id"].is_string(), "new to b: {task}");
}

#[tokio::test]
async fn a_session_of_one_tenant_is_worth_nothing_in_another() {
    let two = Two::new().await;
    let pid = two.at_a.pid.clone().unwrap();
    two.clinic
        .rest(&two.a)
        .post("/api/appointments", &appointment("A1"))
        .await
        .expect(202);

    let returning = two.clinic.visitor(&two.b).returning(&pid, Some("0-0"));
    let mut thief = returning.attempt_without_greeting().await.unwrap();

    assert_ne!(thief.pid.as_ref(), Some(&pid), "a fresh session");
    super::until(&mut thief, "message:unread-count").await;
    let heard = two.clinic.heard(&mut thief, &two.b).await;
    assert!(!names(&heard).contains(&"appointment:created"), "{heard:?}");
    // Neither is one of contract A, nor one of contract B there.
    let ours = two.clinic.server.visitor().returning(&pid, Some("0-0")).connect().await;
    assert_ne!(ours.pid.as_ref(), Some(&pid));
}
