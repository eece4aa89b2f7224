//! Nodes that must not be one server, and nodes whose Redis cannot be had.

use std::sync::Arc;

use serde_json::json;

use super::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::redis::Redis;
use crate::support::{ServerProcess, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_with_a_database_file_of_its_own_is_refused_with_the_reason() {
    let redis = Redis::start();
    let on_redis = || Setup::new().set("REDIS_URL", &redis.url());
    let first: ServerProcess = on_redis().start().await;

    let mut second = on_redis().launch();

    assert!(!second.ended().await.success());
    let log = second.log();
    assert!(log.contains("several nodes need one PostgreSQL"), "{log}");
    // Whoever was killed finds its own claim; whoever has ended leaves none.
    let mut first = first.kill_and_restart().await;
    first.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(first.ended().await.success());
    on_redis().start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_files_of_their_own_may_use_one_redis_under_two_prefixes() {
    let redis = Redis::start();
    let under = |prefix| {
        let setup = Setup::new().set("REDIS_URL", &redis.url());
        setup.set("WARDBELL__REDIS__PREFIX", prefix)
    };

    let _one = under("clinic-a").start().await;
    let _other = under("clinic-b").start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_names_no_redis_ends_the_start_with_64_and_does_not_show_its_password() {
    let mut server = Setup::new().set("REDIS_URL", "redis://:hunter2@").launch();

    assert_eq!(server.ended().await.code(), Some(64));
    let log = server.log();
    assert!(log.contains("redis.url") && !log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_without_redis_serve_each_others_clients_and_say_that_it_is_down() {
    let redis = Arc::new(Redis::start());
    redis.kill();
    let cluster = Cluster::on(Arc::clone(&redis), vec![Setup::new(); 2]).await;
    let mut client = cluster.visitor(0, &crate::support::doctor()).connect().await;
    client.join("patient_P1").await;

    let ready = cluster.node(0).rest().get("/ready").await.expect(200);
    let body = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {}});
    let rest = cluster.rest(1, &crate::support::service());
    let raised = rest.post("/api/alerts/patient", &body).await.expect(201);

    assert_eq!(
        (&ready["status"], &ready["parts"]["bus"]),
        (&json!("degraded"), &json!("down"))
    );
    assert_eq!(client.expect("patient_alert").await["alert_id"], raised["alert_id"]);
    let status = rest.get("/api/status/socket").await.expect(200);
    assert_eq!(status["partial"], true, "{status}");
    let restarting = Arc::clone(&redis);
    tokio::task::spawn_blocking(move || restarting.restart()).await.unwrap();
    eventually("the nodes find Redis", async || {
        let ready = cluster.node(0).rest().get("/ready").await.json();
        (ready["status"] == "ready").then_some(())
    })
    .await;
}
