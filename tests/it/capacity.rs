//! A hospital that fills up says so once, and once when it has room again.

use serde_json::{Value, json};

use crate::support::{Client, Packet, TestServer, nurse};

/// Puts bed `number` of ward ICU into this state.
async fn set_bed(server: &TestServer, number: u32, status: &str) {
    let bed = json!({"hospital_id": "H-1", "status": status, "ward": "ICU"});
    let answer = server.rest().put(&format!("/api/beds/B-{number}"), &bed).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// Takes what comes up to the change of a bed, and what follows from it: the capacity alerts.
async fn after_bed_change(server: &TestServer, client: &mut Client) -> Vec<Value> {
    assert_eq!(client.expect("bed_status_changed").await["hospital_id"], "H-1");
    let marker = json!({"hospital_id": "H-1", "alert_type": "info", "message": "marker"});
    assert!(
        server
            .rest()
            .post("/api/hospital/alert", &marker)
            .await
            .status
            .is_success()
    );
    let mut alerts = Vec::new();
    loop {
        match client.next("the marker").await {
            Packet::Event(name, mut arguments) if name == "hospital_alert" => {
                if arguments[0]["message"] == "marker" {
                    return alerts;
                }
                alerts.push(arguments.remove(0));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_hospital_says_once_that_it_is_full_and_once_that_it_has_room_again() {
    let server = TestServer::start().await;
    let mut client = server.connect(&nurse()).await;
    for number in 1..=20 {
        set_bed(&server, number, "available").await;
    }
    client.join("hospital_H-1").await;

    // 17 of 20 are 85 %, 18 are 90 %.
    for number in 1..=17 {
        set_bed(&server, number, "occupied").await;
        assert_eq!(
            after_bed_change(&server, &mut client).await,
            Vec::<Value>::new(),
            "bed {number}"
        );
    }
    set_bed(&server, 18, "occupied").await;
    let raised = after_bed_change(&server, &mut client).await;
    assert!(
        !raised.is_empty() && raised.iter().all(|alert| alert["alert_type"] == "capacity"),
        "{raised:?}"
    );

    // Up and down between the thresholds: nothing.
    for (number, status) in [
        (19, "occupied"),
        (19, "available"),
        (18, "available"),
        (18, "occupied"),
        (18, "cleaning"),
    ] {
        set_bed(&server, number, status).await;
        assert_eq!(
            after_bed_change(&server, &mut client).await,
            Vec::<Value>::new(),
            "bed {number} {status}"
        );
    }
    // 16 of 20 are 80 %.
    set_bed(&server, 17, "available").await;
    let cleared = after_bed_change(&server, &mut client).await;
    assert_eq!(cleared.len(), raised.len(), "{cleared:?}");
    set_bed(&server, 16, "available").await;
    assert_eq!(after_bed_change(&server, &mut client).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_was_said_is_remembered_over_a_restart() {
    let server = TestServer::start().await;
    set_bed(&server, 1, "occupied").await;
    let server = server.restart().await;
    let mut client = server.connect(&nurse()).await;
    client.join("hospital_H-1").await;

    // Still full, and said before.
    set_bed(&server, 2, "occupied").await;

    assert_eq!(after_bed_change(&server, &mut client).await, Vec::<Value>::new());
}

#[tokio::test]
async fn beds_that_change_at_the_same_time_are_all_counted() {
    let server = TestServer::start().await;
    for number in 1..=30 {
        set_bed(&server, number, "available").await;
    }
    let mut client = server.connect(&nurse()).await;
    client.join("hospital_H-1").await;

    let changes = (1..=30).map(|number| set_bed(&server, number, "occupied"));
    futures_util::future::join_all(changes).await;

    let mut told = 0;
    let mut raised = Vec::new();
    while told < 30 {
        match client.next("thirty changes").await {
            Packet::Event(name, _) if name == "bed_status_changed" => told += 1,
            Packet::Event(name, arguments) if name == "hospital_alert" => raised.push(arguments[0].clone()),
            other => panic!("{other:?}"),
        }
    }
    server.assert_silent(&mut client, "P-1").await;
    // One for the hospital and one for the ward, whichever change crossed the threshold.
    assert_eq!(raised.len(), 2, "{raised:?}");
    let beds = server.rest().get("/api/beds?hospital_id=H-1").await.expect(200);
    assert_eq!(beds.to_string().matches("occupied").count(), 30, "{beds}");
}
