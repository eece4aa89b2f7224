//! Who is let in, by mode, over REST and sockets.

use std::time::Duration;

use serde_json::{Value, json};
use wardbell::clock::Clock as _;
use wardbell::domain::Timestamp;

use crate::support::server::{Builder, TestServer};
use crate::support::{Answer, doctor, service};

/// Issued by Flask-JWT-Extended ten minutes before tests begin, for a quarter of an hour.
const ACCESS_RS256: &str = include_str!("../../src/auth/testdata/access_rs256.jwt");
const ACCESS_ES256: &str = include_str!("../../src/auth/testdata/access_es256.jwt");

const ALERT: &str = r#"{"patient_id":"P1","alert_type":"critical","alert_data":{"message":"SpO2 84 %"}}"#;

fn now_of(server: &TestServer) -> Timestamp {
    server.clock.now()
}

async fn alert(server: &TestServer, token: Option<&str>) -> Answer {
    let rest = match token {
        Some(token) => server.rest().token(token),
        None => server.rest(),
    };
    rest.ask(reqwest::Method::POST, "/api/alerts/patient", Some(ALERT.to_owned()))
        .await
}

fn with_public_key(algorithm: &str, file: &str) -> Builder {
    let file = format!("{}/src/auth/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    TestServer::builder()
        .mode("token")
        .set("WARDBELL__AUTH__ALGORITHM", algorithm)
        .set("WARDBELL__AUTH__PUBLIC_KEY_FILE", &file)
}

#[tokio::test]
async fn open_mode_asks_nobody_for_a_token_and_minds_none() {
    let server = TestServer::start().await;

    alert(&server, None).await.expect(201);
    alert(&server, Some("not a token")).await.expect(201);
    server.visitor().connect().await.join("hospital_hosp_456").await;
}

#[tokio::test]
async fn token_mode_lets_nobody_in_without_a_token() {
    let server = TestServer::builder().mode("token").start().await;

    let answer = alert(&server, None).await;

    answer.expect_error(401);
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="wardbell""#));
    assert!(server.visitor().attempt().await.is_err());
    assert!(
        server
            .visitor()
            .query("user_id", "u1")
            .query("user_role", "doctor")
            .attempt()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn token_mode_lets_the_holder_of_a_token_in() {
    let server = TestServer::builder().mode("token").start().await;
    let token = service().token(now_of(&server));

    alert(&server, Some(&token)).await.expect(201);
    server
        .connect(&doctor().of("hosp_456"))
        .await
        .join("hospital_hosp_456")
        .await;
}

#[tokio::test]
async fn legacy_mode_asks_rest_for_a_token_and_believes_sockets() {
    let server = TestServer::builder().mode("legacy").start().await;
    let token = service().token(now_of(&server));

    alert(&server, None).await.expect_error(401);
    alert(&server, Some(&token)).await.expect(201);
    let visitor = server.visitor().query("user_id", "u1").query("user_role", "nurse");
    visitor.connect().await.join("patient_P1").await;
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_told_why_over_rest_and_lets_no_socket_in() {
    let server = TestServer::builder().mode("token").start().await;
    let now = now_of(&server);
    let refused = [
        (
            "another secret",
            service().token_signed_with(now, "another-secret-0123456789-abcdefghijk"),
        ),
        ("expired", service().token(now.minus(Duration::from_secs(3600 + 31)))),
        ("not yet valid", service().token(now.plus(Duration::from_secs(31)))),
        ("a refresh token", service().with("type", json!("refresh")).token(now)),
        ("no type", service().with("type", Value::Null).token(now)),
        ("no end", service().with("exp", Value::Null).token(now)),
        ("no subject", service().with("sub", Value::Null).token(now)),
        ("no role", service().with("role", Value::Null).token(now)),
        ("a role that is none", service().with("role", json!("root")).token(now)),
        (
            "a hospital that is none",
            service().with("hospital_id", json!("")).token(now),
        ),
        ("no token at all", "abc".to_owned()),
    ];

    for (what, token) in refused {
        let answer = alert(&server, Some(&token)).await;

        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        assert!(!answer.expect_error(401).is_empty(), "{what}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(r#"Bearer realm="wardbell", error="invalid_token""#),
            "{what}"
        );
        assert!(
            server.visitor().auth(json!({"token": token})).attempt().await.is_err(),
            "{what}"
        );
    }
}

#[tokio::test]
async fn clocks_may_differ_by_half_a_minute() {
    let server = TestServer::builder().mode("token").start().await;
    let now = now_of(&server);

    let just_ended = service().token(now.minus(Duration::from_secs(3600 + 28)));
    let about_to_begin = service().token(now.plus(Duration::from_secs(28)));

    alert(&server, Some(&just_ended)).await.expect(201);
    alert(&server, Some(&about_to_begin)).await.expect(201);
}

#[tokio::test]
async fn tokens_of_a_private_key_are_taken_with_the_public_one_and_no_others() {
    let rsa = with_public_key("RS256", "rsa_public.pem").start().await;
    let ec = with_public_key("ES256", "ec_public.pem").start().await;

    alert(&rsa, Some(ACCESS_RS256.trim())).await.expect(201);
    alert(&ec, Some(ACCESS_ES256.trim())).await.expect(201);

    alert(&rsa, Some(ACCESS_ES256.trim())).await.expect_error(401);
    alert(&ec, Some(ACCESS_RS256.trim())).await.expect_error(401);
}

#[tokio::test]
async fn a_public_key_does_not_pass_for_a_shared_secret() {
    let server = with_public_key("RS256", "rsa_public.pem").start().await;
    let public_key = include_str!("../../src/auth/testdata/rsa_public.pem");

    let forged = service().token_signed_with(now_of(&server), public_key);

    alert(&server, Some(&forged)).await.expect_error(401);
}
