//! Engine.IO session ids: they name their node, and nothing else opens a session.

use reqwest::{Client, Method};

use super::{next_alert, nobody_is_left};
use crate::support::socket::{Packet, Refusal};
use crate::support::{DEADLINE, TestServer, Transport};

async fn on_node(name: &str) -> TestServer {
    TestServer::builder().set("WARDBELL__SERVER__NODE", name).start().await
}

/// Asks the server for the session of this id; status and body.
async fn ask(server: &TestServer, method: Method, transport: &str, session: &str) -> (u16, String) {
    let http = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
    let url = format!(
        "http://{}/socket.io/?EIO=4&transport={transport}&sid={session}",
        server.addr()
    );
    let answer = http.request(method, url).body("1").send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn unknown() -> (u16, String) {
    (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned())
}

/// The random part of an id after the node's name, which must be there.
fn random_part<'a>(id: &'a str, node: &str) -> &'a str {
    id.strip_prefix(node)
        .and_then(|id| id.strip_prefix('.'))
        .unwrap_or_else(|| panic!("{id} does not name {node}"))
}

#[tokio::test]
async fn a_session_is_named_after_its_node_over_every_transport_and_works() {
    let server = on_node("ward-3").await;

    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("patient_P1").await;
        server.alert("P1", "critical", "heard").await;

        assert_eq!(next_alert(&mut client).await, "heard", "{transport:?}");
        let random = random_part(client.open["sid"].as_str().unwrap(), "ward-3");
        assert_eq!(random.len(), 32, "{random}");
        assert!(random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{random}");
        client.leave_politely().await;
    }
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_node_without_a_name_gives_ids_without_one() {
    let server = TestServer::start().await;

    for transport in Transport::ALL {
        let client = server.visitor().over(transport).connect().await;

        let id = client.open["sid"].as_str().unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
    }
}

#[tokio::test]
async fn whoever_learns_a_socket_id_cannot_act_for_its_client() {
    let server = on_node("a").await;
    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("patient_P1").await;
        assert_ne!(client.open["sid"], client.sid.as_str());

        for id in [client.sid.clone(), format!("a.{}", client.sid)] {
            assert_eq!(
                ask(&server, Method::GET, "polling", &id).await,
                unknown(),
                "{transport:?}"
            );
            assert_eq!(
                ask(&server, Method::POST, "polling", &id).await,
                unknown(),
                "{transport:?}"
            );
            assert_eq!(
                ask(&server, Method::GET, "websocket", &id).await,
                unknown(),
                "{transport:?}"
            );
        }

        server.alert("P1", "critical", "still heard").await;
        assert_eq!(next_alert(&mut client).await, "still heard", "{transport:?}");
    }
}

#[tokio::test]
async fn a_websocket_cannot_be_polled_by_its_session_id() {
    let server = on_node("a").await;
    let mut client = server.visitor().over(Transport::Websocket).connect().await;
    let id = client.open["sid"].as_str().unwrap().to_owned();
    client.join("patient_P1").await;

    assert_eq!(ask(&server, Method::GET, "polling", &id).await, unknown());
    assert_eq!(ask(&server, Method::POST, "polling", &id).await, unknown());
    assert_eq!(ask(&server, Method::GET, "websocket", &id).await, unknown());

    server.alert("P1", "critical", "still heard").await;
    assert_eq!(next_alert(&mut client).await, "still heard");
}

#[tokio::test]
async fn a_session_of_another_node_is_unknown() {
    let (a, b, nameless) = (on_node("a").await, on_node("b").await, TestServer::start().await);
    let client = a.visitor().over(Transport::Polling).connect().await;
    let id = client.open["sid"].as_str().unwrap();
    let random = random_part(id, "a");

    for server in [&b, &nameless] {
        assert_eq!(ask(server, Method::GET, "polling", id).await, unknown());
    }
    for id in [format!("b.{random}"), random.to_owned(), format!("a.b.{random}")] {
        assert_eq!(ask(&a, Method::GET, "polling", &id).await, unknown(), "{id}");
    }
    let goodbye = ask(&a, Method::POST, "polling", id).await;
    assert_eq!(goodbye, (200, "ok".to_owned()), "its own node knows it");
}

#[tokio::test]
async fn a_client_that_upgrades_on_another_node_is_told_that_its_session_is_unknown() {
    let (a, b) = (on_node("a").await, on_node("b").await);
    let client = a.visitor().over(Transport::Polling).connect().await;
    let session = client.open["sid"].as_str().unwrap();

    let refused = b.visitor().query("sid", session).attempt().await;

    let Err(Refusal::Http(400, body)) = refused else {
        panic!("it was taken");
    };
    assert_eq!(body, unknown().1);
}

#[tokio::test]
async fn whoever_joins_the_namespace_again_on_one_connection_begins_anew_behind_connect() {
    let server = TestServer::start().await;

    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("patient_P1").await;

        for _ in 0..20 {
            client.send_raw("41".to_owned());
            client.send_raw("40".to_owned());

            let first = client.next("CONNECT").await;
            assert!(matches!(first, Packet::Connected), "{transport:?}: {first:?}");
            client.expect("connection_response").await;
        }
        server.alert("P1", "critical", "for who it was before").await;
        client.join("patient_P2").await;
        server.alert("P2", "critical", "heard").await;

        assert_eq!(next_alert(&mut client).await, "heard", "{transport:?}");
        client.leave_politely().await;
    }
    nobody_is_left(&server).await;
}
