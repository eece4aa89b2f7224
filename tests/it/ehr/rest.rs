//! Every route of §6 and the exact payloads that follow from it.

use serde_json::{Value, json};
use wardbell::clock::Clock;

use super::{Clinic, NOW, appointment, message, names, next, staff};
use crate::support::service;

/// What the doctor has heard, and what the nurse.
type Both = (Vec<(String, Value)>, Vec<(String, Value)>);

/// A clinic with two people connected: a doctor D1 and a nurse N1.
struct Scene {
    clinic: Clinic,
    doctor: super::Staff,
    nurse: super::Staff,
    at_doctor: crate::support::Client,
    at_nurse: crate::support::Client,
}

impl Scene {
    async fn new() -> Self {
        let clinic = Clinic::start().await;
        let (doctor, nurse) = (staff("a", "D1"), staff("a", "N1"));
        let mut at_doctor = clinic.connect(&doctor).await;
        let at_nurse = clinic.connect(&nurse).await;
        super::until_about(&mut at_doctor, "user:online", "N1").await;
        let mut scene = Self {
            clinic,
            doctor,
            nurse,
            at_doctor,
            at_nurse,
        };
        scene.heard().await;
        scene
    }

    /// What each has heard since.
    async fn heard(&mut self) -> Both {
        let doctor = self.clinic.heard(&mut self.at_doctor, &self.doctor).await;
        let nurse = self.clinic.heard(&mut self.at_nurse, &self.nurse).await;
        (doctor, nurse)
    }

    fn rest(&self) -> crate::support::Rest {
        self.clinic.rest(&self.doctor)
    }
}

fn all(event: &str, payload: &Value) -> Both {
    let one = vec![(event.to_owned(), payload.clone())];
    (one.clone(), one)
}

