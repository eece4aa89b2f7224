//! The OpenAPI document where contract B is on: every route of it, held to what the server does.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use wardbell::clock::Clock;

use super::{Clinic, appointment, message, staff};
use crate::api::documentation::{hold, hold_references, operations};
use crate::support::TestServer;

/// Contract B §6: method, pattern, a path, a body that it takes.
fn routes() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let status = json!({"status": "checked_in", "patientId": "P1"});
    let sent = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    let read = json!({"threadId": "T1", "readBy": "u1"});
    let task = json!({"id": "K1", "title": "Call", "assignedTo": "u1"});
    let result = json!({"id": "R1", "status": "final", "providerUserId": "u1"});
    let vitals = json!({"pulse": 80});
    vec![
        ("post", "/api/appointments", "/api/appointments", appointment("A1")),
        (
            "patch",
            "/api/appointments/{id}",
            "/api/appointments/A1",
            appointment("A1"),
        ),
        (
            "patch",
            "/api/appointments/{id}/status",
            "/api/appointments/A1/status",
            status,
        ),
        (
            "delete",
            "/api/appointments/{id}",
            "/api/appointments/A1",
            json!({"reason": "ill"}),
        ),
        (
            "post",
            "/api/messaging/{id}/messages",
            "/api/messaging/T1/messages",
            sent,
        ),
        (
            "put",
            "/api/messaging/{id}/participants",
            "/api/messaging/T1/participants",
            json!({"participants": ["u1"]}),
        ),
        (
            "get",
            "/api/messaging/unread-count",
            "/api/messaging/unread-count",
            Value::Null,
        ),
        ("patch", "/api/messages/{id}/read", "/api/messages/M1/read", read),
        ("post", "/api/tasks", "/api/tasks", task.clone()),
        ("patch", "/api/tasks/{id}", "/api/tasks/K1", task),
        ("post", "/api/lab-results", "/api/lab-results", result.clone()),
        ("patch", "/api/lab-results/{id}", "/api/lab-results/R1", result.clone()),
        ("post", "/api/orders", "/api/orders", result.clone()),
        ("patch", "/api/orders/{id}/status", "/api/orders/R1/status", result),
        (
            "patch",
            "/api/patients/{id}/vitals",
            "/api/patients/P1/vitals",
            vitals.clone(),
        ),
        (
            "post",
            "/api/patients/{id}/allergies",
            "/api/patients/P1/allergies",
            vitals.clone(),
        ),
        (
            "post",
            "/api/patients/{id}/medications",
            "/api/patients/P1/medications",
            vitals,
        ),
        (
            "get",
            "/api/patients/{id}/viewers",
            "/api/patients/P1/viewers",
            Value::Null,
        ),
        ("get", "/api/presence", "/api/presence", Value::Null),
        (
            "post",
            "/api/events",
            "/api/events",
            json!({"event": "claim:paid", "entity": {}}),
        ),
    ]
}

fn documented(document: &Value) -> BTreeSet<String> {
    operations(document).map(|(route, _)| route).collect()
}

#[tokio::test]
async fn its_routes_are_documented_where_it_is_on_and_nowhere_else() {
    let without = TestServer::start().await;
    let clinic = Clinic::start().await;

    let without = documented(&without.rest().get("/api/openapi.json").await.expect(200));
    let document = clinic.server.rest().get("/api/openapi.json").await.expect(200);

    let routes: BTreeSet<String> = routes()
        .iter()
        .map(|(method, path, ..)| format!("{method} {path}"))
        .collect();
    let with = documented(&document);
    assert!(with.is_superset(&without), "contract A's are still there");
    assert_eq!(with.difference(&without).cloned().collect::<BTreeSet<_>>(), routes);
    hold_references(&document);
    let ids: BTreeSet<&str> = operations(&document)
        .filter_map(|(_, operation)| operation["operationId"].as_str())
        .collect();
    assert_eq!(ids.len(), with.len(), "each operation has its own id");
}

#[tokio::test]
async fn nothing_is_asked_for_that_is_not_needed_and_no_answer_is_documented_that_nobody_gets() {
    let clinic = Clinic::start().await;

    let document = clinic.server.rest().get("/api/openapi.json").await.expect(200);

    let answers = |pattern: &str| -> Vec<String> {
        let answers = &document["paths"][pattern]["get"]["responses"];
        answers.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(answers("/api/presence"), ["200", "401", "403"]);
    assert_eq!(answers("/api/patients/{id}/viewers"), ["200", "401", "403", "422"]);
    assert_eq!(
        answers("/api/messaging/unread-count"),
        ["200", "401", "403", "422", "503"]
    );
    let cancelling = &document["paths"]["/api/appointments/{id}"]["delete"]["requestBody"];
    assert!(cancelling["content"].is_object(), "{cancelling}");
    assert_ne!(cancelling["required"], true);
}

#[tokio::test]
async fn every_route_takes_answers_and_refuses_as_it_is_documented() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let page = clinic.connect(&who).await;
    page.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    let rest = clinic.rest(&who);
    crate::support::eventually("somebody views the patient", async || {
        let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
        (viewers.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let document = rest.get("/api/openapi.json").await.expect(200);
    let token = who.token(clinic.server.clock.now());
    let elsewhere = clinic.server.rest().token(&token).header("x-tenant-id", "b");

    for (method, pattern, path, body) in routes() {
        let place = format!("{method} {pattern}");
        let operation = &document["paths"][pattern][method];
        let verb: reqwest::Method = method.to_uppercase().parse().unwrap();
        let sent = || Some(&body).filter(|body| !body.is_null()).map(ToString::to_string);
        let success = if method == "get" { 200 } else { 202 };
        if !body.is_null() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            hold(&document, schema, &body, &format!("{place} body"));
        }
        let answers = [
            (success, rest.ask(verb.clone(), path, sent()).await.expect(success)),
            (
                401,
                clinic.server.rest().ask(verb.clone(), path, sent()).await.expect(401),
            ),
            (403, elsewhere.ask(verb, path, sent()).await.expect(403)),
        ];
        for (status, answer) in answers {
            let schema = &operation["responses"][status.to_string()]["content"]["application/json"]["schema"];
            assert!(schema.is_object(), "{place}: {status} is not documented");
            hold(&document, schema, &answer, &format!("{place} {status}"));
        }
        let parameters = operation["parameters"].as_array().unwrap();
        assert!(
            parameters
                .iter()
                .any(|one| one["name"] == "x-tenant-id" && one["required"] == true),
            "{place}: the tenant is not documented"
        );
        assert_eq!(
            parameters.iter().any(|one| one["name"] == "Idempotency-Key"),
            method != "get",
            "{place}: what is told can be told once, and what is asked as often as one likes"
        );
    }
    page.vanish();
}
