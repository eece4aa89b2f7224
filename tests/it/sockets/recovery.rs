//! Connection state recovery, as stock clients do it and as others can.

use std::time::Duration;

use serde_json::{Value, json};
use wardbell::clock::Clock as _;

use super::{metric, next_alert, nobody_is_left};
use crate::support::{Client, Packet, TestServer, Transport, Visitor, admin, eventually, nurse};

/// A client that understands recovery and watches P1, before anything happened.
async fn watcher(server: &TestServer, visitor: Visitor) -> Client {
    let mut client = visitor.asking_for_recovery().connect().await;
    client.join("patient_P1").await;
    server.alert("P1", "critical", "0").await;
    client
}

/// The next alert and its position.
async fn positioned(client: &mut Client) -> (String, String) {
    let arguments = client.expect_arguments("patient_alert").await;
    assert_eq!(arguments.len(), 2, "{arguments:?}");
    (
        arguments[0]["message"].as_str().unwrap().to_owned(),
        arguments[1].as_str().unwrap().to_owned(),
    )
}

async fn alerts(server: &TestServer, numbers: std::ops::Range<usize>) {
    for n in numbers {
        server.alert("P1", "critical", &n.to_string()).await;
    }
}

#[tokio::test]
async fn a_client_that_returns_gets_its_rooms_and_what_it_missed_over_every_transport() {
    for transport in Transport::ALL {
        let server = TestServer::start().await;
        let visitor = || server.visitor().over(transport);
        let mut client = watcher(&server, visitor()).await;
        let pid = client.pid.clone().expect("CONNECT has a pid");
        let (first, offset) = positioned(&mut client).await;
        assert_eq!(first, "0");

        client.vanish();
        alerts(&server, 1..6).await;
        let mut client = visitor().returning(&pid, Some(&offset)).connect().await;
        assert_eq!(client.pid.as_ref(), Some(&pid), "{transport:?}: recovered");
        alerts(&server, 6..8).await;

        for n in 1..8 {
            let (message, position) = positioned(&mut client).await;
            assert_eq!(message, n.to_string(), "{transport:?}");
            assert!(position > offset || position.len() > offset.len());
        }
        server.assert_silent(&mut client, "marker").await;
    }
}

#[tokio::test]
async fn a_quiet_client_is_owed_everything_since_it_joined() {
    let server = TestServer::start().await;
    alerts(&server, 0..3).await;
    let mut client = server.visitor().asking_for_recovery().connect().await;
    client.join("patient_P1").await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    alerts(&server, 3..5).await;

    let mut client = server.visitor().returning(&pid, None).connect().await;

    assert_eq!(client.pid.as_ref(), Some(&pid));
    assert_eq!(positioned(&mut client).await.0, "3");
    assert_eq!(positioned(&mut client).await.0, "4");
    server.assert_silent(&mut client, "marker").await;
}

#[tokio::test]
async fn sessions_and_what_was_missed_outlive_the_server() {
    let server = TestServer::start().await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    let (_, offset) = positioned(&mut client).await;
    client.vanish();
    alerts(&server, 1..4).await;

    let server = server.restart().await;
    alerts(&server, 4..6).await;
    let mut client = server.visitor().returning(&pid, Some(&offset)).connect().await;

    assert_eq!(client.pid.as_ref(), Some(&pid));
    for n in 1..6 {
        assert_eq!(positioned(&mut client).await.0, n.to_string());
    }
}

#[tokio::test]
async fn a_client_can_return_again_and_again() {
    let server = TestServer::start().await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    let mut offset = positioned(&mut client).await.1;
    for round in 0..5 {
        client.vanish();
        alerts(&server, 10 * round + 1..10 * round + 3).await;
        client = server.visitor().returning(&pid, Some(&offset)).connect().await;
        assert_eq!(positioned(&mut client).await.0, (10 * round + 1).to_string());
        let (message, position) = positioned(&mut client).await;
        assert_eq!(message, (10 * round + 2).to_string());
        offset = position;
    }
    assert_eq!(
        metric(&server, "wardbell_recoveries_total{result=\"recovered\"}").await,
        5
    );
    assert_eq!(metric(&server, "wardbell_events_replayed_total").await, 10);
}

