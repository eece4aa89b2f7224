//! The EHR's pages as they are: stock `socket.io-client`, with hooks that do what those of the frontend do (`hooks.mjs`).

use serde_json::{Value, json};
use wardbell::clock::{Clock, SystemClock};

use super::{Options, Stock};
use crate::ehr::{EHR_SECRET, Staff, appointment, message, staff};
use crate::support::process::Setup;
use crate::support::proxy::Proxy;
use crate::support::{Rest, ServerProcess, Transport, eventually};

async fn server() -> ServerProcess {
    Setup::new().set("JWT_SECRET", EHR_SECRET).start().await
}

fn rest(server: &ServerProcess, who: &Staff) -> Rest {
    let rest = server.rest().token(&who.token(SystemClock.now()));
    rest.header("x-tenant-id", &who.tenant)
}

fn auth(who: &Staff) -> Value {
    json!({"token": who.token(SystemClock.now()), "tenantId": who.tenant})
}

fn page(transport: Transport, who: &Staff, hooks: Value) -> Options {
    Options::ehr_page(transport, auth(who), hooks)
}

/// Waits for this event, whatever comes before: but nothing may throw, and nothing may look like a lost connection.
async fn until(page: &mut Stock, event: &str) -> Value {
    loop {
        let happened = page.next(event).await;
        let on = happened["on"].as_str().unwrap().to_owned();
        assert!(on != "threw" && on != "error" && on != "connect_error", "{happened}");
        if on == event {
            return happened["args"][0].clone();
        }
    }
}

/// Waits until the page has connected once more. What its socket of before still heard is passed over.
async fn reconnected(page: &mut Stock) {
    while page.next("connect").await["on"] != "connect" {}
}

async fn viewed(rest: &Rest, by: &str) {
    eventually("it is viewed", async || {
        let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
        (viewers[0]["userId"] == by).then_some(())
    })
    .await;
}

