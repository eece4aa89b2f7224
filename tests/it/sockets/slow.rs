//! Clients that take nothing, or not fast enough.

use super::{metric, nobody_is_left};
use crate::support::{Packet, TestServer, Transport, eventually};

/// Larger than what kernels buffer for a connection on loopback, in few alerts.
const LARGE: usize = 600_000;
const ALERTS: usize = 40;

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_recovers_everything() {
    for transport in [Transport::Websocket, Transport::Polling] {
        let server = TestServer::builder()
            .set("WARDBELL__SOCKET__SLOW_CLIENT_BYTES", "2097152")
            .start()
            .await;
        let visitor = || server.visitor().over(transport).asking_for_recovery();
        let mut slow = visitor().connect().await;
        slow.join("patient_P1").await;
        let pid = slow.pid.clone().unwrap();
        let mut quick = visitor().query("user_id", "quick").connect().await;
        quick.join("patient_P1").await;
        slow.hold_still();

        let padding = "x".repeat(LARGE);
        for n in 0..ALERTS {
            server.alert("P1", "critical", &format!("{n} {padding}")).await;
            let heard = quick.expect("patient_alert").await;
            assert!(
                heard["message"].as_str().unwrap().starts_with(&format!("{n} ")),
                "{transport:?}"
            );
        }
        eventually("the slow client is cut off", async || {
            (metric(&server, "wardbell_sockets_overflowed_total").await == 1).then_some(())
        })
        .await;

        // It wakes up, reads what had reached it, finds the connection gone and comes back.
        slow.go_on();
        let mut next = 0;
        let mut offset = None;
        for packet in slow.until_closed().await {
            let Packet::Event(_, arguments) = packet else { continue };
            assert!(
                arguments[0]["message"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("{next} "))
            );
            offset = Some(arguments[1].as_str().unwrap().to_owned());
            next += 1;
        }
        assert!(next < ALERTS, "{transport:?}: it was cut off before it had everything");
        let mut slow = server
            .visitor()
            .over(transport)
            .returning(&pid, offset.as_deref())
            .connect()
            .await;
        assert_eq!(slow.pid.as_ref(), Some(&pid));
        for n in next..ALERTS {
            let heard = slow.expect("patient_alert").await;
            assert!(
                heard["message"].as_str().unwrap().starts_with(&format!("{n} ")),
                "{transport:?}"
            );
        }
        slow.leave_politely().await;
        quick.leave_politely().await;
        nobody_is_left(&server).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_what_it_is_sent_is_never_cut_off() {
    let server = TestServer::builder()
        .set("WARDBELL__SOCKET__SLOW_CLIENT_BYTES", "2097152")
        .set("WARDBELL__SOCKET__SLOW_CLIENT_EVENTS", "16")
        .start()
        .await;
    for transport in Transport::ALL {
        let mut client = server.visitor().over(transport).connect().await;
        client.join("patient_P1").await;
        let padding = "x".repeat(LARGE);

        for n in 0..ALERTS {
            server.alert("P1", "critical", &format!("{n} {padding}")).await;
            client.expect("patient_alert").await;
        }
        client.leave_politely().await; // or it would take nothing any more
    }
    assert_eq!(metric(&server, "wardbell_sockets_overflowed_total").await, 0);
}

#[tokio::test]
async fn a_client_that_pauses_gets_everything_in_order_between_answers_to_what_it_asks() {
    for transport in Transport::ALL {
        let server = TestServer::start().await;
        let mut client = server.visitor().over(transport).connect().await;
        client.join("patient_P1").await;
        client.hold_still();
        let padding = "x".repeat(LARGE / 4);
        for n in 0..ALERTS {
            server.alert("P1", "critical", &format!("{n} {padding}")).await;
        }

        client.go_on();
        // What the library writes for itself stands between two alerts, never inside of one.
        for n in 0..ALERTS {
            let answer = client
                .call("join_room", serde_json::json!({"room": format!("patient_Q{n}")}))
                .await;
            assert_eq!(answer["status"], "joined", "{transport:?}");
            let heard = client.expect("patient_alert").await;
            assert!(
                heard["message"].as_str().unwrap().starts_with(&format!("{n} ")),
                "{transport:?}"
            );
        }
        client.leave_politely().await;
    }
}