#[tokio::test]
async fn however_many_events_were_missed_all_of_them_come() {
    let server = TestServer::start().await;
    // One fewer than the last page of a recovery holds, as many, one more.
    for missed in [31, 32, 33] {
        let mut client = watcher(&server, server.visitor()).await;
        let pid = client.pid.clone().unwrap();
        let (_, offset) = positioned(&mut client).await;
        client.vanish();
        alerts(&server, 1..missed + 1).await;
        server.alert("P2", "critical", "somebody else's, after them").await;

        let mut client = server.visitor().returning(&pid, Some(&offset)).connect().await;

        for n in 1..=missed {
            assert_eq!(positioned(&mut client).await.0, n.to_string(), "of {missed}");
        }
    }
}

#[tokio::test]
async fn a_pid_means_nothing_for_anybody_else() {
    let server = TestServer::start().await;
    let visitor = |user: &str| server.visitor().query("user_id", user).query("user_role", "nurse");
    let mut client = watcher(&server, visitor("ada")).await;
    let pid = client.pid.clone().unwrap();
    let (_, offset) = positioned(&mut client).await;

    let mut thief = visitor("eve").returning(&pid, Some(&offset)).connect().await;

    assert_ne!(thief.pid.as_ref(), Some(&pid));
    assert!(thief.pid.is_some(), "a fresh session");
    assert_eq!(thief.expect("recovery_gap").await["since"], Value::Null);
    server.alert("P1", "critical", "1").await;
    assert_eq!(positioned(&mut client).await.0, "1");
    server.assert_silent(&mut thief, "marker").await;
    assert_eq!(
        metric(&server, "wardbell_recoveries_total{result=\"refused\"}").await,
        1
    );
}

#[tokio::test]
async fn what_no_server_gave_is_refused() {
    let server = TestServer::start().await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    positioned(&mut client).await;
    client.vanish();

    let unknown = "0".repeat(64);
    for (pid, offset) in [
        (unknown.as_str(), None),
        ("", None),
        ("\"}", None),
        (&pid, Some("yesterday")),
        (&pid, Some("999999-0")),
    ] {
        let mut client = server.visitor().returning(pid, offset).connect().await;

        assert!(
            client.pid.as_ref().is_some_and(|fresh| fresh != pid),
            "{pid} {offset:?}"
        );
        assert_eq!(client.expect("recovery_gap").await["since"], Value::Null);
    }
}

