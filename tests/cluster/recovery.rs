//! Clients that come back while the database is away, to another node than the one that they left.

use std::sync::Arc;

use serde_json::json;

use super::nodes::Cluster;
use crate::support::{Client, Person, Rest, doctor, eventually, service};

/// Raises a critical alert for a patient, which must be accepted; its id.
async fn alert(rest: &Rest, patient: &str) -> String {
    let body = json!({"patient_id": patient, "alert_type": "critical", "alert_data": {}});
    let raised = rest.post("/api/alerts/patient", &body).await;
    assert!(raised.status.is_success(), "{}: {}", raised.status, raised.text);
    raised.json()["alert_id"].as_str().unwrap().to_owned()
}

async fn assert_next(client: &mut Client, ids: &[String]) -> String {
    let mut offset = String::new();
    for id in ids {
        let arguments = client.expect_arguments("patient_alert").await;
        assert_eq!(arguments[0]["alert_id"], *id);
        arguments[1].as_str().unwrap().clone_into(&mut offset);
    }
    offset
}

/// A doctor's client in these rooms.
async fn watcher(cluster: &Cluster, node: usize, person: &Person, rooms: &[&str]) -> Client {
    let mut client = cluster.visitor(node, person).asking_for_recovery().connect().await;
    for room in rooms {
        client.join(room).await;
    }
    client
}

async fn until_spooling(cluster: &Cluster, nodes: &[usize]) {
    for node in nodes {
        let rest = cluster.node(*node).rest();
        eventually("the node notices", async || {
            let ready = rest.get("/ready").await.json();
            (ready["parts"]["store"] == "spooling").then_some(())
        })
        .await;
    }
}

async fn restart(cluster: &Cluster, nodes: &[usize]) {
    let database = Arc::clone(&cluster.database);
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    for node in nodes {
        let rest = cluster.node(*node).rest();
        eventually("the database is found again", async || {
            let ready = rest.get("/ready").await.json();
            (ready["status"] == "ready").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_recovers_at_another_node_while_the_database_is_gone() {
    let cluster = Cluster::of(3).await;
    // Of a hospital: whose patient P1 is cannot be asked now.
    let person = doctor().of("H1");
    let rest = cluster.rest(2, &service());
    let mut client = watcher(&cluster, 0, &person, &["patient_P1", "hospital_H1"]).await;
    let pid = client.pid.clone().unwrap();
    let before = alert(&rest, "P1").await;
    let offset = assert_next(&mut client, &[before]).await;

    cluster.database.kill();
    until_spooling(&cluster, &[0, 1, 2]).await;
    client.vanish();
    let missed = [
        alert(&rest, "P1").await,
        alert(&cluster.rest(0, &service()), "P1").await,
    ];
    let returning = cluster.visitor(1, &person).returning(&pid, Some(&offset));
    let mut client = returning.connect().await;
    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    let offset = assert_next(&mut client, &missed).await;
    client.join("triage_queue").await;

    // Once more, and now the database is back: what it does not know of the session yet is not forgotten.
    client.vanish();
    restart(&cluster, &[0, 1, 2]).await;
    let case = json!({"triage_id": "T1", "patient_id": "P3", "hospital_id": "H1", "status": "pending"});
    rest.post("/api/triage", &case).await.expect(201);
    let missed = [alert(&rest, "P1").await];
    let returning = cluster.visitor(2, &person).returning(&pid, Some(&offset));
    let mut client = returning.connect().await;
    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    assert_eq!(client.expect("triage_updated").await["triage_id"], "T1");
    assert_eq!(client.expect("hospital_alert").await["hospital_id"], "H1");
    assert_next(&mut client, &missed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_began_while_the_database_was_gone_outlives_its_node_and_the_outage() {
    let mut cluster = Cluster::of(2).await;
    let person = doctor().of("H1");
    cluster.database.kill();
    until_spooling(&cluster, &[0, 1]).await;

    let mut client = watcher(&cluster, 0, &person, &["hospital_H1", "triage_queue"]).await;
    let pid = client.pid.clone().expect("recovery is promised all the same");
    let body = json!({"hospital_id": "H1", "alert_type": "emergency", "message": "Code blue"});
    cluster.rest(1, &service()).post("/api/hospital/alert", &body).await;
    let offset = client.expect_arguments("hospital_alert").await[1]
        .as_str()
        .unwrap()
        .to_owned();
    // The copy is written a moment after the join.
    eventually("the session is copied", async || {
        let keys = cluster.redis.ask(&["--scan", "--pattern", "wardbell:session:*"]);
        let session = cluster.redis.ask(&["HGET", keys.lines().next()?, "s"]);
        session.contains("triage_queue").then_some(())
    })
    .await;
    cluster.kill(0);
    restart(&cluster, &[1]).await;
    let rest = cluster.rest(1, &service());
    let missed = rest.post("/api/hospital/alert", &body).await.expect(201);

    let returning = cluster.visitor(1, &person).returning(&pid, Some(&offset));
    let mut client = returning.connect().await;

    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    assert_eq!(client.expect("hospital_alert").await["alert_id"], missed["alert_id"]);
}

/// The socket that a client has left behind notices late, and says then what it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_was_left_behind_does_not_take_rooms_away_from_the_one_that_follows() {
    let cluster = Cluster::of(3).await;
    let person = doctor();
    let rest = cluster.rest(2, &service());
    let left_behind = watcher(&cluster, 0, &person, &["patient_P1"]).await;
    let pid = left_behind.pid.clone().unwrap();
    let returning = cluster.visitor(1, &person).returning(&pid, None);
    let mut client = returning.connect().await;
    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    client.join("patient_P2").await;
    let copied = async || {
        let keys = cluster.redis.ask(&["--scan", "--pattern", "wardbell:session:*"]);
        Some(cluster.redis.ask(&["HGET", keys.lines().next()?, "s"]))
    };
    eventually("the session is copied", async || {
        copied().await?.contains("patient_P2").then_some(())
    })
    .await;

    left_behind.vanish();
    eventually("its node notices", async || {
        let status = cluster.rest(2, &service()).get("/api/status/socket").await.expect(200);
        (status["active_connections"] == 1).then_some(())
    })
    .await;
    cluster.database.kill();
    until_spooling(&cluster, &[2]).await;
    client.vanish();
    let missed = alert(&rest, "P2").await;
    let returning = cluster.visitor(2, &person).returning(&pid, None);
    let mut client = returning.connect().await;

    assert_eq!(client.pid.as_ref(), Some(&pid), "recovered");
    assert_next(&mut client, &[missed]).await;
}
