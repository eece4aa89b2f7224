//! What workers publish, as clients of real nodes hear it: with the database gone, with strangers on the channel, on one node.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wardbell::clock::{Clock, SystemClock};

use super::nodes::Cluster;
use crate::ehr::{EHR_SECRET, next, staff, until};
use crate::support::process::Setup;
use crate::support::redis::Redis;
use crate::support::{Client, Packet, ServerProcess, Visitor, doctor, eventually, service};

/// Publishes as a worker does; how many heard it.
async fn publish(redis: &Redis, body: impl AsRef<[u8]>) -> usize {
    let client = redis::Client::open(redis.url()).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    redis::cmd("PUBLISH")
        .arg("flask-socketio")
        .arg(body.as_ref())
        .query_async(&mut connection)
        .await
        .unwrap()
}

/// What a worker publishes that emits this to these rooms; `more` are fields of the message.
fn message(event: &str, arguments: &Value, room: &Value, more: &Value) -> String {
    let mut message =
        json!({"method": "emit", "event": event, "data": arguments, "binary": false, "namespace": "/", "room": room});
    message
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    message.to_string()
}

fn alert(n: usize) -> String {
    let payload = json!({"n": n, "patient_id": "P1", "alert_type": "critical"});
    message("patient_alert", &json!([payload]), &json!("patient_P1"), &json!({}))
}

async fn until_listening(node: &ServerProcess) {
    let rest = node.rest();
    eventually("the node hears workers", async || {
        let metrics = rest.get("/metrics").await.text;
        metrics.contains("wardbell_bridge_up 1").then_some(())
    })
    .await;
}

async fn counted(node: &ServerProcess, name: &str) -> u64 {
    let metrics = node.rest().get("/metrics").await.text;
    let count = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("wardbell_{name} ")));
    count.map_or(0, |count| count.parse().unwrap())
}

