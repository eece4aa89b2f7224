//! The least that Redis must allow, as the README says it.

use std::sync::Arc;

use serde_json::json;

use super::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::redis::Redis;
use crate::support::{doctor, eventually, service};

/// The command in the README, with this password.
fn command(password: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let line = readme.lines().find(|line| line.starts_with("ACL SETUSER wardbell "));
    let line = line.expect("the README names the command");
    line.split(' ')
        .map(|word| {
            if word == ">…" {
                format!(">{password}")
            } else {
                word.to_owned()
            }
        })
        .collect()
}

/// Empties a Redis of what wardbell has there, as the README says it.
fn empty(url: &str) {
    let readme = include_str!("../../README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("redis-cli ") && line.contains("--scan"));
    let line = line.expect("the README names the command");
    let status = std::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", line])
        .env("REDIS_URL", url)
        .status();
    assert!(status.expect("bash is there").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_do_everything_as_the_user_that_the_readme_describes() {
    let redis = Arc::new(Redis::start());
    let words = command("sesame");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(redis.ask(&words), "OK");
    let setup = Setup::new()
        .set("REDIS_URL", &format!("redis://wardbell@{}/1", redis.addr()))
        .set("REDIS_PASSWORD", "sesame")
        .set("WARDBELL__BRIDGES__ENABLED", "true")
        .set("JWT_SECRET", "another secret, of the clinic's EHR alone");
    let mut cluster = Cluster::on(Arc::clone(&redis), vec![setup; 2]).await;

    for node in [0, 1] {
        let rest = cluster.node(node).rest();
        eventually("the node hears others and workers", async || {
            let metrics = rest.get("/metrics").await.text;
            (metrics.contains("wardbell_bus_up 1") && metrics.contains("wardbell_bridge_up 1")).then_some(())
        })
        .await;
    }
    let visitor = cluster.visitor(0, &doctor()).asking_for_recovery();
    let mut client = visitor.connect().await;
    client.join("patient_P1").await;
    let rest = cluster.rest(1, &service());
    let body = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {}});
    rest.post("/api/alerts/patient", &body).await.expect(201);
    client.expect("patient_alert").await;
    let message = json!({"method": "emit", "event": "patient_alert", "data": [{"alert_type": "critical"}], "binary": false,
        "namespace": "/", "room": "patient_P1"});
    redis.ask(&["PUBLISH", "flask-socketio", &message.to_string()]);
    client.expect("patient_alert").await;
    eventually("the session is copied", async || {
        let keys = redis.ask(&["-n", "1", "--scan", "--pattern", "wardbell:session:*"]);
        (!keys.is_empty()).then_some(())
    })
    .await;
    eventually("both nodes count one connection", async || {
        let status = rest.get("/api/status/socket").await.expect(200);
        (status["active_connections"] == 1 && status["partial"].is_null()).then_some(())
    })
    .await;
    // Taking shares and subscriptions away is allowed as well.
    cluster.stop(1).await;
    cluster.stop(0).await;
    empty(&format!("redis://wardbell:sesame@{}/1", redis.addr()));
    assert_eq!(redis.ask(&["-n", "1", "DBSIZE"]), "0");

    assert_eq!(redis.ask(&["ACL", "LOG"]), "", "nothing was denied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_claims_its_place_as_that_user() {
    let redis = Redis::start();
    let words = command("sesame");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(redis.ask(&words), "OK");
    let setup = Setup::new()
        .set("REDIS_URL", &format!("redis://wardbell:sesame@{}", redis.addr()))
        .set("WARDBELL__BRIDGES__ENABLED", "true");

    let mut node = setup.start().await;
    assert!(!redis.ask(&["GET", "wardbell:sole"]).is_empty());
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(node.ended().await.success());

    assert_eq!(redis.ask(&["GET", "wardbell:sole"]), "", "it gave its place up");
    assert_eq!(redis.ask(&["ACL", "LOG"]), "", "nothing was denied");
}
