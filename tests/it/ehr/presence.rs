//! Presence and viewing: over several sockets, with the grace, in snapshots and over REST.

use serde_json::{Value, json};

use super::{Clinic, NOW, names, staff, until, until_about};
use crate::support::eventually;

#[tokio::test]
async fn somebody_comes_once_and_goes_after_the_grace_however_many_windows_they_have() {
    let clinic = Clinic::start().await;
    let mut watcher = clinic.connect(&staff("a", "w")).await;
    let first = clinic.connect(&staff("a", "u1")).await;
    assert_eq!(
        until_about(&mut watcher, "user:online", "u1").await,
        json!({"userId": "u1", "userName": "Dr. u1", "status": "online", "lastSeen": NOW})
    );
    let second = clinic.connect(&staff("a", "u1")).await;
    let other = clinic.connect(&staff("a", "u2")).await;
    until_about(&mut watcher, "user:online", "u2").await;

    first.vanish();
    // Whoever goes later and is gone has outlasted the first one's grace.
    other.vanish();
    let (name, gone) = super::next(&mut watcher).await;
    assert_eq!((name.as_str(), &gone["userId"]), ("user:offline", &json!("u2")));
    assert_eq!(
        clinic.heard(&mut watcher, &staff("a", "w")).await,
        [],
        "the other window is open"
    );
    second.vanish();
    let gone = until_about(&mut watcher, "user:offline", "u1").await;

    assert_eq!(gone["status"], "offline");
    let present = clinic.rest(&staff("a", "w")).get("/api/presence").await.expect(200);
    assert_eq!(
        present,
        json!([{"userId": "w", "userName": "Dr. w", "status": "online", "lastSeen": NOW}])
    );
}

#[tokio::test]
async fn a_token_refresh_that_replaces_the_socket_does_not_flap() {
    let clinic = Clinic::start().await;
    let mut watcher = clinic.connect(&staff("a", "w")).await;
    let mut socket = clinic.connect(&staff("a", "u1")).await;
    until_about(&mut watcher, "user:online", "u1").await;

    for _ in 0..3 {
        socket.leave_politely().await;
        socket = clinic.connect(&staff("a", "u1")).await;
    }

    assert_eq!(clinic.heard(&mut watcher, &staff("a", "w")).await, []);
    drop(socket);
}

#[tokio::test]
async fn a_newcomer_is_told_who_is_there_and_who_views_whom() {
    let clinic = Clinic::start().await;
    let one = clinic.connect(&staff("a", "u1")).await;
    one.emit("user:status", json!("away"));
    one.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    let rest = clinic.rest(&staff("a", "w"));
    let viewers = eventually("it is viewed", async || {
        let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
        (viewers != json!([])).then_some(viewers)
    })
    .await;
    assert_eq!(
        viewers,
        json!([{"userId": "u1", "userName": "Dr. u1", "startedAt": NOW}])
    );

    let mut newcomer = clinic
        .visitor(&staff("a", "w"))
        .attempt_without_greeting()
        .await
        .unwrap();

    let online = until_about(&mut newcomer, "user:online", "u1").await;
    assert_eq!(online["status"], "away");
    assert_eq!(
        until(&mut newcomer, "patient:viewing").await,
        json!({"userId": "u1", "userName": "Dr. u1", "patientId": "P1", "isViewing": true, "startedAt": NOW, "timestamp": NOW})
    );
}

#[tokio::test]
async fn a_double_mount_is_one_viewer_and_leaving_is_told() {
    let clinic = Clinic::start().await;
    let mut watcher = clinic.connect(&staff("a", "w")).await;
    let mut one = clinic.connect(&staff("a", "u1")).await;
    until_about(&mut watcher, "user:online", "u1").await;

    for is_viewing in [true, false, true] {
        one.emit("patient:viewing", json!({"patientId": "P1", "isViewing": is_viewing}));
    }
    assert_eq!(until(&mut watcher, "patient:viewing").await["isViewing"], true);
    one.emit("patient:viewing", json!({"patientId": "P1", "isViewing": false}));
    let left = until(&mut watcher, "patient:viewing").await;

    assert_eq!(
        left,
        json!({"userId": "u1", "userName": "Dr. u1", "patientId": "P1", "isViewing": false, "timestamp": NOW})
    );
    assert_eq!(clinic.heard(&mut watcher, &staff("a", "w")).await, [], "each once");
    let own = clinic.heard(&mut one, &staff("a", "u1")).await;
    assert!(!names(&own).contains(&"patient:viewing"), "not the sender: {own:?}");
    let viewers: Value = clinic
        .rest(&staff("a", "w"))
        .get("/api/patients/P1/viewers")
        .await
        .expect(200);
    assert_eq!(viewers, json!([]));
}

#[tokio::test]
async fn a_status_is_told_to_the_tenant_but_the_sender() {
    let clinic = Clinic::start().await;
    let mut watcher = clinic.connect(&staff("a", "w")).await;
    let mut one = clinic.connect(&staff("a", "u1")).await;
    until_about(&mut watcher, "user:online", "u1").await;

    one.emit("user:status", json!("away"));

    let told = json!({"userId": "u1", "userName": "Dr. u1", "status": "away", "lastSeen": NOW});
    assert_eq!(until(&mut watcher, "user:status").await, told);
    let own = clinic.heard(&mut one, &staff("a", "u1")).await;
    assert!(!names(&own).contains(&"user:status"), "{own:?}");
}
