use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{warning, with_tokens};
use crate::support::people::SECRET;
use crate::support::{TestServer, doctor, service};

/// Every route that needs a token.
const GUARDED: [(Method, &str); 20] = [
    (Method::GET, "/api/status/socket"),
    (Method::POST, "/api/risk/predict"),
    (Method::POST, "/api/risk/predict-async"),
    (Method::GET, "/api/task-status/019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f"),
    (Method::POST, "/api/alerts/patient"),
    (Method::POST, "/api/hospital/alert"),
    (Method::GET, "/api/alerts/history"),
    (Method::GET, "/api/alerts/019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f"),
    (Method::POST, "/api/triage"),
    (Method::PUT, "/api/triage/T1"),
    (Method::PATCH, "/api/triage/T1"),
    (Method::GET, "/api/triage"),
    (Method::GET, "/api/triage/T1"),
    (Method::PUT, "/api/staff/availability"),
    (Method::POST, "/api/staff/login"),
    (Method::POST, "/api/staff/logout"),
    (Method::GET, "/api/staff?hospital_id=H1"),
    (Method::PUT, "/api/beds/B1"),
    (Method::PATCH, "/api/beds/B1"),
    (Method::GET, "/api/beds?hospital_id=H1"),
];

#[tokio::test]
async fn every_guarded_route_asks_for_a_token_in_token_and_in_legacy_mode() {
    for mode in ["token", "legacy"] {
        let server = TestServer::builder().mode(mode).start().await;
        for (method, path) in GUARDED {
            let answer = server.rest().ask(method.clone(), path, Some("{}".to_owned())).await;

            answer.expect_error(401);
            assert_eq!(
                answer.header("www-authenticate"),
                Some(r#"Bearer realm="wardbell""#),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_count_is_refused_with_the_reason() {
    let server = with_tokens().await;
    let now = wardbell::clock::Clock::now(&server.clock);
    let expired = doctor().token(now.minus(Duration::from_hours(2)));
    let forged = doctor().token_signed_with(now, &format!("{SECRET}x"));
    let refresh = doctor().with("type", json!("refresh")).token(now);

    for token in [expired, forged, refresh, "not a token".to_owned()] {
        let answer = server.rest().token(&token).get("/api/triage").await;

        answer.expect_error(401);
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer realm="wardbell", error="invalid_token""#)
        );
    }
}

#[tokio::test]
async fn in_open_mode_nobody_is_asked() {
    let server = TestServer::start().await;

    server.rest().token("not a token").get("/api/triage").await.expect(200);
}

#[tokio::test]
async fn no_route_and_no_method_are_answered_as_json() {
    let server = TestServer::start().await;

    for path in ["/nothing", "/api/nothing", "/api/alerts", "/api/alerts/patient/"] {
        server.rest().get(path).await.expect_error(404);
    }
    let wrong_method = server.rest().get("/api/alerts/patient").await;
    wrong_method.expect_error(405);
    assert_eq!(wrong_method.header("allow"), Some("POST"));
    let triage = server.rest().ask(Method::DELETE, "/api/triage/T1", None).await;
    triage.expect_error(405);
    let mut allowed: Vec<&str> = triage.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PATCH", "PUT"]);
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let server = TestServer::start().await;
    let post = async |body: &str| {
        server
            .rest()
            .ask(Method::POST, "/api/alerts/patient", Some(body.to_owned()))
            .await
    };

    post("{\"patient_id\": ").await.expect_error(400);
    post(&"[".repeat(200)).await.expect_error(400);
    post("[]").await.expect_error(422);
    server
        .rest()
        .ask(Method::POST, "/api/alerts/patient", None)
        .await
        .expect_error(400);
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "x",
    ] {
        let rest = server.rest().header("content-type", other);
        rest.post("/api/alerts/patient", &warning("P1")).await.expect_error(415);
    }
    for json in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.api+json",
    ] {
        let rest = server.rest().header("content-type", json);
        rest.post("/api/alerts/patient", &warning("P1")).await.expect(201);
    }
}

#[tokio::test]
async fn a_body_of_one_megabyte_is_taken_and_a_larger_one_is_not() {
    let server = TestServer::start().await;
    let sized = |bytes: usize| {
        let around = warning("P1").to_string().replace("look", "").len();
        warning("P1").to_string().replace("look", &"x".repeat(bytes - around))
    };
    let post = async |body: String| server.rest().ask(Method::POST, "/api/alerts/patient", Some(body)).await;

    post(sized(1024 * 1024)).await.expect(201);
    post(sized(1024 * 1024 + 1)).await.expect_error(413);
    post(sized(8 * 1024 * 1024)).await.expect_error(413);
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_measured_as_it_comes() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    let head = "POST /api/alerts/patient HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";

    stream.write_all(head.as_bytes()).await.unwrap();
    // More than the sockets between us buffer: like many clients, this one listens once it has said everything.
    for _ in 0..240 {
        stream
            .write_all(format!("10000\r\n{}\r\n", " ".repeat(0x10000)).as_bytes())
            .await
            .unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    crate::support::in_time("the refusal", stream.read_to_string(&mut answer))
        .await
        .unwrap();

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_caller_above_the_rate_is_told_when_to_come_back_and_alerts_are_never_held_back() {
    let server = TestServer::builder()
        .mode("token")
        .set("WARDBELL__API__RATE_LIMIT_PER_SECOND", "1")
        .start()
        .await;
    let busy = server.rest_as(&service().named("busy"));

    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(busy.get("/api/triage").await);
    }

    let refused = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("one of twenty is too many");
    refused.expect_error(429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    for _ in 0..5 {
        let critical = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {}});
        busy.post("/api/alerts/patient", &critical).await.expect(201);
    }
    server
        .rest_as(&service().named("other"))
        .get("/api/triage")
        .await
        .expect(200);
}