#[tokio::test]
async fn appointments_are_created_updated_and_cancelled() {
    let mut scene = Scene::new().await;
    let rest = scene.rest();

    let answer = rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    assert!(
        answer["event_id"].is_string() && answer["delivered"] == true,
        "{answer}"
    );
    let whole = json!({"appointment": appointment("A1"), "timestamp": NOW});
    assert_eq!(scene.heard().await, all("appointment:created", &whole));

    rest.patch("/api/appointments/A1", &json!({"appointment": appointment("A1")}))
        .await
        .expect(202);
    assert_eq!(scene.heard().await, all("appointment:updated", &whole));

    rest.ask(
        reqwest::Method::DELETE,
        "/api/appointments/A1",
        Some(r#"{"reason":"ill"}"#.to_owned()),
    )
    .await
    .expect(202);
    let cancelled = json!({"appointmentId": "A1", "reason": "ill", "timestamp": NOW});
    assert_eq!(scene.heard().await, all("appointment:cancelled", &cancelled));
    rest.ask(reqwest::Method::DELETE, "/api/appointments/A1", None)
        .await
        .expect(202);
    let cancelled = json!({"appointmentId": "A1", "timestamp": NOW});
    assert_eq!(scene.heard().await, all("appointment:cancelled", &cancelled));
}

#[tokio::test]
async fn a_check_in_is_told_by_both_names_and_other_states_as_a_whole_appointment() {
    let mut scene = Scene::new().await;
    let rest = scene.rest();
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    scene.heard().await;
    let path = "/api/appointments/A1/status";

    let body = json!({"status": "checked_in", "patientId": "P1", "patientName": "Erika M."});
    rest.patch(path, &body).await.expect(202);
    let told = json!({"appointmentId": "A1", "patientId": "P1", "patientName": "Erika M.", "timestamp": NOW});
    let both = ["patient:checkin", "appointment:checkedin"].map(|name| (name.to_owned(), told.clone()));
    assert_eq!(scene.heard().await, (both.to_vec(), both.to_vec()));

    rest.patch(path, &json!({"status": "cancelled", "patientId": "P1"}))
        .await
        .expect(202);
    assert_eq!(names(&scene.heard().await.1), ["appointment:cancelled"]);

    rest.patch(path, &json!({"status": "in_room", "patientId": "P1"}))
        .await
        .expect(202);
    let mut whole = appointment("A1");
    whole["status"] = json!("in_room");
    let whole = json!({"appointment": whole, "timestamp": NOW});
    assert_eq!(
        scene.heard().await,
        all("appointment:updated", &whole),
        "whole, though only the status was said"
    );

    let unknown = rest
        .patch("/api/appointments/A9/status", &json!({"status": "in_room"}))
        .await;
    assert!(
        unknown.expect(422)["error"]
            .as_str()
            .unwrap()
            .contains("appointment is missing")
    );
}

#[tokio::test]
async fn a_message_reaches_its_participants_with_a_notification_and_counts() {
    let mut scene = Scene::new().await;
    let other = staff("a", "X1");
    let mut outsider = scene.clinic.connect(&other).await;
    super::until_about(&mut scene.at_doctor, "user:online", "X1").await;
    scene.heard().await;
    let body = json!({"message": message("M1", "T1", "D1"), "participants": ["D1", "N1"]});

    scene.rest().post("/api/messaging/T1/messages", &body).await.expect(202);

    let new = json!({"message": message("M1", "T1", "D1"), "timestamp": NOW});
    let notification = json!({
        "threadId": "T1", "messageId": "M1", "sender": "D1", "preview": "Please call back", "timestamp": NOW,
    });
    assert_eq!(next(&mut scene.at_nurse).await, ("message:new".to_owned(), new.clone()));
    assert_eq!(
        next(&mut scene.at_nurse).await,
        ("message:notification".to_owned(), notification)
    );
    let count = json!({"unreadCount": 1, "timestamp": NOW});
    assert_eq!(
        next(&mut scene.at_nurse).await,
        ("message:unread-count".to_owned(), count)
    );
    let (doctor, _) = scene.heard().await;
    assert_eq!(
        doctor,
        [("message:new".to_owned(), new)],
        "the sender's sockets, without a notification"
    );
    let outside = scene.clinic.heard(&mut outsider, &other).await;
    assert!(
        !names(&outside).iter().any(|name| name.starts_with("message:")),
        "{outside:?}"
    );
    let at_nurse = scene.clinic.rest(&scene.nurse);
    assert_eq!(
        at_nurse.get("/api/messaging/unread-count").await.expect(200),
        json!({"count": 1})
    );

    // The same again counts once.
    scene.rest().post("/api/messaging/T1/messages", &body).await.expect(202);
    scene.heard().await;
    let read = json!({"threadId": "T1", "readBy": "N1", "readAt": "2026-02-15T11:30:00+01:00"});
    at_nurse.patch("/api/messages/M1/read", &read).await.expect(202);
    let told = json!({
        "messageId": "M1", "threadId": "T1", "readBy": "N1", "readAt": "2026-02-15T10:30:00.000Z", "timestamp": NOW,
    });
    assert_eq!(super::until(&mut scene.at_doctor, "message:read").await, told);
    let mut counts = Vec::new();
    while counts.last() != Some(&json!(0)) {
        counts.push(super::until(&mut scene.at_nurse, "message:unread-count").await["unreadCount"].take());
    }
    assert!(counts.iter().all(|count| *count == 0 || *count == 1), "{counts:?}");
    assert_eq!(
        at_nurse.get("/api/messaging/unread-count").await.expect(200),
        json!({"count": 0})
    );
}

#[tokio::test]
async fn a_task_notifies_whoever_has_it_and_only_when_that_changes() {
    let mut scene = Scene::new().await;
    let rest = scene.rest();
    let task = json!({"id": "K1", "title": "Call back", "assignedTo": "N1", "priority": "high"});

    rest.post("/api/tasks", &task).await.expect(202);
    let (doctor, nurse) = scene.heard().await;
    assert!(doctor.is_empty(), "{doctor:?}");
    let notification = &nurse[0].1["notification"];
    assert_eq!(nurse[0].0, "notification:new");
    notification["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    assert_eq!(
        (
            &notification["type"],
            &notification["message"],
            &notification["createdAt"],
            &nurse[0].1["timestamp"]
        ),
        (
            &json!("task_assigned"),
            &json!("You have been assigned: Call back"),
            &json!(NOW),
            &json!(NOW)
        )
    );

    let unchanged = rest
        .patch("/api/tasks/K1", &json!({"title": "Call", "assignedTo": "N1"}))
        .await
        .expect(202);
    assert_eq!(unchanged["event_id"], Value::Null);
    rest.patch("/api/tasks/K1", &json!({"title": "Call"})).await.expect(202);
    assert_eq!(scene.heard().await, (vec![], vec![]));
    rest.patch("/api/tasks/K1", &json!({"title": "Call", "assignedTo": "D1"}))
        .await
        .expect(202);
    let (doctor, nurse) = scene.heard().await;
    assert_eq!((names(&doctor), nurse.len()), (vec!["notification:new"], 0));
}

#[tokio::test]
async fn results_and_orders_notify_the_providers_user() {
    let mut scene = Scene::new().await;
    let rest = scene.rest();
    let result = json!({"id": "R1", "orderId": "O1", "orderType": "CBC", "patientName": "Erika M.", "status": "pending",
                        "flag": "panic_value", "providerUserId": "D1"});

    rest.post("/api/lab-results", &result).await.expect(202);
    let (doctor, nurse) = scene.heard().await;
    assert_eq!(doctor[0].1["notification"]["title"], "URGENT: Lab Result Ready");
    assert!(nurse.is_empty());
    rest.patch("/api/lab-results/R1", &result).await.expect(202);
    assert!(scene.heard().await.0.is_empty(), "the status is the same");
    let mut done = result.clone();
    done["status"] = json!("final");
    rest.patch("/api/lab-results/R1", &done).await.expect(202);
    assert_eq!(names(&scene.heard().await.0), ["notification:new"]);

    let order = json!({"id": "O1", "orderType": "CBC", "patientName": "Erika M.", "priority": "routine", "providerUserId": "D1"});
    rest.post("/api/orders", &order).await.expect(202);
    assert_eq!(scene.heard().await.0[0].1["notification"]["priority"], "normal");
    rest.patch(
        "/api/orders/O1/status",
        &json!({"status": "done", "priority": "routine", "providerUserId": "D1"}),
    )
    .await
    .expect(202);
    assert!(scene.heard().await.0.is_empty(), "not urgent");
    rest.patch(
        "/api/orders/O1/status",
        &json!({"status": "done", "priority": "stat", "providerUserId": "D1"}),
    )
    .await
    .expect(202);
    assert_eq!(scene.heard().await.0[0].1["notification"]["priority"], "urgent");
}

#[tokio::test]
async fn what_changes_of_a_patient_is_told_to_those_who_view_them() {
    let mut scene = Scene::new().await;
    scene
        .at_nurse
        .emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    super::until(&mut scene.at_doctor, "patient:viewing").await;
    let rest = scene.rest();

    let body = json!({"heartRate": 80, "note": null, "patientId": "P9", "timestamp": "never"});
    rest.patch("/api/patients/P1/vitals", &body).await.expect(202);
    rest.post("/api/patients/P1/allergies", &json!({"allergies": ["nuts"]}))
        .await
        .expect(202);
    rest.post("/api/patients/P1/medications", &json!({"medications": []}))
        .await
        .expect(202);

    let (doctor, nurse) = scene.heard().await;
    assert!(doctor.is_empty(), "{doctor:?}");
    let told = [
        (
            "patient:vitals-updated",
            json!({"patientId": "P1", "heartRate": 80, "timestamp": NOW}),
        ),
        (
            "patient:allergies-updated",
            json!({"patientId": "P1", "allergies": ["nuts"], "timestamp": NOW}),
        ),
        (
            "patient:medications-updated",
            json!({"patientId": "P1", "medications": [], "timestamp": NOW}),
        ),
    ];
    assert_eq!(nurse, told.map(|(name, payload)| (name.to_owned(), payload)));
}

#[tokio::test]
async fn further_events_go_to_the_tenant_or_a_room_of_it() {
    let mut scene = Scene::new().await;
    let rest = scene.rest();
    let post = async |body: Value| rest.post("/api/events", &body).await;

    post(json!({"event": "encounter:signed", "entity": {"id": "E1", "note": null}}))
        .await
        .expect(202);
    let payload = json!({"entity": {"id": "E1"}, "timestamp": NOW});
    assert_eq!(scene.heard().await, all("encounter:signed", &payload));
    post(json!({"event": "claim:denied", "entity": {"id": "C1"}, "room": "user:N1"}))
        .await
        .expect(202);
    let (doctor, nurse) = scene.heard().await;
    assert_eq!((doctor.len(), names(&nurse)), (0, vec!["claim:denied"]));
    let authorisation = json!({"id": "PA1", "patientName": "Erika M.", "status": "approved", "providerUserId": "D1"});
    post(json!({"event": "prior_auth:approved", "entity": authorisation}))
        .await
        .expect(202);
    let (doctor, nurse) = scene.heard().await;
    assert_eq!(names(&doctor), ["prior_auth:approved", "notification:new"]);
    assert_eq!(names(&nurse), ["prior_auth:approved"]);
    post(json!({"event": "urgent_alert", "entity": {"message": "Fire drill"}}))
        .await
        .expect(202);
    assert_eq!(names(&scene.heard().await.1), ["notification:new"]);

    for wrong in [
        json!({"event": "message:new", "entity": {}}),
        json!({"event": "join_room", "entity": {}}),
        json!({"entity": {}}),
        json!({"event": "claim:paid", "entity": []}),
        json!({"event": "claim:paid", "entity": {}, "room": "ward:1"}),
        json!({"event": "claim:paid", "entity": {}, "room": 1}),
    ] {
        assert!(post(wrong.clone()).await.expect(422)["error"].is_string(), "{wrong}");
    }
}

#[tokio::test]
async fn who_is_not_entitled_is_refused_in_the_words_of_the_contract() {
    let clinic = Clinic::of(Clinic::builder().mode("token")).await;
    let who = staff("a", "u1");
    let now = clinic.server.clock.now();
    let bare = clinic.server.rest();
    let error = |text: &str| json!({"error": text});

    assert_eq!(bare.get("/api/presence").await.expect(401), error("Missing token"));
    assert_eq!(
        bare.clone().token("x").get("/api/presence").await.expect(401),
        error("Invalid token")
    );
    let doctors = crate::support::doctor().token(now);
    let as_doctor = bare.clone().token(&doctors).header("x-tenant-id", "a");
    assert_eq!(as_doctor.get("/api/presence").await.expect(401), error("Invalid token"));
    let mine = bare.clone().token(&who.token(now));
    assert_eq!(mine.get("/api/presence").await.expect(403), error("Invalid tenant"));
    let foreign = mine.header("x-tenant-id", "b");
    assert_eq!(foreign.get("/api/presence").await.expect(403), error("Invalid tenant"));

    let backend = bare.clone().token(&service().token(now)).header("x-tenant-id", "a");
    assert_eq!(backend.get("/api/presence").await.expect(200), json!([]));
    let bound = service().with("tenantId", json!("a")).token(now);
    let elsewhere = bare.clone().token(&bound).header("x-tenant-id", "b");
    assert_eq!(
        elsewhere.get("/api/presence").await.expect(403),
        error("Invalid tenant")
    );
    let its_own = bare.clone().token(&bound).header("x-tenant-id", "a");
    assert_eq!(its_own.get("/api/presence").await.expect(200), json!([]));
    // What binds it to something that is no tenant does not set it free.
    for bound in [json!(["a"]), json!({}), json!(""), json!(true), json!("x".repeat(129))] {
        let token = service().with("tenantId", bound.clone()).token(now);
        let nowhere = bare.clone().token(&token).header("x-tenant-id", "a");
        let refused = nowhere.get("/api/presence").await.expect(403);
        assert_eq!(refused, error("Invalid tenant"), "{bound}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_without_repeating_it() {
    let clinic = Clinic::start().await;
    let rest = clinic.rest(&staff("a", "u1"));
    let mut half = appointment("A1");
    half["scheduledStart"] = Value::Null;

    assert_eq!(
        rest.ask(reqwest::Method::POST, "/api/appointments", Some("{".to_owned()))
            .await
            .expect(400)["error"],
        "The body must be a JSON object"
    );
    assert_eq!(
        rest.ask(reqwest::Method::POST, "/api/events", Some("[1]".to_owned()))
            .await
            .status,
        400
    );
    assert_eq!(
        rest.post("/api/appointments", &half).await.expect(422)["error"],
        "appointment.scheduledStart is missing"
    );
    let long: String = (0..300).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    for wrong in [json!(long), json!("A\u{1}"), json!("")] {
        let mut named = appointment("A1");
        named["id"] = wrong;
        let refused = rest.post("/api/appointments", &named).await.expect(422);
        assert_eq!(refused["error"], "appointment.id must be an id");
    }
    let mine = json!({"message": message("M1", "T2", "u1"), "participants": []});
    assert_eq!(rest.post("/api/messaging/T1/messages", &mine).await.status, 422);
    let crowd: Vec<String> = (0..257).map(|number| number.to_string()).collect();
    assert_eq!(
        rest.put("/api/messaging/T1/participants", &json!({"participants": crowd}))
            .await
            .status,
        422
    );
    let huge = format!(r#"{{"event":"{}"}}"#, "x".repeat(2_000_000));
    assert_eq!(
        rest.ask(reqwest::Method::POST, "/api/events", Some(huge)).await.status,
        413
    );
}