async fn hears_everything_once_mounted_twice(transport: Transport) {
    let server = server().await;
    let (one, other) = (staff("a", "u1"), staff("a", "u2"));
    let rest = rest(&server, &one);
    let participants = json!({"participants": ["u1", "u2"]});
    rest.put("/api/messaging/T1/participants", &participants)
        .await
        .expect(202);
    let hooks = json!({"thread": "T1", "patient": "P1"});
    let mut page_one = page(transport, &one, hooks.clone()).start(server.addr());
    page_one.expect("connect").await;
    // Right behind the connection, before anything has rendered.
    rest.post("/api/appointments", &appointment("early")).await.expect(202);
    assert_eq!(
        until(&mut page_one, "appointment:created").await["appointment"]["id"],
        "early",
        "not lost"
    );
    let mut page_two = page(transport, &other, hooks).start(server.addr());
    assert_eq!(until(&mut page_one, "user:online").await["userId"], "u2");
    assert_eq!(
        until(&mut page_two, "user:online").await["userId"],
        "u1",
        "in the snapshot"
    );

    page_two.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    assert_eq!(until(&mut page_one, "message:typing").await["userName"], "Dr. u2");
    rest.patch("/api/appointments/A1", &appointment("A1")).await.expect(202);
    until(&mut page_one, "appointment:updated").await;
    let status = json!({"status": "checked_in", "patientId": "P1"});
    rest.patch("/api/appointments/A1/status", &status).await.expect(202);
    until(&mut page_one, "patient:checkin").await;
    until(&mut page_one, "appointment:checkedin").await;
    let said = json!({"message": message("M1", "T1", "u2"), "participants": ["u1", "u2"]});
    rest.post("/api/messaging/T1/messages", &said).await.expect(202);
    until(&mut page_one, "message:new").await;
    until(&mut page_one, "message:notification").await;
    until(&mut page_one, "message:unread-count").await;
    rest.post("/api/tasks", &json!({"id": "K1", "title": "Call", "assignedTo": "u1"}))
        .await
        .expect(202);
    until(&mut page_one, "notification:new").await;
    rest.patch("/api/patients/P1/vitals", &json!({"heartRate": 80}))
        .await
        .expect(202);
    until(&mut page_one, "patient:vitals-updated").await;
    until(&mut page_two, "patient:vitals-updated").await;
    page_two.emit("user:status", json!("away"));
    assert_eq!(until(&mut page_one, "user:status").await["status"], "away");
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_page_hears_everything_over_a_websocket() {
    hears_everything_once_mounted_twice(Transport::Websocket).await;
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_page_hears_everything_over_polling() {
    hears_everything_once_mounted_twice(Transport::Polling).await;
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_page_hears_everything_over_an_upgrade() {
    hears_everything_once_mounted_twice(Transport::Upgrade).await;
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_page_emits_nothing_again_and_has_its_rooms_and_what_it_missed_after_a_drop() {
    let server = server().await;
    let who = staff("a", "u1");
    let rest = rest(&server, &who);
    rest.put("/api/messaging/T1/participants", &json!({"participants": ["u1"]}))
        .await
        .expect(202);
    let network = Proxy::to(server.addr()).await;
    let hooks = json!({"thread": "T1", "patient": "P1"});
    let mut page = page(Transport::Websocket, &who, hooks).start(network.addr());
    assert_eq!(page.expect("connect").await["recovered"], false);
    viewed(&rest, "u1").await;
    rest.post("/api/appointments", &appointment("A0")).await.expect(202);
    until(&mut page, "appointment:created").await;

    network.cut();
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    rest.patch("/api/patients/P1/vitals", &json!({"heartRate": 80}))
        .await
        .expect(202);
    network.restore();

    loop {
        let happened = page.next("the connection").await;
        match happened["on"].as_str().unwrap() {
            "connect" => {
                assert_eq!(happened["recovered"], true, "{happened}");
                break;
            }
            "disconnect" | "connect_error" | "message:unread-count" => {}
            other => panic!("{other}: {happened}"),
        }
    }
    assert_eq!(until(&mut page, "appointment:created").await["appointment"]["id"], "A1");
    until(&mut page, "patient:vitals-updated").await;
    rest.patch("/api/patients/P1/vitals", &json!({"heartRate": 90}))
        .await
        .expect(202);
    assert_eq!(
        until(&mut page, "patient:vitals-updated").await["heartRate"],
        90,
        "it is in the room again"
    );
    viewed(&rest, "u1").await;
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_token_refresh_replaces_the_socket_and_nobody_sees_it() {
    let server = server().await;
    let (one, watcher) = (staff("a", "u1"), staff("a", "w"));
    let rest = rest(&server, &watcher);
    let hooks = json!({"patient": "P1"});
    let mut watching = page(Transport::Websocket, &watcher, json!({})).start(server.addr());
    until(&mut watching, "message:unread-count").await;
    let mut refreshing = page(Transport::Websocket, &one, hooks).start(server.addr());
    refreshing.expect("connect").await;
    until(&mut watching, "user:online").await;
    until(&mut watching, "patient:viewing").await;

    for _ in 0..3 {
        refreshing.refresh(&one.token(SystemClock.now()));
        reconnected(&mut refreshing).await;
        until(&mut refreshing, "message:unread-count").await;
    }
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);

    let happened = watching.next("the marker and nothing before it").await;
    assert_eq!(happened["on"], "appointment:created", "{happened}");
    until(&mut refreshing, "appointment:created").await;
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn a_page_that_is_refused_knows_the_text_and_stops() {
    let server = server().await;
    let who = staff("a", "u1");
    let token = who.token(SystemClock.now());
    for (auth, text) in [
        (json!({"token": null, "tenantId": "a"}), "Authentication token required"),
        (json!({"token": token, "tenantId": ""}), "Tenant ID required"),
        (json!({"token": "x", "tenantId": "a"}), "Invalid authentication token"),
        (json!({"token": token, "tenantId": "b"}), "Invalid tenant ID"),
    ] {
        let mut page = Options::ehr_page(Transport::Websocket, auth, json!({})).start(server.addr());
        assert_eq!(page.expect("connect_error").await["message"], text);
    }
}

#[tokio::test]
#[ignore = "needs the stock clients: make interop"]
async fn two_windows_of_one_user_both_hear_and_closing_one_changes_nothing() {
    let server = server().await;
    let (one, watcher) = (staff("a", "u1"), staff("a", "w"));
    let rest = rest(&server, &one);
    let mut watching = page(Transport::Websocket, &watcher, json!({})).start(server.addr());
    until(&mut watching, "message:unread-count").await;
    let mut windows = Vec::new();
    for _ in 0..2 {
        let mut window = page(Transport::Websocket, &one, json!({"patient": "P1"})).start(server.addr());
        until(&mut window, "message:unread-count").await;
        windows.push(window);
    }
    until(&mut watching, "user:online").await;
    until(&mut watching, "patient:viewing").await;
    let task = json!({"id": "K1", "title": "Call", "assignedTo": "u1"});
    rest.post("/api/tasks", &task).await.expect(202);
    for window in &mut windows {
        until(window, "notification:new").await;
    }

    let mut leaving = page(Transport::Websocket, &staff("a", "u2"), json!({})).start(server.addr());
    until(&mut leaving, "message:unread-count").await;
    assert_eq!(until(&mut watching, "user:online").await["userId"], "u2");

    drop(windows.remove(0));
    drop(leaving);
    // Whoever went later and is gone has outlasted the grace of the window that was closed.
    let happened = watching.next("that somebody is gone, and nothing before it").await;
    assert_eq!(
        (&happened["on"], &happened["args"][0]["userId"]),
        (&json!("user:offline"), &json!("u2")),
        "{happened}"
    );
    rest.post("/api/appointments", &appointment("A1")).await.expect(202);

    let happened = watching.next("the marker and nothing before it").await;
    assert_eq!(happened["on"], "appointment:created", "{happened}");
    until(&mut windows[0], "appointment:created").await;
}