#[tokio::test]
async fn the_old_socket_is_closed_before_its_session_goes_on_elsewhere() {
    let server = TestServer::start().await;
    let mut old = watcher(&server, server.visitor()).await;
    let pid = old.pid.clone().unwrap();
    let (_, offset) = positioned(&mut old).await;

    let mut new = server.visitor().returning(&pid, Some(&offset)).connect().await;

    assert_eq!(new.pid.as_ref(), Some(&pid));
    assert!(old.until_closed().await.is_empty());
    server.alert("P1", "critical", "1").await;
    assert_eq!(positioned(&mut new).await.0, "1");
    eventually("one socket is left", async || {
        let status = super::status(&server).await;
        (status["active_connections"] == 1 && status["rooms"] == json!({"patient_P1": 1})).then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_that_do_not_say_so_get_one_argument_and_no_pid() {
    let server = TestServer::start().await;
    for agent in ["python-requests/2.32.3", "Python/3.13 aiohttp/3.12"] {
        // Python's websocket clients send an `Origin` as browsers do.
        let origin = format!("http://{}", server.addr());
        let visitor = server.visitor().header("user-agent", agent).header("origin", &origin);
        let mut client = visitor.over(Transport::Websocket).connect().await;
        client.join("patient_P1").await;

        server.alert("P1", "critical", "help").await;

        assert_eq!(client.pid, None);
        assert_eq!(client.expect_arguments("patient_alert").await.len(), 1);
    }
}

#[tokio::test]
async fn browsers_and_the_polling_node_client_recover_without_saying_so() {
    let server = TestServer::start().await;
    for agent in [
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "node-XMLHttpRequest",
    ] {
        let client = server
            .visitor()
            .header("user-agent", agent)
            .over(Transport::Polling)
            .connect()
            .await;

        assert!(client.pid.is_some(), "{agent}");
    }
}

#[tokio::test]
async fn a_room_that_was_left_is_not_given_back() {
    let server = TestServer::start().await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    let (_, offset) = positioned(&mut client).await;
    client.join("patient_P2").await;
    client.leave("patient_P1").await;
    client.vanish();
    server.alert("P1", "critical", "not theirs any more").await;
    server.alert("P2", "critical", "theirs").await;

    let mut client = server.visitor().returning(&pid, Some(&offset)).connect().await;

    assert_eq!(positioned(&mut client).await.0, "theirs");
    server.assert_silent(&mut client, "marker").await;
}

#[tokio::test]
async fn access_is_checked_again() {
    let server = TestServer::builder().mode("token").start().await;
    let ada = nurse().of("h1").named("ada");
    let mut client = server.visitor_as(&ada).asking_for_recovery().connect().await;
    client.join("patient_P1").await;
    client.join("patient_P2").await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    // The patient turns out to be another hospital's.
    let body =
        json!({"patient_id": "P1", "hospital_id": "h2", "alert_type": "critical", "alert_data": {"message": "secret"}});
    let posted = server
        .rest_as(&crate::support::service())
        .post("/api/alerts/patient", &body)
        .await;
    assert!(posted.status.is_success(), "{}", posted.text);
    server.alert("P2", "critical", "theirs").await;

    let mut client = server.visitor_as(&ada).returning(&pid, None).connect().await;

    assert_eq!(client.pid.as_ref(), Some(&pid));
    assert_eq!(positioned(&mut client).await.0, "theirs");
    let refused = client.call("join_room", json!({"room": "patient_P1"})).await;
    assert_eq!(refused["code"], "unauthorized");
}

#[tokio::test]
async fn a_fresh_token_of_the_same_person_takes_the_session_up() {
    let server = TestServer::builder().mode("token").start().await;
    let ada = nurse().of("h1").named("ada");
    let mut client = server.visitor_as(&ada).asking_for_recovery().connect().await;
    client.join("hospital_h1").await;
    let pid = client.pid.clone().unwrap();
    client.vanish();
    server.clock.advance(Duration::from_mins(50));

    let again = server.visitor_as(&ada).returning(&pid, None).connect().await;
    assert_eq!(again.pid.as_ref(), Some(&pid));

    let promoted = server
        .visitor_as(&ada.with("role", json!("doctor")))
        .returning(&pid, None)
        .connect()
        .await;
    assert_ne!(promoted.pid.as_ref(), Some(&pid));
}

#[tokio::test]
async fn who_said_goodbye_begins_anew() {
    let server = TestServer::start().await;
    let client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    client.leave_politely().await;
    nobody_is_left(&server).await;

    let client = server.visitor().returning(&pid, None).connect().await;

    assert_ne!(client.pid.as_ref(), Some(&pid));
}

#[tokio::test]
async fn beyond_the_retention_there_is_a_gap_and_never_a_part() {
    let server = TestServer::builder()
        .set("WARDBELL__STORE__KEEP_SESSIONS", "240h")
        .start()
        .await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    let (_, offset) = positioned(&mut client).await;
    let left_at = server.clock.now();
    client.vanish();
    alerts(&server, 1..3).await;
    server.clock.advance(Duration::from_hours(25));
    let server = server.restart().await; // the store is swept when a server starts
    server.alert("P1", "critical", "recent").await;

    // The sweep runs beside everything else.
    let mut client = eventually("the log is swept", async || {
        let client = Box::pin(server.visitor().returning(&pid, Some(&offset)).connect()).await;
        (client.pid.as_ref() != Some(&pid)).then_some(client)
    })
    .await;

    let gap = client.expect("recovery_gap").await;
    let since: wardbell::domain::Timestamp = gap["since"].as_str().unwrap().parse().unwrap();
    assert!(
        since <= server.clock.now() && since >= left_at.minus(Duration::from_mins(5)),
        "{since}"
    );
    server.assert_silent(&mut client, "marker").await;
}

#[tokio::test]
async fn any_client_can_come_back_with_the_id_of_the_last_event_it_knows() {
    let server = TestServer::start().await;
    alerts(&server, 0..1).await;
    let last = server.alert("P1", "critical", "1").await["alert_id"].clone();
    alerts(&server, 2..5).await;

    let mut client = server.visitor().auth(json!({"lastEventId": last})).connect().await;
    client.emit("join_room", json!({"room": "patient_P1"}));

    for n in 2..5 {
        assert_eq!(client.expect_arguments("patient_alert").await.len(), 1, "{n}");
    }
    assert_eq!(client.expect("room_joined").await["room"], "patient_P1");
    alerts(&server, 5..6).await;
    assert_eq!(next_alert(&mut client).await, "5");
    server.assert_silent(&mut client, "marker").await;
}

#[tokio::test]
async fn an_event_of_several_rooms_is_caught_up_with_once() {
    let server = TestServer::start().await;
    let last = server.alert("P1", "critical", "0").await["alert_id"].clone();
    let triage = json!({"triage_id": "T1", "patient_id": "P1", "status": "pending"});
    assert!(server.rest().post("/api/triage", &triage).await.status.is_success());

    let mut client = server.visitor().auth(json!({"lastEventId": last})).connect().await;
    for room in ["patient_P1", "triage_T1", "triage_queue"] {
        client.emit("join_room", json!({"room": room}));
    }

    assert_eq!(client.expect("triage_updated").await["triage_id"], "T1");
    for room in ["patient_P1", "triage_T1", "triage_queue"] {
        assert_eq!(client.expect("room_joined").await["room"], room);
    }
}

#[tokio::test]
async fn a_last_event_that_nobody_knows_is_a_gap() {
    let server = TestServer::start().await;

    let unknown = json!({"lastEventId": "019c6117-0000-7000-8000-000000000000"});
    let mut client = server.visitor().auth(unknown).connect().await;
    assert!(
        client.expect("recovery_gap").await["since"]
            .as_str()
            .unwrap()
            .starts_with("2026-02-15T")
    );

    let mut client = server
        .visitor()
        .auth(json!({"lastEventId": "nonsense"}))
        .connect()
        .await;
    assert_eq!(client.expect("recovery_gap").await["since"], Value::Null);
    client.join("patient_P1").await;
}

#[tokio::test]
async fn rooms_that_are_joined_while_catching_up_begin_where_they_were_joined() {
    const MISSED: usize = 600;
    let server = TestServer::start().await;
    let mut client = watcher(&server, server.visitor()).await;
    let pid = client.pid.clone().unwrap();
    let (_, offset) = positioned(&mut client).await;
    client.vanish();
    server.alert("P2", "critical", "before the join").await;
    alerts(&server, 1..MISSED).await;

    let mut client = server.visitor().returning(&pid, Some(&offset)).connect().await;
    client.emit("join_room", json!({"room": "patient_P2"}));
    let mut next = 1;
    loop {
        match client.next("the replay and the join").await {
            Packet::Event(name, _) if name == "room_joined" => break,
            Packet::Event(name, arguments) if name == "patient_alert" => {
                assert_eq!(arguments[0]["message"], next.to_string());
                next += 1;
            }
            other @ (Packet::Event(..)
            | Packet::Ack(..)
            | Packet::Connected
            | Packet::Disconnected
            | Packet::Closed(_)) => {
                panic!("{other:?}")
            }
        }
    }
    server.alert("P2", "critical", "after the join").await;
    for n in next..MISSED {
        assert_eq!(positioned(&mut client).await.0, n.to_string());
    }
    assert_eq!(positioned(&mut client).await.0, "after the join");
    server.assert_silent(&mut client, "marker").await;
}

#[tokio::test]
async fn receipts_tell_who_was_told_and_who_recovered() {
    let server = TestServer::start().await;
    let mut there = server.connect(&admin()).await;
    there.join("patient_P1").await;
    let mut away = watcher(&server, server.visitor()).await;
    let pid = away.pid.clone().unwrap();
    let (_, offset) = positioned(&mut away).await;
    away.vanish();
    eventually("only one is left", async || {
        (super::status(&server).await["active_connections"] == 1).then_some(())
    })
    .await;
    let alert = server.alert("P1", "critical", "1").await["alert_id"].clone();

    let mut away = server.visitor().returning(&pid, Some(&offset)).connect().await;
    positioned(&mut away).await;

    let path = format!("/api/alerts/{}", alert.as_str().unwrap());
    eventually("the receipts are written", async || {
        let text = server.rest().get(&path).await.text;
        (text.contains("\"recovered\"") && text.contains("\"delivered\"") && text.matches(":1").count() >= 2)
            .then_some(())
    })
    .await;
}
