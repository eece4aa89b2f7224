//! A kill at any moment loses nothing that was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;

use crate::support::{ServerProcess, eventually};

#[tokio::test]
async fn every_alert_that_was_answered_is_in_the_history_after_a_kill_during_200_concurrent_posts() {
    let server = ServerProcess::start().await;
    let rest = server.rest().keeping_connections();
    let answered = Arc::new(AtomicUsize::new(0));
    let is_killed = Arc::new(AtomicBool::new(false));
    let mut posting = tokio::task::JoinSet::new();
    for backend in 0..200 {
        let (rest, answered, is_killed) = (rest.clone(), answered.clone(), is_killed.clone());
        posting.spawn(async move {
            let mut ids = Vec::new();
            let mut number = 0;
            while !is_killed.load(Ordering::Relaxed) {
                number += 1;
                let alert_data = json!({"backend": backend, "number": number});
                let body =
                    json!({"patient_id": format!("P-{backend}"), "alert_type": "critical", "alert_data": alert_data});
                match rest
                    .attempt(Method::POST, "/api/alerts/patient", Some(body.to_string()))
                    .await
                {
                    Ok(answer) if answer.status.is_success() => {
                        ids.push(answer.json()["alert_id"].as_str().unwrap().to_owned());
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(answer) => panic!("{}: {}", answer.status, answer.text),
                    Err(_) => return (backend, ids), // killed
                }
            }
            (backend, ids)
        });
    }

    // All of them are in the middle of it.
    eventually("posts are answered", async || {
        (answered.load(Ordering::Relaxed) > 600).then_some(())
    })
    .await;
    let setup = server.kill();
    is_killed.store(true, Ordering::Relaxed);
    let server = setup.start().await;

    let rest = server.rest().keeping_connections();
    let mut checked = 0;
    while let Some(ended) = posting.join_next().await {
        let (backend, ids) = ended.unwrap();
        let history = rest
            .get(&format!("/api/alerts/history?patient_id=P-{backend}&limit=1000"))
            .await
            .text;
        for id in ids {
            assert_eq!(
                history.matches(&format!("\"alert_id\":\"{id}\"")).count(),
                1,
                "backend {backend}: {id} was answered"
            );
            checked += 1;
        }
    }
    assert!(checked > 600, "{checked}");
}

#[tokio::test]
async fn predictions_that_were_accepted_are_made_after_a_kill() {
    let server = ServerProcess::start().await;
    let rest = server.rest().keeping_connections();
    let mut tasks = Vec::new();
    let posts = (0..100).map(|number| {
        let rest = &rest;
        async move {
            let body = json!({"patient_id": format!("P-{number}"), "risk_score": 0.9});
            rest.post("/api/risk/predict-async", &body).await.expect(202)["task_id"]
                .as_str()
                .unwrap()
                .to_owned()
        }
    });
    tasks.extend(futures_util::future::join_all(posts).await);

    let server = server.kill_and_restart().await;

    let rest = server.rest().keeping_connections();
    for (number, task) in tasks.iter().enumerate() {
        let done = eventually("the prediction is made", async || {
            let state = rest.get(&format!("/api/task-status/{task}")).await.expect(200);
            (state["status"] == "SUCCESS").then_some(state)
        })
        .await;
        assert_eq!(done["result"]["patient_id"], format!("P-{number}"), "{done}");
        // Whether the kill came before or after it was made: its alert was raised once.
        let history = rest
            .get(&format!("/api/alerts/history?patient_id=P-{number}"))
            .await
            .expect(200);
        assert_eq!(history.as_array().unwrap().len(), 1, "{history}");
    }
}
