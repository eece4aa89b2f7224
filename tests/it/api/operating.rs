use reqwest::Method;
use serde_json::json;

use super::{assert_answer, warning, with_tokens};
use crate::support::{TestServer, doctor, nurse, patient, service};

#[tokio::test]
async fn it_says_what_it_is_that_it_lives_and_that_it_is_ready() {
    // None of these needs a token.
    let server = with_tokens().await;

    assert_answer!("index", server.rest().get("/").await.expect(200));
    assert_answer!("health", server.rest().get("/health").await.expect(200));
    assert_answer!("ready", server.rest().get("/ready").await.expect(200));
}

const BROWSER: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

#[tokio::test]
async fn browsers_are_shown_a_page_without_a_token_and_programs_the_index() {
    let server = with_tokens().await;

    let page = server.rest().header(BROWSER.0, BROWSER.1).get("/").await;
    let index = server.rest().header("accept", "*/*").get("/").await;

    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.headers.get_all("vary").iter().any(|vary| vary == "accept"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
    assert_eq!(index.header("content-type"), Some("application/json"));
    server.rest().get("/assets/nothing.js").await.expect_error(404);
}

#[tokio::test]
async fn the_page_can_be_switched_off() {
    let server = TestServer::builder()
        .set("WARDBELL__CONSOLE__ENABLED", "false")
        .start()
        .await;

    let answer = server.rest().header(BROWSER.0, BROWSER.1).get("/").await;

    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.expect(200)["auth_mode"], "open");
    server.rest().get("/assets/nothing.js").await.expect_error(404);
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_the_headers_that_keep_browsers_careful() {
    let server = TestServer::start().await;
    let generated = server.rest().get("/health").await;
    let (long, spaced) = ("x".repeat(129), "a b");

    let id: uuid::Uuid = generated.header("x-request-id").unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    for path in ["/health", "/nothing", "/api/alerts/patient"] {
        let answer = server.rest().header("x-request-id", "ward-7:42").get(path).await;

        assert_eq!(answer.header("x-request-id"), Some("ward-7:42"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    for insane in [long.as_str(), spaced] {
        let answer = server.rest().header("x-request-id", insane).get("/health").await;
        assert!(
            answer.header("x-request-id").unwrap().parse::<uuid::Uuid>().is_ok(),
            "{insane}"
        );
    }
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let server = TestServer::start().await;

    let head = server.rest().ask(Method::HEAD, "/health", None).await;

    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_metrics_count_requests_by_route_and_never_name_an_id() {
    let server = TestServer::start().await;
    let rest = server.rest();
    rest.post("/api/alerts/patient", &warning("PAT-SECRET"))
        .await
        .expect(201);
    rest.get("/api/triage/TRI-SECRET").await.expect_error(404);
    rest.get("/SECRET").await.expect_error(404);
    rest.ask(Method::from_bytes(b"SECRET").unwrap(), "/health", None)
        .await
        .expect_error(405);

    let metrics = rest.get("/metrics").await;

    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = &metrics.text;
    for line in [
        r#"wardbell_http_requests_total{method="POST",route="/api/alerts/patient",status="201"} 1"#,
        r#"wardbell_http_requests_total{method="GET",route="/api/triage/{triage_id}",status="404"} 1"#,
        r#"wardbell_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"wardbell_http_requests_total{method="other",route="/health",status="405"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
    }
    assert!(!text.contains("SECRET"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_metrics_need_no_token() {
    let server = with_tokens().await;

    assert_eq!(server.rest().get("/metrics").await.status, 200);
}

#[tokio::test]
async fn the_metrics_can_be_made_to_need_a_token() {
    let server = TestServer::builder()
        .mode("token")
        .set("WARDBELL__METRICS__NEED_TOKEN", "true")
        .start()
        .await;

    server.rest().get("/metrics").await.expect_error(401);
    server.rest_as(&patient("P1")).get("/metrics").await.expect_error(403);
    assert_eq!(server.rest_as(&service()).get("/metrics").await.status, 200);
}

#[tokio::test]
async fn the_status_of_sockets_counts_them_by_room() {
    let server = TestServer::start().await;
    let mut one = server.connect(&nurse()).await;
    let mut two = server.connect(&nurse()).await;
    one.join("hospital_H1").await;
    two.join("hospital_H1").await;
    two.join("patient_P1").await;

    let status = server.rest().get("/api/status/socket").await.expect(200);

    assert_eq!(
        status,
        json!({
            "active_connections": 2, "rooms": {"hospital_H1": 2, "patient_P1": 1},
            "nodes": [{"node": "", "active_connections": 2}],
        })
    );
}

#[tokio::test]
async fn the_status_of_sockets_shows_a_hospital_its_own_rooms_and_patients_none() {
    let server = with_tokens().await;
    let mut ours = server.connect(&nurse().of("H1")).await;
    let mut theirs = server.connect(&nurse().of("H2")).await;
    ours.join("hospital_H1").await;
    theirs.join("hospital_H2").await;
    let rooms = async |person| server.rest_as(&person).get("/api/status/socket").await.expect(200)["rooms"].clone();

    assert_eq!(rooms(doctor().of("H1")).await, json!({"hospital_H1": 1}));
    assert_eq!(rooms(service().of("H2")).await, json!({"hospital_H2": 1}));
    assert_eq!(rooms(service()).await, json!({"hospital_H1": 1, "hospital_H2": 1}));
    server
        .rest_as(&patient("P1"))
        .get("/api/status/socket")
        .await
        .expect_error(403);
}
