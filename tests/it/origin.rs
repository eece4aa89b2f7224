//! A web page may speak to the server if its origin is configured, and not otherwise.

use serde_json::json;

use crate::support::socket::Refusal;
use crate::support::{TestServer, Transport};

const OURS: &str = "https://ward.example";
const THEIRS: &str = "https://evil.example";

async fn server() -> TestServer {
    TestServer::builder().set("SOCKET_IO_CORS_ORIGINS", OURS).start().await
}

#[tokio::test]
async fn a_page_of_a_configured_origin_connects_over_each_transport() {
    let server = server().await;

    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).header("origin", OURS).connect().await;
        client.join("patient_P-1").await;
    }
}

#[tokio::test]
async fn a_page_of_another_origin_can_neither_poll_nor_open_a_websocket() {
    let server = server().await;

    for transport in Transport::ALL {
        let refusal = server
            .visitor()
            .over(transport)
            .header("origin", THEIRS)
            .attempt()
            .await
            .err();

        assert!(
            matches!(refusal, Some(Refusal::Http(403, _))),
            "{transport:?}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_post_an_alert() {
    let server = server().await;
    let body = json!({"patient_id": "P-1", "alert_type": "critical", "alert_data": {}});

    // Without a preflight: what a form can send.
    let form = server
        .rest()
        .header("origin", THEIRS)
        .header("content-type", "text/plain")
        .post("/api/alerts/patient", &body)
        .await;

    assert_eq!(form.status.as_u16(), 403, "{}", form.text);
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=P-1")
        .await
        .expect(200);
    assert_eq!(history, json!([]));
}

#[tokio::test]
async fn a_preflight_is_answered_with_the_origin_that_asked_and_only_if_it_is_configured() {
    let server = server().await;
    let preflight = |origin: &str| {
        server
            .rest()
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
    };

    for path in ["/api/alerts/patient", "/socket.io/?EIO=4&transport=polling"] {
        let ours = preflight(OURS).ask(reqwest::Method::OPTIONS, path, None).await;
        let theirs = preflight(THEIRS).ask(reqwest::Method::OPTIONS, path, None).await;

        assert!(ours.status.is_success(), "{path}: {}", ours.status);
        assert_eq!(ours.header("access-control-allow-origin"), Some(OURS), "{path}");
        assert_ne!(theirs.header("access-control-allow-origin"), Some(THEIRS), "{path}");
        assert_ne!(theirs.header("access-control-allow-origin"), Some("*"), "{path}");
    }
}

#[tokio::test]
async fn a_polling_answer_names_the_origin_so_that_the_browser_lets_the_page_read_it() {
    let server = server().await;

    let opened = server
        .rest()
        .header("origin", OURS)
        .get("/socket.io/?EIO=4&transport=polling")
        .await;

    assert_eq!(opened.status.as_u16(), 200, "{}", opened.text);
    assert_eq!(opened.header("access-control-allow-origin"), Some(OURS));
    assert_eq!(opened.header("access-control-allow-credentials"), Some("true"));
}
