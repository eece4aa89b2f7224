//! The real server on PostgreSQL, from outside.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::outage::server;
use crate::support::process::Setup;
use crate::support::{Rest, ServerProcess, eventually};

/// A node with this database, and a spool.
pub(super) fn on(url: &str) -> Setup {
    let setup = Setup::new().set("DATABASE_URL", url);
    let spool = setup.folder().join("spool.db");
    setup.set("WARDBELL__STORE__SPOOL", spool.to_str().unwrap())
}

/// Raises an alert; answers its id and where it is kept.
async fn raise(rest: &Rest) -> (String, Option<String>) {
    let body = json!({"hospital_id": "H1", "alert_type": "emergency", "message": "Code blue"});
    let answer = rest.post("/api/hospital/alert", &body).await.expect(201);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    (text(&answer["alert_id"]).unwrap(), text(&answer["durable"]))
}

async fn history(rest: &Rest) -> Option<Vec<String>> {
    let answer = rest.get("/api/alerts/history?hospital_id=H1&limit=100").await;
    let alerts = answer.status.is_success().then(|| answer.json())?;
    let id = |alert: &serde_json::Value| alert["alert_id"].as_str().unwrap().to_owned();
    Some(alerts.as_array().unwrap().iter().map(id).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_accepted_and_told_while_the_database_is_gone_and_the_server_dies_twice() {
    let (database, url) = server().await;
    let mut node: ServerProcess = on(&url).start().await;
    let mut nurse = node.visitor().connect().await;
    nurse.join("hospital_H1").await;
    let mut accepted = vec![raise(&node.rest()).await];
    assert_eq!(nurse.expect("hospital_alert").await["alert_id"], accepted[0].0);

    database.kill();
    for _ in 0..10 {
        let (id, durable) = raise(&node.rest()).await;
        assert_eq!(durable.as_deref(), Some("spooled"));
        assert_eq!(nurse.expect("hospital_alert").await["alert_id"], id);
        accepted.push((id, durable));
    }
    // What was found out less than a second ago is answered again.
    eventually("the outage is told", async || {
        let ready = node.rest().get("/ready").await.expect(200);
        (ready["parts"]["store"] == "spooling").then_some(())
    })
    .await;
    assert!(node.rest().get("/metrics").await.text.contains("wardbell_spooled 10"));
    let refused = node
        .rest()
        .put("/api/beds/B1", &json!({"hospital_id": "H1", "status": "occupied"}))
        .await;
    refused.expect_error(503);
    for _ in 0..2 {
        node = node.kill_and_restart().await;
        accepted.push(raise(&node.rest()).await);
        let visitor = node.visitor();
        let mut nurse = Box::pin(eventually("a nurse comes in", async || {
            visitor.clone().attempt().await.ok()
        }))
        .await;
        nurse.join("hospital_H1").await;
        accepted.push(raise(&node.rest()).await);
        assert_eq!(
            nurse.expect("hospital_alert").await["alert_id"],
            accepted.last().unwrap().0
        );
    }
    let restarting = Arc::clone(&database);
    tokio::task::spawn_blocking(move || restarting.restart()).await.unwrap();

    let rest = node.rest();
    let found = eventually("the history has everything", async || {
        history(&rest).await.filter(|found| found.len() >= accepted.len())
    })
    .await;
    let ids: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), ids.len()), (15, 15), "each once");
    assert!(accepted.iter().all(|(id, _)| ids.contains(id)));
    let ready = eventually("the database is there", async || {
        let ready = rest.get("/ready").await.json();
        (ready["parts"]["store"] == "up").then_some(ready)
    })
    .await;
    assert_eq!(ready["status"], "ready");
    assert_eq!(raise(&rest).await.1, None);
    let log = node.log();
    assert!(
        log.contains("PostgreSQL") && !log.contains(&url),
        "the URL is never logged"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_without_redis_is_refused_with_the_reason() {
    let (_database, url) = server().await;
    let _first = on(&url).start().await;

    let mut second = on(&url).launch();

    assert!(!second.ended().await.success());
    assert!(second.log().contains("REDIS_URL"), "{}", second.log());
}
