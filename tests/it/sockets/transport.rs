//! Engine.IO from the outside: what is refused, what is bound to whom, what is left behind.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{metric, nobody_is_left};
use crate::support::{DEADLINE, Packet, TestServer, Transport, admin, eventually, in_time};

fn http() -> Client {
    Client::builder().no_proxy().timeout(DEADLINE).build().unwrap()
}

fn url(server: &TestServer, query: &str) -> String {
    format!("http://{}/socket.io/?{query}", server.addr())
}

/// Opens a polling session; answers its sid.
async fn open(server: &TestServer, query: &str) -> String {
    let open = http()
        .get(url(server, &format!("EIO=4&transport=polling{query}")))
        .send()
        .await
        .unwrap();
    let open: Value = serde_json::from_str(open.text().await.unwrap().strip_prefix('0').unwrap()).unwrap();
    open["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_that_are_no_engine_io_are_refused_with_its_own_errors() {
    let server = TestServer::start().await;

    for (query, code, message) in [
        ("", 0, "Transport unknown"),
        ("EIO=4", 0, "Transport unknown"),
        ("EIO=4&transport=carrier-pigeon", 0, "Transport unknown"),
        ("EIO=3&transport=polling", 5, "Unsupported protocol version"),
        ("EIO=4&transport=polling&sid=AAAAAAAAAAAAAAHs", 1, "Session ID unknown"),
        (
            "EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAHs",
            1,
            "Session ID unknown",
        ),
        ("EIO=4&transport=polling&sid=x", 1, "Session ID unknown"),
        ("EIO=4&transport=polling&sid=", 1, "Session ID unknown"),
        ("EIO=4&transport=websocket", 3, "Bad request"),
    ] {
        let answer = http().get(url(&server, query)).send().await.unwrap();

        assert_eq!(answer.status(), 400, "{query}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body, json!({"code": code, "message": message}), "{query}");
    }
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_transport_that_is_not_configured_is_not_served() {
    let server = TestServer::builder()
        .set("WARDBELL__SOCKET__TRANSPORTS", "websocket")
        .start()
        .await;

    let polling = http()
        .get(url(&server, "EIO=4&transport=polling"))
        .send()
        .await
        .unwrap();

    assert_eq!(polling.status(), 400);
    server
        .visitor()
        .over(Transport::Websocket)
        .connect()
        .await
        .join("triage_queue")
        .await;
}

#[tokio::test]
async fn a_session_answers_only_to_the_credentials_that_opened_it() {
    let server = TestServer::start().await;
    let sid = open(&server, "&token=a").await;

    for other in ["", "&token=b"] {
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let request = http().request(
                method,
                url(&server, &format!("EIO=4&transport=polling{other}&sid={sid}")),
            );
            let answer = request.body("40").send().await.unwrap();

            assert_eq!(answer.status(), 400);
            assert!(answer.text().await.unwrap().contains("Session ID unknown"));
        }
    }
    let own = http()
        .post(url(&server, &format!("EIO=4&transport=polling&token=a&sid={sid}")))
        .body("40");
    assert_eq!(own.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_session_that_says_goodbye_is_gone() {
    let server = TestServer::start().await;
    let sid = open(&server, "").await;
    let query = format!("EIO=4&transport=polling&sid={sid}");

    assert_eq!(
        http()
            .post(url(&server, &query))
            .body("1")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );

    nobody_is_left(&server).await;
    assert_eq!(http().get(url(&server, &query)).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn an_upgrade_that_breaks_off_ends_the_session() {
    let server = TestServer::start().await;
    let sid = open(&server, "").await;
    let upgrade = format!("ws://{}/socket.io/?EIO=4&transport=websocket&sid={sid}", server.addr());
    let (mut websocket, _) = tokio_tungstenite::connect_async(upgrade).await.unwrap();
    // A poll waits, as stock clients have it; the server answers it so that the upgrade can go on.
    let poll = http()
        .get(url(&server, &format!("EIO=4&transport=polling&sid={sid}")))
        .send();
    let probe = async {
        websocket.send(Message::text("2probe")).await.unwrap();
        websocket.next().await.unwrap().unwrap()
    };
    let (polled, probed) = in_time("the probe", async { tokio::join!(poll, probe) }).await;
    assert!(polled.is_ok());
    assert_eq!(probed, Message::text("3probe"));

    drop(websocket);

    nobody_is_left(&server).await;
}

#[tokio::test]
async fn an_upgraded_session_counts_as_a_websocket_at_once() {
    let server = TestServer::start().await;

    let client = server.visitor().over(Transport::Upgrade).connect().await;

    eventually("the websocket is counted", async || {
        let websocket = metric(&server, "wardbell_connections{transport=\"websocket\"}").await;
        let polling = metric(&server, "wardbell_connections{transport=\"polling\"}").await;
        ((polling, websocket) == (0, 1)).then_some(())
    })
    .await;
    client.vanish();
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn messages_of_a_megabyte_are_taken_and_larger_ones_end_the_connection() {
    let server = TestServer::start().await;
    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        let large = json!({"room": "patient_P1", "notes": "x".repeat(990_000)});
        client.emit("join_room", large);
        assert_eq!(
            client.expect("room_joined").await["room"],
            "patient_P1",
            "{transport:?}"
        );

        client.emit(
            "join_room",
            json!({"room": "patient_P2", "notes": "x".repeat(1_100_000)}),
        );

        let seen = client.until_closed().await;
        assert!(seen.is_empty(), "{transport:?}: {seen:?}");
    }
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_post_that_is_too_large_is_refused_counted_and_ends_its_own_session_alone() {
    let server = TestServer::start().await;
    let mut others = Vec::new();
    for transport in Transport::ALL {
        let mut other = server.visitor_as(&admin()).over(transport).connect().await;
        other.join("patient_P1").await;
        others.push(other);
    }
    let too_large = "x".repeat(1_100_000);

    // Before and after it has joined the namespace.
    for (count, has_joined) in [(1, false), (2, true)] {
        let session = url(
            &server,
            &format!("EIO=4&transport=polling&sid={}", open(&server, "").await),
        );
        if has_joined {
            http().post(&session).body("40").send().await.unwrap();
            let connected = http().get(&session).send().await.unwrap().text().await.unwrap();
            assert!(connected.contains("40{"), "{connected}");
        }

        let refused = http().post(&session).body(format!("42[\"{too_large}\"]")).send().await;

        assert_eq!(refused.unwrap().status(), 413, "joined: {has_joined}");
        eventually("its session has ended", async || {
            let answer = http().post(&session).body("3").send().await.unwrap();
            (answer.status() == 400).then_some(())
        })
        .await;
        assert_eq!(metric(&server, "wardbell_client_messages_too_large_total").await, count);
    }
    server.alert("P1", "critical", "still here").await;
    for other in &mut others {
        assert_eq!(other.expect("patient_alert").await["message"], "still here");
    }
}

#[tokio::test]
async fn a_connection_that_never_joins_the_namespace_ends() {
    let server = TestServer::builder()
        .set("WARDBELL__SOCKET__CONNECT_TIMEOUT", "1s")
        .start()
        .await;
    let _polling = open(&server, "").await;
    let websocket = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.addr());
    let (_websocket, _) = tokio_tungstenite::connect_async(websocket).await.unwrap();

    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone_after_a_heartbeat() {
    let server = TestServer::builder()
        .set("SOCKET_IO_PING_INTERVAL", "1")
        .set("SOCKET_IO_PING_TIMEOUT", "1")
        .start()
        .await;
    let mut clients = Vec::new();
    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("hospital_h1").await;
        client.hold_still();
        clients.push(client);
    }

    nobody_is_left(&server).await;
}

#[tokio::test]
async fn shutting_down_closes_the_transport_and_not_the_namespace() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for transport in Transport::ALL {
        clients.push(server.visitor().over(transport).connect().await);
    }

    server.stop().await;

    for mut client in clients {
        let seen = client.until_closed().await;
        // `41` is what stock clients call `io server disconnect`: they would stay away.
        assert!(!seen.contains(&Packet::Disconnected), "{seen:?}");
    }
}

#[tokio::test]
async fn thousands_of_comings_and_goings_leave_nothing_behind() {
    const EACH: usize = 250;
    let server = TestServer::start().await;
    let rude = async {
        for i in 0..EACH {
            let mut client = server.connect(&admin().named(&format!("u{i}"))).await;
            client.emit("join_room", json!({"room": "hospital_h1"}));
            if i % 2 == 0 {
                client.expect("room_joined").await;
            }
            client.vanish();
        }
    };
    let polite = async {
        for i in 0..EACH {
            let transport = Transport::ALL[i % 3];
            let client = server.visitor().over(transport).asking_for_recovery().connect().await;
            client.leave_politely().await;
        }
    };
    let silent = async {
        for _ in 0..EACH {
            let sid = open(&server, "").await;
            let query = format!("EIO=4&transport=polling&sid={sid}");
            drop(http().post(url(&server, &query)).body("1").send().await);
        }
    };
    let all = Box::pin(async { tokio::join!(rude, polite, silent) });
    tokio::time::timeout(Duration::from_mins(3), all).await.unwrap();

    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_client_that_changes_over_while_alerts_come_gets_each_once_and_in_order() {
    const ROUNDS: usize = 8;
    const ALERTS: usize = 50;
    let server = TestServer::start().await;
    let visitor = || server.visitor().over(Transport::Upgrade);
    let mut client = visitor().asking_for_recovery().connect().await;
    client.join("patient_P1").await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    let mut offset: Option<String> = None;

    for round in 0..ROUNDS {
        // It comes back by polling, its rooms with it, and changes over in the middle of this.
        let sending = async {
            for n in 0..ALERTS {
                server.alert("P1", "critical", &(round * ALERTS + n).to_string()).await;
            }
        };
        let hearing = async {
            let mut client = visitor().returning(&pid, offset.as_deref()).connect().await;
            assert_eq!(client.pid.as_ref(), Some(&pid));
            for n in 0..ALERTS {
                let heard = client.expect_arguments("patient_alert").await;
                assert_eq!(heard[0]["message"], (round * ALERTS + n).to_string());
                offset = Some(heard[1].as_str().unwrap().to_owned());
            }
            client.vanish();
        };
        tokio::join!(sending, hearing);
    }
}

#[tokio::test]
async fn a_client_that_joins_the_namespace_after_it_has_changed_over_is_told_everything_and_nothing_else() {
    const ALERTS: usize = 100;
    let server = TestServer::start().await;
    let mut client = server.visitor().asking_for_recovery().connect().await;
    client.join("patient_P1").await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    for n in 0..ALERTS {
        server.alert("P1", "critical", &n.to_string()).await;
    }

    let sid = open(&server, "").await;
    let address = url(&server, &format!("EIO=4&transport=websocket&sid={sid}")).replace("http:", "ws:");
    let (mut websocket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
    let poll = http()
        .get(url(&server, &format!("EIO=4&transport=polling&sid={sid}")))
        .send();
    let poll = tokio::spawn(poll);
    websocket.send(Message::text("2probe")).await.unwrap();
    assert_eq!(websocket.next().await.unwrap().unwrap(), Message::text("3probe"));
    assert_eq!(poll.await.unwrap().unwrap().text().await.unwrap(), "6");
    websocket.send(Message::text("5")).await.unwrap();
    let hello = json!({"pid": pid});
    websocket.send(Message::text(format!("40{hello}"))).await.unwrap();
    let sending = async {
        for n in ALERTS..2 * ALERTS {
            server.alert("P1", "critical", &n.to_string()).await;
        }
    };
    let hearing = async {
        let mut next = 0;
        while next < 2 * ALERTS {
            let message = in_time("a message", websocket.next()).await.unwrap().unwrap();
            let text = message.to_text().unwrap();
            match text.strip_prefix("42") {
                Some(event) if event.starts_with("[\"connection_response\"") => {}
                Some(event) => {
                    let event: Value = serde_json::from_str(event).unwrap();
                    let (name, heard) = (&event[0], &event[1]["message"]);
                    assert_eq!((name, heard), (&json!("patient_alert"), &json!(next.to_string())));
                    next += 1;
                }
                None => assert!(text.starts_with("40") || text == "2", "{text}"),
            }
        }
    };
    tokio::join!(sending, hearing);
}
