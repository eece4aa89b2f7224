//! Who is let in, and in which words the others are refused.

use serde_json::{Value, json};
use wardbell::clock::Clock;

use super::{Clinic, names, staff, until};
use crate::support::people::SECRET;
use crate::support::{TestServer, doctor};

#[tokio::test]
async fn rejections_come_in_their_order_and_wording() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let now = clinic.server.clock.now();
    let good = who.token(now);
    let at = |auth: Value| clinic.server.visitor().auth(auth);

    for (auth, expected) in [
        (json!({"tenantId": "a"}), "Authentication token required"),
        (json!({"tenantId": ""}), "Authentication token required"),
        (json!({"token": "", "tenantId": null}), "Authentication token required"),
        (json!({"token": 7, "tenantId": "a"}), "Authentication token required"),
        (json!({"token": good}), "Tenant ID required"),
        (json!({"token": good, "tenantId": ""}), "Tenant ID required"),
        (json!({"token": good, "tenantId": {"a": 1}}), "Tenant ID required"),
        (json!({"token": "bad", "tenantId": "a"}), "Invalid authentication token"),
        (
            json!({"token": format!("Bearer {good}"), "tenantId": "a"}),
            "Invalid authentication token",
        ),
        (
            json!({"token": who.token_signed_with(now, SECRET), "tenantId": "a"}),
            "Invalid authentication token",
        ),
        // What is wrong with the token comes first: nobody learns whether a tenant exists.
        (json!({"token": "bad", "tenantId": "b"}), "Invalid authentication token"),
        (json!({"token": good, "tenantId": "b"}), "Invalid tenant ID"),
    ] {
        assert_eq!(Clinic::refused(at(auth.clone())).await, expected, "{auth}");
    }
    for (claim, value) in [
        ("id", Value::Null),
        ("tenantId", Value::Null),
        ("exp", json!(now.as_secs() - 60)),
        ("type", json!("refresh")),
        ("tokenType", json!("refresh")),
        ("accountId", json!("portal")),
        ("iss", json!("other")),
    ] {
        let token = who.clone().with(claim, value).token(now);
        let refused = Clinic::refused(at(json!({"token": token, "tenantId": "a"}))).await;
        assert_eq!(refused, "Invalid authentication token", "{claim}");
    }
}

#[tokio::test]
async fn nothing_is_sent_before_the_listeners_are_there_and_what_happened_meanwhile_comes_then() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let mut client = clinic.visitor(&who).attempt_without_greeting().await.unwrap();
    let connected_at = std::time::Instant::now();
    let rest = clinic.rest(&who);
    rest.post("/api/appointments", &super::appointment("A1"))
        .await
        .expect(202);

    let (first, _) = super::next(&mut client).await;
    let waited = connected_at.elapsed();
    let (second, _) = super::next(&mut client).await;

    assert_eq!(first, "appointment:created", "not lost");
    assert!(waited >= std::time::Duration::from_millis(250), "{waited:?}");
    assert_eq!(second, "message:unread-count");
    assert!(clinic.heard(&mut client, &who).await.is_empty());
}

#[tokio::test]
async fn a_token_that_pages_are_not_shown_comes_in_the_cookie() {
    let clinic = Clinic::start().await;
    let who = staff("a", "u1");
    let cookie = format!("theme=dark; derm_staff_access={}", who.token(clinic.server.clock.now()));

    for placeholder in ["", "__http_only_cookie__", "cookie", "__cookie__"] {
        let visitor = clinic.server.visitor().header("cookie", &cookie);
        let visitor = visitor.auth(json!({"token": placeholder, "tenantId": "a"}));
        let mut client = visitor.attempt_without_greeting().await.unwrap();
        until(&mut client, "message:unread-count").await;
    }
    let visitor = clinic
        .server
        .visitor()
        .auth(json!({"token": "__cookie__", "tenantId": "a"}));
    assert_eq!(Clinic::refused(visitor).await, "Authentication token required");
    let foreign = clinic
        .server
        .visitor()
        .header("cookie", &cookie)
        .auth(json!({"token": "", "tenantId": "b"}));
    assert_eq!(Clinic::refused(foreign).await, "Invalid tenant ID");
}

#[tokio::test]
async fn the_contracts_are_closed_to_each_others_clients() {
    let clinic = Clinic::of(Clinic::builder().mode("token")).await;
    let who = staff("a", "u1");
    let mut ours = clinic.server.connect(&doctor()).await;
    let mut theirs = clinic.connect(&who).await;

    theirs.emit("join_room", json!({"room": "patient_P1"}));
    ours.emit("join_room", json!({"room": "tenant:a"}));
    let refused = ours.expect("error").await;
    ours.emit("message:join-thread", json!("T1"));
    clinic
        .rest(&who)
        .post("/api/appointments", &super::appointment("A1"))
        .await
        .expect(202);
    clinic.server.alert("P1", "critical", "for contract A").await;

    assert_eq!(refused["code"], "invalid_room");
    clinic.server.assert_silent(&mut ours, "P2").await;
    assert_eq!(names(&clinic.heard(&mut theirs, &who).await), ["appointment:created"]);
    let status = clinic
        .server
        .rest_as(&doctor())
        .get("/api/status/socket")
        .await
        .expect(200);
    assert_eq!(
        status["rooms"],
        json!({"patient_P2": 1}),
        "rooms of tenants are told to nobody"
    );
}

#[tokio::test]
async fn without_a_secret_there_is_no_contract_b() {
    let server = TestServer::start().await;

    let visitor = server.visitor().auth(json!({"token": "x", "tenantId": "a"}));
    let client = visitor.connect().await;
    let answer = server.rest().get("/api/presence").await;

    assert_eq!(
        client.greeting["status"], "connected",
        "a client of contract A, as before"
    );
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_socket_whose_token_is_over_is_closed_without_a_word_after_the_grace() {
    let clinic = Clinic::of(Clinic::builder().set("WARDBELL__AUTH__EXPIRY_GRACE", "60s")).await;
    let mut client = clinic.connect(&staff("a", "u1")).await;

    clinic.server.clock.advance(std::time::Duration::from_secs(900 + 61));

    let seen = client.until_closed().await;
    assert!(seen.is_empty(), "{seen:?}");
}
