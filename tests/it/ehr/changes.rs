//! What is told of a change depends on what was told before.

use serde_json::{Value, json};

use super::{Clinic, appointment, names, next, staff};

/// The appointments that were told to a page, without their ids and times.
fn starts_and_states(heard: &[(String, Value)]) -> Vec<(&str, &str)> {
    heard
        .iter()
        .filter_map(|(_, payload)| {
            let appointment = &payload["appointment"];
            Some((appointment["scheduledStart"].as_str()?, appointment["status"].as_str()?))
        })
        .collect()
}

#[tokio::test]
async fn whoever_gets_a_task_back_that_was_nobodys_is_notified_again() {
    let clinic = Clinic::start().await;
    let nurse = staff("a", "N1");
    let mut at_nurse = clinic.connect(&nurse).await;
    let rest = clinic.rest(&nurse);
    let task = json!({"id": "K1", "title": "Call back", "assignedTo": "N1"});
    rest.post("/api/tasks", &task).await.expect(202);
    clinic.heard(&mut at_nurse, &nurse).await;

    let nobodys = json!({"title": "Call back", "assignedTo": null});
    let answer = rest.patch("/api/tasks/K1", &nobodys).await.expect(202);
    assert_eq!(answer["event_id"], Value::Null);
    rest.patch("/api/tasks/K1", &task).await.expect(202);
    rest.patch("/api/tasks/K1", &task).await.expect(202);

    let heard = clinic.heard(&mut at_nurse, &nurse).await;
    assert_eq!(names(&heard), ["notification:new"], "once, and not for the repetition");
}

#[tokio::test]
async fn an_orders_status_is_told_whether_the_order_is_wrapped_or_not() {
    let clinic = Clinic::start().await;
    let doctor = staff("a", "D1");
    let mut at_doctor = clinic.connect(&doctor).await;
    let rest = clinic.rest(&doctor);
    let order = json!({"status": "completed", "priority": "stat", "providerUserId": "D1", "patientName": "Erika M."});
    let without = json!({"priority": "stat", "providerUserId": "D1", "patientName": "Erika M."});

    for body in [
        order.clone(),
        json!({"order": order}),
        json!({"status": "completed", "order": without}),
    ] {
        rest.patch("/api/orders/O1/status", &body).await.expect(202);

        let (_, payload) = next(&mut at_doctor).await;
        let message = &payload["notification"]["message"];
        assert_eq!(message, "Order for Erika M. is now completed", "{body}");
    }
}

#[tokio::test]
async fn an_appointment_that_came_with_a_check_in_or_a_cancellation_is_known_afterwards() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut page = clinic.connect(&who).await;
    let rest = clinic.rest(&who);

    for (id, status) in [("A1", "checked_in"), ("A2", "cancelled")] {
        let path = format!("/api/appointments/{id}/status");
        let body = json!({"status": status, "patientId": "P1", "appointment": appointment(id)});
        rest.patch(&path, &body).await.expect(202);
        clinic.heard(&mut page, &who).await;

        rest.patch(&path, &json!({"status": "in_room"})).await.expect(202);

        let (name, payload) = next(&mut page).await;
        let mut whole = appointment(id);
        whole["status"] = json!("in_room");
        assert_eq!(
            (name.as_str(), &payload["appointment"]),
            ("appointment:updated", &whole)
        );
    }
    let mut half = appointment("A3");
    half["patientId"] = Value::Null;
    let body = json!({"status": "cancelled", "appointment": half});
    let refused = rest.patch("/api/appointments/A3/status", &body).await.expect(422);
    assert_eq!(refused["error"], "appointment.patientId is missing");
}

#[tokio::test]
async fn a_status_that_is_told_while_an_appointment_is_moved_does_not_move_it_back() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut page = clinic.connect(&who).await;
    let rest = clinic.rest(&who).keeping_connections();
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    clinic.heard(&mut page, &who).await;

    let body = json!({"status": "in_room"});
    for minute in 0..60 {
        let start = format!("2026-02-17T09:{minute:02}:00.000Z");
        let mut moved = appointment("A1");
        moved["scheduledStart"] = json!(start);
        let (in_room, moved) = tokio::join!(
            rest.patch("/api/appointments/A1/status", &body),
            rest.patch("/api/appointments/A1", &moved),
        );
        in_room.expect(202);
        moved.expect(202);

        let heard = clinic.heard(&mut page, &who).await;
        let told = starts_and_states(&heard);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1].0, start, "{told:?}");
    }
}
