//! One clinic over three nodes: events, typing, presence and viewing.

use serde_json::{Value, json};
use wardbell::clock::{Clock, SystemClock};

use super::nodes::Cluster;
use crate::ehr::{EHR_SECRET, Staff, appointment, staff, until, until_about};
use crate::support::process::Setup;
use crate::support::{Client, Rest, eventually};

async fn cluster() -> Cluster {
    let setup = Setup::new().set("JWT_SECRET", EHR_SECRET);
    Cluster::with(vec![setup.set("WARDBELL__EHR__PRESENCE_GRACE", "1s"); 3]).await
}

fn rest(cluster: &Cluster, node: usize, who: &Staff) -> Rest {
    let rest = cluster.node(node).rest().token(&who.token(SystemClock.now()));
    rest.header("x-tenant-id", &who.tenant)
}

async fn connect(cluster: &Cluster, node: usize, who: &Staff) -> Client {
    let auth = json!({"token": who.token(SystemClock.now()), "tenantId": who.tenant});
    let visitor = cluster.node(node).visitor().auth(auth);
    let mut client = visitor.attempt_without_greeting().await.unwrap();
    until(&mut client, "message:unread-count").await;
    client
}

async fn present(rest: &Rest) -> Vec<String> {
    let people = rest.get("/api/presence").await.expect(200);
    let user = |one: &Value| one["userId"].as_str().unwrap().to_owned();
    people.as_array().unwrap().iter().map(user).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clinic_is_one_over_three_nodes() {
    let cluster = cluster().await;
    let who = |user| staff("a", user);
    let participants = json!({"participants": ["u1", "u2"]});
    rest(&cluster, 2, &who("u1"))
        .put("/api/messaging/T1/participants", &participants)
        .await
        .expect(202);

    let mut first = connect(&cluster, 0, &who("u1")).await;
    let mut second = connect(&cluster, 1, &who("u2")).await;
    let mut foreign = connect(&cluster, 1, &staff("b", "u1")).await;
    until_about(&mut first, "user:online", "u2").await;
    until_about(&mut second, "user:online", "u1").await;

    first.emit("message:typing", json!({"threadId": "T1", "isTyping": true}));
    assert_eq!(until(&mut second, "message:typing").await["userId"], "u1");
    first.emit("user:status", json!("away"));
    assert_eq!(until(&mut second, "user:status").await["status"], "away");
    first.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    assert_eq!(until(&mut second, "patient:viewing").await["isViewing"], true);
    for node in 0..3 {
        let viewers = rest(&cluster, node, &who("u2"))
            .get("/api/patients/P1/viewers")
            .await
            .expect(200);
        assert_eq!(viewers.as_array().unwrap().len(), 1, "node {node}: {viewers}");
    }
    rest(&cluster, 2, &who("u1"))
        .post("/api/appointments", &appointment("A1"))
        .await
        .expect(202);
    until(&mut first, "appointment:created").await;
    until(&mut second, "appointment:created").await;

    // A second window at another node keeps them there; closing both does not.
    let window = connect(&cluster, 2, &who("u1")).await;
    first.vanish();
    window.vanish();
    assert_eq!(
        until_about(&mut second, "user:offline", "u1").await["status"],
        "offline"
    );
    let marker = json!({"event": "claim:paid", "entity": {}});
    rest(&cluster, 0, &staff("b", "u1"))
        .post("/api/events", &marker)
        .await
        .expect(202);
    match foreign.next("the marker").await {
        crate::support::Packet::Event(name, _) => assert_eq!(name, "claim:paid", "nothing of a came to b"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_takes_its_presence_with_it_and_a_page_goes_on_elsewhere() {
    let mut cluster = cluster().await;
    let (stays, dies, moves) = (staff("a", "stays"), staff("a", "dies"), staff("a", "moves"));
    let mut watcher = connect(&cluster, 0, &stays).await;
    let _lost = connect(&cluster, 1, &dies).await;
    let moving = connect(&cluster, 1, &moves).await;
    moving.emit("patient:viewing", json!({"patientId": "P1", "isViewing": true}));
    let pid = moving.pid.clone().unwrap();
    until(&mut watcher, "patient:viewing").await;

    cluster.kill(1);
    let auth = json!({"token": moves.token(SystemClock.now()), "tenantId": "a"});
    let returning = cluster.node(2).visitor().auth(auth).returning(&pid, None);
    let back = returning.attempt_without_greeting().await.unwrap();

    assert_eq!(back.pid.as_ref(), Some(&pid), "recovered at another node");
    until_about(&mut watcher, "user:offline", "dies").await;
    let rest = rest(&cluster, 0, &stays);
    assert_eq!(present(&rest).await, ["moves", "stays"]);
    let viewers = rest.get("/api/patients/P1/viewers").await.expect(200);
    assert_eq!(viewers[0]["userId"], "moves", "{viewers}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_goes_and_comes_back_empty_changes_nothing_for_who_is_there() {
    let cluster = cluster().await;
    let (one, other) = (staff("a", "u1"), staff("a", "u2"));
    let mut at_one = connect(&cluster, 0, &one).await;
    let _at_other = connect(&cluster, 1, &other).await;
    until_about(&mut at_one, "user:online", "u2").await;

    let redis = cluster.redis.clone();
    tokio::task::spawn_blocking(move || {
        redis.kill();
        redis.restart();
    })
    .await
    .unwrap();
    let newcomer = staff("a", "u3");
    let _at_newcomer = connect(&cluster, 1, &newcomer).await;

    until_about(&mut at_one, "user:online", "u3").await;
    let rest = rest(&cluster, 2, &one);
    eventually("all are known everywhere", async || {
        (present(&rest).await == ["u1", "u2", "u3"]).then_some(())
    })
    .await;
    let marker = json!({"event": "claim:paid", "entity": {}});
    rest.post("/api/events", &marker).await.expect(202);
    loop {
        match crate::ehr::next(&mut at_one).await {
            (name, _) if name == "claim:paid" => break,
            (name, payload) => assert_ne!(name, "user:offline", "{payload}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_typing_is_told_on_every_node_though_the_store_is_away_or_the_sender_has_gone() {
    let mut cluster = cluster().await;
    let who = |user| staff("a", user);
    let participants = json!({"participants": ["u1", "u2"]});
    rest(&cluster, 0, &who("u1"))
        .put("/api/messaging/T1/participants", &participants)
        .await
        .expect(202);
    let one = connect(&cluster, 0, &who("u1")).await;
    let mut other = connect(&cluster, 1, &who("u2")).await;
    let mut same_node = connect(&cluster, 0, &who("u2")).await;
    until_about(&mut other, "user:online", "u1").await;
    let types = |is_typing: bool| json!({"threadId": "T1", "isTyping": is_typing});
    one.emit("message:typing", types(true));
    for client in [&mut other, &mut same_node] {
        assert_eq!(until(client, "message:typing").await["isTyping"], true);
    }
    let leaving = connect(&cluster, 2, &who("u1")).await;

    let database = cluster.database.clone();
    tokio::task::spawn_blocking(move || database.kill()).await.unwrap();
    one.emit("message:typing", types(false));
    for client in [&mut other, &mut same_node] {
        assert_eq!(until(client, "message:typing").await["isTyping"], false);
    }

    let database = cluster.database.clone();
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    leaving.emit("message:typing", types(true));
    for client in [&mut other, &mut same_node] {
        assert_eq!(until(client, "message:typing").await["isTyping"], true);
    }
    cluster.stop(2).await;
    for client in [&mut other, &mut same_node] {
        assert_eq!(
            until(client, "message:typing").await["isTyping"],
            false,
            "its node has ended"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_typing_is_told_though_more_came_before_it_than_may_wait() {
    let cluster = Cluster::with(vec![Setup::new().set("JWT_SECRET", EHR_SECRET)]).await;
    let participants = json!({"participants": ["u1", "u2"]});
    rest(&cluster, 0, &staff("a", "u1"))
        .put("/api/messaging/T1/participants", &participants)
        .await
        .expect(202);
    let one = connect(&cluster, 0, &staff("a", "u1")).await;
    let mut other = connect(&cluster, 0, &staff("a", "u2")).await;
    let types = |thread: &str, is_typing: bool| json!({"threadId": thread, "isTyping": is_typing});
    one.emit("message:typing", types("T1", true));
    assert_eq!(until(&mut other, "message:typing").await["isTyping"], true);

    // Whoever asks who takes part in a thread that is not known waits for the store, and everything else behind that.
    cluster.database.freeze();
    one.emit("message:join-thread", json!("T2"));
    let flood = || {
        for number in 0..1_000 {
            one.emit("message:typing", types(&format!("unknown-{number}"), false));
        }
    };
    flood();
    one.emit("message:typing", types("T1", false));
    flood();
    eventually("more was dropped than came before it", async || {
        let metrics = cluster.node(0).rest().get("/metrics").await.text;
        let dropped = metrics
            .lines()
            .find_map(|line| line.strip_prefix("wardbell_ehr_client_events_dropped_total "));
        (dropped.unwrap().parse::<u64>().unwrap() >= 1_100).then_some(())
    })
    .await;
    cluster.database.thaw();

    assert_eq!(until(&mut other, "message:typing").await["isTyping"], false);
}