/// What a node has counted with this result.
async fn results(node: &ServerProcess, result: &str) -> u64 {
    counted(
        node,
        &format!(r#"bridge_messages_total{{bridge="python",result="{result}"}}"#),
    )
    .await
}

async fn watching(visitor: Visitor) -> Client {
    let mut client = visitor.connect().await;
    client.join("patient_P1").await;
    client
}

/// One node with SQLite that hears workers on this Redis; settings beside that.
async fn single(redis: &Redis, settings: &[(&str, &str)]) -> ServerProcess {
    let mut setup = Setup::new()
        .set("REDIS_URL", &redis.url())
        .set("WARDBELL__BRIDGES__ENABLED", "true");
    for (name, value) in settings {
        setup = setup.set(name, value);
    }
    let node = setup.start().await;
    until_listening(&node).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_database_gone_every_client_of_three_nodes_hears_a_workers_alerts_once_and_so_does_the_history() {
    let setup = Setup::new().set("WARDBELL__BRIDGES__ENABLED", "true");
    let cluster = Cluster::with(vec![setup; 3]).await;
    let mut clients = Vec::new();
    for node in 0..3 {
        until_listening(cluster.node(node)).await;
        clients.push(watching(cluster.visitor(node, &doctor().of("H1"))).await);
    }
    let database = Arc::clone(&cluster.database);
    tokio::task::spawn_blocking(move || database.kill()).await.unwrap();

    for n in 0..20 {
        assert_eq!(publish(&cluster.redis, alert(n)).await, 3);
    }
    for client in &mut clients {
        for n in 0..20 {
            assert_eq!(client.expect("patient_alert").await["n"], n);
        }
    }
    let database = Arc::clone(&cluster.database);
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    for node in 0..3 {
        eventually("what was spooled has moved", async || {
            let has_settled = results(cluster.node(node), "raised").await
                + results(cluster.node(node), "taken_over").await
                + results(cluster.node(node), "repeated").await
                >= 20;
            let is_empty = counted(cluster.node(node), "spooled").await == 0;
            (has_settled && is_empty).then_some(())
        })
        .await;
    }
    publish(&cluster.redis, alert(20)).await;

    for client in &mut clients {
        assert_eq!(client.expect("patient_alert").await["n"], 20, "nothing came twice");
    }
    let rest = cluster.rest(0, &service());
    let history = rest.get("/api/alerts/history?patient_id=P1").await.expect(200);
    let mut numbers: Vec<u64> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["n"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_with_a_file_hears_workers_as_well_and_takes_leave_in_order() {
    let redis = Redis::start();
    let mut node = single(&redis, &[]).await;
    let mut client = watching(node.visitor()).await;

    publish(&redis, alert(1)).await;
    assert_eq!(client.expect("patient_alert").await["n"], 1);
    redis.kill();
    eventually("the outage is noticed", async || {
        (counted(&node, "bridge_up").await == 0).then_some(())
    })
    .await;
    redis.restart();
    until_listening(&node).await;
    publish(&redis, alert(1)).await;

    assert_eq!(client.expect("patient_alert").await["n"], 1);
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(node.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_heard_unless_that_was_asked_for() {
    let redis = Redis::start();
    let _node = Setup::new().set("REDIS_URL", &redis.url()).start().await;

    assert_eq!(publish(&redis, alert(1)).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_passes_as_it_is_if_it_may() {
    let redis = Redis::start();
    let node = single(&redis, &[("WARDBELL__BRIDGES__ALLOW_UNKNOWN", "true")]).await;
    let mut watching = watching(node.visitor().asking_for_recovery()).await;
    let mut other = node.visitor().connect().await;
    let sid = other.sid.clone();
    let tell = async |event: &str, arguments: Value, room: Value, more: Value| {
        publish(&redis, message(event, &arguments, &room, &more)).await;
    };
    let nobody = || json!({});

    tell("chat", json!([1, {"a": [2]}, "three"]), json!("patient_P1"), nobody()).await;
    assert_eq!(
        watching.expect_arguments("chat").await,
        [json!(1), json!({"a": [2]}), json!("three")],
        "no position, every argument"
    );
    tell("tick", json!([null]), json!(null), nobody()).await;
    for client in [&mut watching, &mut other] {
        let Packet::Event(name, arguments) = client.next("tick").await else {
            panic!("no event");
        };
        assert_eq!((name.as_str(), arguments.len()), ("tick", 0), "everybody, no argument");
    }
    tell("psst", json!(["only you"]), json!([sid, "patient_P2"]), nobody()).await;
    assert_eq!(other.expect_arguments("psst").await, ["only you"]);
    tell("news", json!(["once"]), json!(["patient_P1", "triage_queue"]), nobody()).await;
    tell("all", json!([[]]), json!([]), json!({"skip_sid": sid})).await;
    tell("all", json!([[]]), json!([]), json!({"skip_sid": ["patient_P1"]})).await;
    tell("disconnect", json!([]), json!(null), nobody()).await;
    tell("patient_alert", json!([{"n": 1}]), json!("ward_3"), nobody()).await;
    tell("patient_alert", json!([{"n": 2}]), json!("patient_P1"), nobody()).await;

    for (client, expected) in [
        (&mut watching, &["news", "all", "patient_alert"][..]),
        (&mut other, &["all"]),
    ] {
        for event in expected {
            let Packet::Event(name, _) = client.next(event).await else {
                panic!("not {event}");
            };
            assert_eq!(name, *event);
        }
    }
    assert_eq!(results(&node, "passed").await, 7);
    assert_eq!(
        results(&node, "unknown").await,
        1,
        "a name that belongs to the client's library"
    );
    let history = node.rest().get("/api/alerts/history?patient_id=P1").await.expect(200);
    assert_eq!(history.as_array().unwrap().len(), 1, "what passes is not kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_room_that_a_worker_names_is_one_of_the_ehrs_clients() {
    let redis = Redis::start();
    let settings = [("WARDBELL__BRIDGES__ALLOW_UNKNOWN", "true"), ("JWT_SECRET", EHR_SECRET)];
    let node = single(&redis, &settings).await;
    let mut ours = watching(node.visitor()).await;
    let who = staff("a", "u1");
    let token = who.token(SystemClock.now());
    let auth = json!({"token": token, "tenantId": who.tenant});
    let mut theirs = node.visitor().auth(auth).attempt_without_greeting().await.unwrap();
    until(&mut theirs, "message:unread-count").await;
    let rest = node.rest().token(&token).header("x-tenant-id", &who.tenant);
    theirs.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    eventually("they view the patient", async || {
        let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
        (viewers.as_array().unwrap().len() == 1).then_some(())
    })
    .await;

    let rooms = [
        "tenant:a",
        "tenant:a:user:u1",
        "tenant:a:patient:P1",
        theirs.sid.as_str(),
    ];
    for room in rooms {
        for event in ["appointment:created", "patient_alert", "chat"] {
            let arguments = json!([{"from": "a worker"}]);
            publish(&redis, message(event, &arguments, &json!(room), &json!({}))).await;
        }
    }
    let both = json!(["patient_P1", "tenant:a"]);
    publish(&redis, message("chat", &json!([1]), &both, &json!({}))).await;
    publish(&redis, message("tick", &json!([2]), &json!(null), &json!({}))).await;

    for (event, argument) in [("chat", 1), ("tick", 2)] {
        assert_eq!(
            ours.expect_arguments(event).await,
            [json!(argument)],
            "our own, and first"
        );
    }
    let marker = json!({"event": "claim:paid", "entity": {}});
    rest.post("/api/events", &marker).await.expect(202);
    assert_eq!(next(&mut theirs).await.0, "claim:paid", "nothing of a worker's");
    assert_eq!(counted(&node, "sockets_withheld_total").await, 4 * 3 + 1);
}

/// What the process uses and has used at most, in MB.
fn memory(node: &ServerProcess) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Publishes messages of 50 MB at a node that serves a client all the while.
async fn survives_huge_messages(redis: Redis, counter: &str) {
    const HUGE: usize = 50 << 20;
    let node = single(&redis, &[]).await;
    let mut client = watching(node.visitor()).await;
    let (before, _) = memory(&node);

    for round in 1..=5 {
        publish(&redis, vec![b']'; HUGE]).await;
        eventually("it is counted", async || {
            (counted(&node, counter).await >= round).then_some(())
        })
        .await;
        until_listening(&node).await;
        publish(&redis, alert(usize::try_from(round).unwrap())).await;
        assert_eq!(client.expect("patient_alert").await["n"], round);
    }

    assert_eq!(counted(&node, counter).await, 5);
    node.rest().get("/health").await.expect(200);
    eventually("the memory is given back", async || {
        let (now, _) = memory(&node);

        (now < before + 32).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_50_mb_are_dropped_and_counted() {
    // Redis lets a subscriber have them.
    let redis = Redis::with(&["--client-output-buffer-limit", "pubsub 0 0 0"]);

    survives_huge_messages(redis, r#"bridge_messages_total{bridge="python",result="too_large"}"#).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cuts_its_subscribers_off_for_50_mb_is_listened_to_again() {
    // As Redis comes: more than 32 MB at once for a subscriber, and it is cut off.
    survives_huge_messages(Redis::start(), "bridge_cuts_total").await;
}
