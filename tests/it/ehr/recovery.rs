//! What a page has back after its connection broke.

use serde_json::json;

use super::{Clinic, appointment, message, names, staff, until, until_about};
use crate::support::eventually;

#[tokio::test]
async fn a_page_that_comes_back_has_its_rooms_its_viewing_and_what_it_missed() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let rest = clinic.rest(&who);
    clinic.thread(&who, "T1", &["u1", "u2"]).await;
    let mut client = clinic.connect(&who).await;
    client.emit("message:join-thread", json!("T1"));
    client.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    rest.post("/api/appointments", &appointment("A0")).await.expect(202);
    let arguments = client.expect_arguments("appointment:created").await;
    let offset = arguments[1].as_str().unwrap().to_owned();
    let pid = client.pid.clone().unwrap();
    eventually("it views", async || {
        let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
        (viewers != json!([])).then_some(())
    })
    .await;

    client.vanish();
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    rest.post("/api/messaging/T1/messages", &said).await.expect(202);
    rest.patch("/api/patients/P1/vitals", &json!({"heartRate": 80}))
        .await
        .expect(202);
    rest.post(
        "/api/events",
        &json!({"event": "claim:created", "entity": {}, "room": "thread:T1"}),
    )
    .await
    .expect(202);
    let back = clinic.visitor(&who).returning(&pid, Some(&offset));
    let mut client = back.attempt_without_greeting().await.unwrap();

    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    let heard = clinic.heard(&mut client, &who).await;
    let told: Vec<&str> = names(&heard)
        .into_iter()
        .filter(|name| *name != "message:unread-count")
        .collect();
    assert_eq!(
        told,
        [
            "appointment:created",
            "message:new",
            "message:notification",
            "patient:vitals-updated",
            "claim:created"
        ]
    );
    // Whoever goes later and is gone has outlasted the grace of its broken connection.
    clinic.connect(&staff("a", "u3")).await.vanish();
    until_about(&mut client, "user:offline", "u3").await;
    let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
    assert_eq!(viewers.as_array().unwrap().len(), 1, "it still views: {viewers}");
    let unread = heard.iter().rfind(|(name, _)| name == "message:unread-count").unwrap();
    assert_eq!(unread.1["unreadCount"], 1);
}

#[tokio::test]
async fn whoever_was_taken_out_of_a_thread_meanwhile_does_not_get_its_room_back() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    clinic.thread(&who, "T1", &["u1"]).await;
    let client = clinic.connect(&who).await;
    client.emit("message:join-thread", json!("T1"));
    let pid = client.pid.clone().unwrap();
    let rest = clinic.rest(&who);
    let probe = json!({"event": "claim:created", "entity": {}, "room": "thread:T1"});
    let mut client = client;
    rest.post("/api/events", &probe).await.expect(202);
    until(&mut client, "claim:created").await;

    client.vanish();
    clinic.thread(&who, "T1", &["u2"]).await;
    rest.post("/api/events", &probe).await.expect(202);
    let back = clinic.visitor(&who).returning(&pid, None);
    let mut client = back.attempt_without_greeting().await.unwrap();

    assert_eq!(client.pid.as_ref(), Some(&pid));
    let heard = clinic.heard(&mut client, &who).await;
    assert!(
        heard.iter().filter(|(name, _)| name == "claim:created").count() <= 1,
        "{heard:?}"
    );
    rest.post("/api/events", &probe).await.expect(202);
    let heard = clinic.heard(&mut client, &who).await;
    assert!(!names(&heard).contains(&"claim:created"), "{heard:?}");
}

#[tokio::test]
async fn events_survive_a_restart_of_the_server() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let client = clinic.connect(&who).await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    clinic
        .rest(&who)
        .post("/api/appointments", &appointment("A1"))
        .await
        .expect(202);
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    clinic
        .rest(&who)
        .post("/api/messaging/T1/messages", &said)
        .await
        .expect(202);

    let clinic = Clinic {
        server: clinic.server.restart().await,
    };
    let back = clinic.visitor(&who).returning(&pid, None);
    let mut client = back.attempt_without_greeting().await.unwrap();

    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    until(&mut client, "appointment:created").await;
    until(&mut client, "message:new").await;
    let count = clinic.rest(&who).get("/api/messaging/unread-count").await.expect(200);
    assert_eq!(count, json!({"count": 1}));
}
