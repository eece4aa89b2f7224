//! What is posted to one node and heard at all of them.

use serde_json::{Value, json};

use super::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::{Client, Rest, doctor, eventually, service};

/// Posts a critical alert for P1; its id.
async fn alert(rest: &Rest, message: &str) -> String {
    let body = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {"message": message}});
    let raised = rest.post("/api/alerts/patient", &body).await.expect(201);
    raised["alert_id"].as_str().unwrap().to_owned()
}

/// The next alert: its id and its position.
async fn next(client: &mut Client) -> (String, String) {
    let arguments = client.expect_arguments("patient_alert").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&arguments[0]["alert_id"]), text(&arguments[1]))
}

async fn watcher(cluster: &Cluster, node: usize) -> Client {
    let visitor = cluster.visitor(node, &doctor().of("H1")).asking_for_recovery();
    let mut client = visitor.connect().await;
    client.join("patient_P1").await;
    client
}

async fn status(rest: &Rest) -> (u64, Value) {
    let status = rest.get("/api/status/socket").await.expect(200);
    (
        status["active_connections"].as_u64().unwrap(),
        status["rooms"]["patient_P1"].clone(),
    )
}

/// The connections by node.
async fn nodes(rest: &Rest) -> Value {
    let status = rest.get("/api/status/socket").await.expect(200);
    let of = |node: &Value| {
        (
            node["node"].as_str().unwrap().to_owned(),
            node["active_connections"].clone(),
        )
    };
    status["nodes"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_reaches_every_member_on_every_node_once_and_in_one_order() {
    let cluster = Cluster::of(3).await;
    let mut clients = Vec::new();
    for node in 0..3 {
        clients.push(watcher(&cluster, node).await);
    }

    let posts = (0..3).map(|node| {
        let rest = cluster.rest(node, &service());
        async move {
            let mut ids = Vec::new();
            for number in 0..20 {
                ids.push(alert(&rest, &format!("{node}/{number}")).await);
            }
            ids
        }
    });
    let mut posted = futures_util::future::join_all(posts).await.concat();
    posted.push(alert(&cluster.rest(0, &service()), "the last").await);

    let mut heard = Vec::new();
    for client in &mut clients {
        let mut one = Vec::new();
        for _ in &posted {
            one.push(next(client).await);
        }
        heard.push(one);
    }
    assert_eq!(heard[0], heard[1], "the same order and positions at two nodes");
    assert_eq!(heard[0], heard[2], "the same order and positions at all nodes");
    let mut ids: Vec<String> = heard[0].iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids.last(), posted.last(), "nothing came twice in between");
    ids.sort();
    posted.sort();
    assert_eq!(ids, posted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_at_another_node_when_its_own_is_killed() {
    let mut cluster = Cluster::of(3).await;
    let rest = cluster.rest(2, &service());
    let mut client = watcher(&cluster, 0).await;
    let mut quiet = watcher(&cluster, 0).await;
    quiet.join("patient_P2").await;
    quiet.leave("patient_P1").await;
    let (pid, quiet_pid) = (client.pid.clone().unwrap(), quiet.pid.clone().unwrap());
    alert(&rest, "heard").await;
    let (_, offset) = next(&mut client).await;

    cluster.kill(0);
    let missed = [alert(&rest, "missed").await, alert(&rest, "missed").await];
    let person = doctor().of("H1");
    let returning = cluster.visitor(1, &person).returning(&pid, Some(&offset));
    let mut client = returning.connect().await;
    let mut quiet = cluster.visitor(2, &person).returning(&quiet_pid, None).connect().await;
    let live = alert(&rest, "live").await;

    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    for id in missed.iter().chain([&live]) {
        assert_eq!(&next(&mut client).await.0, id);
    }
    // Who had left the room hears nothing of it, and all of the one that it was in.
    assert_eq!(quiet.pid.as_ref(), Some(&quiet_pid), "recovered");
    let body = json!({"patient_id": "P2", "alert_type": "info", "alert_data": {}});
    let raised = rest.post("/api/alerts/patient", &body).await.expect(201);
    assert_eq!(next(&mut quiet).await.0, raised["alert_id"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_counts_all_nodes_and_forgets_one_that_died() {
    let named = ["a", "b", "c"].map(|name| Setup::new().set("WARDBELL__SERVER__NODE", name));
    let mut cluster = Cluster::with(named.to_vec()).await;
    let _clients = [
        watcher(&cluster, 0).await,
        watcher(&cluster, 1).await,
        watcher(&cluster, 2).await,
    ];
    let rests: Vec<Rest> = (0..3).map(|node| cluster.rest(node, &service())).collect();
    for rest in &rests {
        eventually("every node counts three", async || {
            (status(rest).await == (3, json!(3))).then_some(())
        })
        .await;
        assert_eq!(nodes(rest).await, json!({"a": 1, "b": 1, "c": 1}));
    }

    cluster.kill(1);

    for rest in [&rests[0], &rests[2]] {
        eventually("the dead node's share is gone", async || {
            (status(rest).await == (2, json!(2))).then_some(())
        })
        .await;
        assert_eq!(nodes(rest).await, json!({"a": 1, "c": 1}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_the_same_key_at_every_node() {
    let cluster = Cluster::of(2).await;
    let mut client = watcher(&cluster, 0).await;
    let body = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {"message": "once"}});

    let mut answers = Vec::new();
    for node in [0, 1, 0] {
        let rest = cluster.rest(node, &service()).header("idempotency-key", "4711");
        answers.push(rest.post("/api/alerts/patient", &body).await.expect(201));
    }
    let last = alert(&cluster.rest(1, &service()), "last").await;

    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(next(&mut client).await.0, answers[0]["alert_id"].as_str().unwrap());
    assert_eq!(next(&mut client).await.0, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_is_posted_again_at_another_node_once_the_database_is_gone_is_in_the_history_once() {
    let cluster = Cluster::of(2).await;
    let mut doctor = watcher(&cluster, 0).await;
    let rest = |node| cluster.rest(node, &service()).header("idempotency-key", "4711");
    let first = alert(&rest(0), "once").await;
    assert_eq!(next(&mut doctor).await.0, first);

    cluster.database.kill();
    let second = alert(&rest(1), "once").await;
    assert_eq!(next(&mut doctor).await.0, second, "rather twice than never");
    let spooled = async |count: usize| {
        eventually("the spool holds so many", async || {
            let metrics = cluster.node(1).rest().get("/metrics").await;
            let line = format!("wardbell_spooled {count}");
            metrics.text.lines().any(|known| known == line).then_some(())
        })
        .await;
    };
    spooled(1).await;
    let database = cluster.database.clone();
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    spooled(0).await;
    eventually("the first node has found it, too", async || {
        let ready = cluster.node(0).rest().get("/ready").await.json();
        (ready["parts"]["store"] == "up").then_some(())
    })
    .await;

    let found = rest(0).get("/api/alerts/history?patient_id=P1").await.expect(200);
    let ids: Vec<&Value> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| &alert["alert_id"])
        .collect();
    assert_eq!(ids, [&json!(first)]);
    for node in 0..2 {
        assert_eq!(
            alert(&rest(node), "once").await,
            first,
            "what the key answers from now on"
        );
    }
}
