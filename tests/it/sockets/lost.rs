//! Nothing is lost and nothing comes twice, whoever is cut off whenever.

use std::time::Duration;

use serde_json::json;

use crate::support::proxy::Proxy;
use crate::support::{Packet, TestServer, Transport, Visitor};

const CLIENTS: usize = 12;
const ALERTS: usize = 300;

/// What a stock client does: come back with what it has until it has everything.
async fn follow(proxy: &Proxy, user: usize, last: &str) -> (Vec<String>, usize) {
    let (mut got, mut returns) = (Vec::new(), 0);
    let (mut pid, mut offset): (Option<String>, Option<String>) = (None, None);
    loop {
        let visitor = Visitor::at(proxy.addr())
            .over(Transport::ALL[user % 3])
            .query("user_id", &format!("u{user}"))
            .asking_for_recovery();
        let visitor = match &pid {
            Some(pid) => visitor.returning(pid, offset.as_deref()),
            None => visitor,
        };
        let Ok(mut client) = visitor.attempt().await else {
            tokio::time::sleep(Duration::from_millis(20)).await; // as stock clients do, before they try again
            continue;
        };
        if pid.is_none() {
            // Until the join is answered nothing is promised.
            client.emit("join_room", json!({"room": "patient_P1"}));
            let Packet::Event(name, _) = client.next("room_joined").await else {
                continue;
            };
            assert_eq!(name, "room_joined");
            pid.clone_from(&client.pid);
        } else {
            assert_eq!(client.pid, pid, "recovered");
            returns += 1;
        }
        loop {
            match client.next("an alert, or the end").await {
                Packet::Event(name, arguments) if name == "patient_alert" => {
                    let message = arguments[0]["message"].as_str().unwrap().to_owned();
                    offset = Some(arguments[1].as_str().unwrap().to_owned());
                    let is_last = message == last;
                    got.push(message);
                    if is_last {
                        return (got, returns);
                    }
                }
                Packet::Closed(_) => break,
                other @ (Packet::Event(..) | Packet::Ack(..) | Packet::Connected | Packet::Disconnected) => {
                    panic!("{other:?}")
                }
            }
        }
    }
}

#[tokio::test]
async fn clients_behind_a_network_that_keeps_breaking_get_every_alert_once_and_in_order() {
    let server = TestServer::start().await;
    let proxy = Proxy::to(server.addr()).await;
    let last = (ALERTS - 1).to_string();
    let followers = async {
        let following = (0..CLIENTS).map(|user| follow(&proxy, user, &last));
        futures_util::future::join_all(following).await
    };
    let sending = async {
        crate::support::eventually("all have joined", async || {
            let status = server.rest().get("/api/status/socket").await.json();
            (status["rooms"]["patient_P1"] == CLIENTS).then_some(())
        })
        .await;
        for n in 0..ALERTS {
            server.alert("P1", "critical", &n.to_string()).await;
            if n % 25 == 10 {
                proxy.cut();
            }
            if n % 25 == 20 {
                proxy.restore();
            }
        }
    };
    let both = async { tokio::join!(followers, sending) };
    let (followed, ()) = tokio::time::timeout(Duration::from_mins(2), both)
        .await
        .expect("everybody has everything");

    let sent: Vec<String> = (0..ALERTS).map(|n| n.to_string()).collect();
    for (got, returns) in followed {
        assert_eq!(got, sent);
        assert!(returns > 0);
    }
}
