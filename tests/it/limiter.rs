//! The alert limiter: what is over the limit is kept and not told.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, TestServer, nurse};

async fn post(server: &TestServer, patient: &str, alert_type: &str, message: &str) -> Answer {
    let body = json!({"patient_id": patient, "alert_type": alert_type, "alert_data": {"message": message}});
    server.rest().post("/api/alerts/patient", &body).await
}

/// The server and somebody who has heard the ten alerts that a patient has in a minute.
async fn at_the_limit() -> (TestServer, crate::support::Client) {
    let server = TestServer::start().await;
    let mut client = server.connect(&nurse()).await;
    client.join("patient_P-1").await;
    for number in 1..=10 {
        let answer = post(&server, "P-1", "warning", &number.to_string()).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        assert_eq!(
            answer.json().get("suppressed").cloned().unwrap_or(json!(false)),
            json!(false)
        );
        assert_eq!(client.expect("patient_alert").await["message"], number.to_string());
    }
    (server, client)
}

#[tokio::test]
async fn what_is_over_the_limit_is_kept_answered_counted_and_not_told() {
    let (server, mut client) = at_the_limit().await;

    let over = post(&server, "P-1", "warning", "over").await.expect(202);

    assert_eq!(over["suppressed"], true);
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=P-1")
        .await
        .expect(200);
    assert_eq!(history.as_array().unwrap().len(), 11);
    assert_eq!(
        (&history[0]["message"], &history[0]["suppressed"]),
        (&json!("over"), &json!(true))
    );
    assert_eq!(history[0]["alert_id"], over["alert_id"]);
    assert_eq!(history[1].get("suppressed"), None);
    let metrics = server.rest().get("/metrics").await.text;
    let suppressed = metrics
        .lines()
        .find(|line| line.starts_with("wardbell_") && line.contains("suppressed_total"))
        .unwrap();
    assert!(suppressed.ends_with(" 1"), "{suppressed}");
    server.assert_silent(&mut client, "P-1").await;
}

#[tokio::test]
async fn critical_alerts_and_rises_in_severity_are_never_held_back() {
    let server = TestServer::start().await;
    let mut client = server.connect(&nurse()).await;
    client.join("patient_P-1").await;
    for number in 1..=10 {
        assert!(
            post(&server, "P-1", "info", &number.to_string())
                .await
                .status
                .is_success()
        );
        client.expect("patient_alert").await;
    }
    assert_eq!(
        post(&server, "P-1", "info", "more of the same").await.expect(202)["suppressed"],
        true
    );

    for (alert_type, message) in [("warning", "worse"), ("critical", "much worse"), ("critical", "still")] {
        assert!(post(&server, "P-1", alert_type, message).await.status.is_success());
        assert_eq!(client.expect("patient_alert").await["message"], message);
    }
}

#[tokio::test]
async fn a_minute_later_there_is_room_again_and_other_patients_always_have_theirs() {
    let (server, mut client) = at_the_limit().await;
    client.join("patient_P-2").await;

    assert!(
        post(&server, "P-2", "info", "another patient")
            .await
            .status
            .is_success()
    );
    assert_eq!(client.expect("patient_alert").await["message"], "another patient");
    server.clock.advance(Duration::from_secs(59));
    assert_eq!(
        post(&server, "P-1", "warning", "too early").await.expect(202)["suppressed"],
        true
    );
    server.clock.advance(Duration::from_secs(2));
    assert!(post(&server, "P-1", "warning", "in time").await.status.is_success());

    assert_eq!(client.expect("patient_alert").await["message"], "in time");
}

#[tokio::test]
async fn the_limit_holds_for_alerts_that_come_at_the_same_time_and_over_a_restart() {
    let server = TestServer::start().await;

    let posts = (0..40).map(|number| {
        let server = &server;
        async move { post(server, "P-1", "warning", &number.to_string()).await.json() }
    });
    let answers: Vec<Value> = futures_util::future::join_all(posts).await;
    assert_eq!(answers.iter().filter(|answer| answer["suppressed"] != true).count(), 10);

    let server = server.restart().await;
    assert_eq!(
        post(&server, "P-1", "warning", "after the restart").await.expect(202)["suppressed"],
        true
    );
}

#[tokio::test]
async fn the_limit_is_configurable() {
    let server = TestServer::builder()
        .set("WARDBELL__ALERTS__PER_MINUTE", "1")
        .start()
        .await;

    assert_ne!(post(&server, "P-1", "info", "first").await.json()["suppressed"], true);
    assert_eq!(
        post(&server, "P-1", "info", "second").await.expect(202)["suppressed"],
        true
    );
}
