use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{refused_fields, warning, with_tokens};
use crate::support::{TestServer, service};

/// Every POST, with a body that it takes and the status that it answers.
fn posts() -> Vec<(&'static str, Value, u16)> {
    let coming = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1"});
    let predicted = json!({"patient_id": "P1", "risk_score": 0.9});
    vec![
        ("/api/alerts/patient", warning("P1"), 201),
        (
            "/api/hospital/alert",
            json!({"hospital_id": "H1", "alert_type": "info", "message": "m"}),
            201,
        ),
        ("/api/risk/predict", predicted.clone(), 200),
        ("/api/risk/predict-async", predicted, 202),
        ("/api/triage", json!({"patient_id": "P1", "status": "pending"}), 201),
        ("/api/staff/login", coming.clone(), 200),
        ("/api/staff/logout", coming, 200),
    ]
}

#[tokio::test]
async fn a_repeated_post_gets_the_same_answer_and_says_that_it_is_a_repetition() {
    let server = TestServer::start().await;
    let rest = server.rest().header("idempotency-key", "one key for all routes");
    let rest_with = |key: &str| server.rest().header("idempotency-key", key);

    // Spaces are not visible.
    assert_eq!(
        refused_fields(&rest.post("/api/alerts/patient", &warning("P1")).await),
        ["Idempotency-Key"]
    );
    for (route, body, status) in posts() {
        let first = rest_with("key-1").post(route, &body).await;
        let second = rest_with("key-1").post(route, &body).await;

        first.expect(status);
        assert_eq!((second.status, &second.text), (first.status, &first.text), "{route}");
        assert_eq!(first.header("idempotency-replayed"), None, "{route}");
        assert_eq!(second.header("idempotency-replayed"), Some("true"), "{route}");
    }
}

#[tokio::test]
async fn a_repetition_emits_nothing() {
    let server = TestServer::start().await;
    let rest = server.rest().header("idempotency-key", "key-1");

    for _ in 0..3 {
        rest.post("/api/alerts/patient", &warning("P1")).await.expect(201);
    }

    assert_eq!(
        server
            .rest()
            .get("/api/alerts/history")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_key_with_another_body_is_refused() {
    let server = TestServer::start().await;
    let rest = server.rest().header("idempotency-key", "key-1");
    rest.post("/api/alerts/patient", &warning("P1")).await.expect(201);

    let other = rest.post("/api/alerts/patient", &warning("P2")).await;

    assert_eq!(refused_fields(&other), ["Idempotency-Key"]);
}

#[tokio::test]
async fn keys_of_different_callers_and_routes_never_meet() {
    let server = with_tokens().await;
    let post = async |user: &str, route: &str, body: &Value| {
        let rest = server
            .rest_as(&service().named(user))
            .header("idempotency-key", "key-1");
        rest.post(route, body).await
    };
    let alert = json!({"hospital_id": "H1", "alert_type": "info", "message": "m"});

    let ours = post("one", "/api/alerts/patient", &warning("P1")).await.expect(201);
    let theirs = post("two", "/api/alerts/patient", &warning("P1")).await.expect(201);

    assert_ne!(ours["alert_id"], theirs["alert_id"]);
    post("one", "/api/hospital/alert", &alert).await.expect(201);
}

#[tokio::test]
async fn fifty_at_once_with_one_key_have_one_effect() {
    let server = TestServer::start().await;
    let rest = server.rest().header("idempotency-key", "key-1");

    let posts = (0..50).map(|_| {
        let rest = rest.clone();
        tokio::spawn(async move { rest.post("/api/alerts/patient", &warning("P1")).await })
    });
    let mut ids = BTreeSet::new();
    for post in posts.collect::<Vec<_>>() {
        ids.insert(post.await.unwrap().expect(201)["alert_id"].as_str().unwrap().to_owned());
    }

    let history = server.rest().get("/api/alerts/history").await.expect(200);
    assert_eq!(history.as_array().unwrap().len(), 1);
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        [history[0]["alert_id"].as_str().unwrap()]
    );
}

#[tokio::test]
async fn a_refused_post_leaves_its_key_free() {
    let server = TestServer::start().await;
    let rest = server.rest().header("idempotency-key", "key-1");
    rest.post("/api/alerts/patient", &json!({})).await.expect_error(422);

    rest.post("/api/alerts/patient", &warning("P1")).await.expect(201);
}

#[tokio::test]
async fn a_repetition_is_known_after_a_restart() {
    let server = TestServer::start().await;
    let first = server
        .rest()
        .header("idempotency-key", "key-1")
        .post("/api/alerts/patient", &warning("P1"))
        .await;

    let server = server.restart().await;
    let second = server
        .rest()
        .header("idempotency-key", "key-1")
        .post("/api/alerts/patient", &warning("P1"))
        .await;

    assert_eq!(second.expect(201), first.expect(201));
}
