//! Snapshots of everything that goes over the wire: a changed snapshot is a changed contract and is reviewed as one.
//!
//! Ids that the server assigns are replaced; the manual clock makes the times exact.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Client, TestServer, Transport, doctor, nurse};

/// A server and somebody who hears everything of patient P-1, hospital H-1 and triage case T-1.
async fn listening() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let mut client = server.connect(&doctor()).await;
    for room in [
        "patient_PAT-1A2B3C4D",
        "hospital_hosp_456",
        "triage_T-1",
        "triage_queue",
    ] {
        client.join(room).await;
    }
    (server, client)
}

/// The payload without what differs from run to run: ids become the name of their kind, and are checked to be of version 7.
fn stable(mut payload: Value) -> Value {
    for field in ["event_id", "alert_id", "task_id"] {
        let Some(id) = payload.get_mut(field) else { continue };
        let parsed: uuid::Uuid = id.as_str().unwrap().parse().unwrap();
        assert_eq!(parsed.get_version_num(), 7, "{field}");
        *id = json!("[UUIDv7]");
    }
    payload
}

#[tokio::test]
async fn connection_response() {
    let server = TestServer::start().await;

    for transport in Transport::ALL {
        let client = server.visitor_as(&nurse()).over(transport).connect().await;

        assert_eq!(client.greeting["sid"], client.sid);
        assert_json_snapshot!("connection_response", client.greeting, {".sid" => "[sid]"});
    }
}

#[tokio::test]
async fn the_open_packet() {
    let server = TestServer::start().await;

    let polling = server.visitor().over(Transport::Polling).connect().await;
    let websocket = server.visitor().over(Transport::Websocket).connect().await;

    assert_json_snapshot!("open_polling", polling.open, {".sid" => "[sid]"});
    assert_json_snapshot!("open_websocket", websocket.open, {".sid" => "[sid]"});
}

#[tokio::test]
async fn room_joined_and_room_left() {
    let server = TestServer::start().await;
    let mut client = server.connect(&doctor()).await;

    let joined = client.call("join_room", json!({"room": "patient_PAT-1A2B3C4D"})).await;
    assert_eq!(client.expect("room_joined").await, joined);
    let left = client.call("leave_room", json!({"room": "patient_PAT-1A2B3C4D"})).await;
    assert_eq!(client.expect("room_left").await, left);

    assert_json_snapshot!("room_joined", joined);
    assert_json_snapshot!("room_left", left);
}

#[tokio::test]
async fn errors() {
    let server = TestServer::builder().mode("token").start().await;
    let mut client = server.connect(&doctor().of("hosp_456")).await;

    let invalid = client.call("join_room", json!({"room": "staff_room"})).await;
    assert_eq!(client.expect("error").await, invalid);
    let unauthorized = client.call("join_room", json!({"room": "hospital_hosp_789"})).await;
    assert_eq!(client.expect("error").await, unauthorized);

    assert_json_snapshot!("error_invalid_room", invalid);
    assert_json_snapshot!("error_unauthorized", unauthorized);
}

#[tokio::test]
async fn patient_alert() {
    let (server, mut client) = listening().await;
    let body = json!({
        "patient_id": "PAT-1A2B3C4D",
        "hospital_id": "hosp_456",
        "alert_type": "critical",
        "alert_data": {
            "message": "SpO2 84 %, dropping",
            "severity": "high",
            "vitals": {"oxygen_saturation": 84, "temperature": 38.2, "blood_pressure": "90/60"},
            "recommendations": ["oxygen", "call the registrar"],
            "alert_type": "forged",
            "patient_id": "forged",
            "alert_id": "forged",
        },
    });

    let answer = server.rest().post("/api/alerts/patient", &body).await;
    let payload = client.expect("patient_alert").await;
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=PAT-1A2B3C4D")
        .await
        .expect(200);

    assert_eq!(
        history,
        json!([payload]),
        "the history answers exactly what was emitted"
    );
    assert_eq!(answer.json()["alert_id"], payload["alert_id"]);
    assert_json_snapshot!("patient_alert", stable(payload));
    assert_json_snapshot!("patient_alert_answer", stable(answer.json()));
}

#[tokio::test]
async fn the_bytes_of_an_event_are_those_of_the_history() {
    let (server, mut client) = listening().await;
    // Order, nesting, escapes, numbers that a float would round: all as they came.
    let body = r#"{"patient_id":"PAT-1A2B3C4D","alert_type":"info","alert_data":{"z":1,"a":[1.10,{"b":null,"a":"ü\u0000"}],"big":9007199254740993,"timestamp":"2026-02-15T09:00:00+00:00"}}"#;

    let answer = server
        .rest()
        .ask(reqwest::Method::POST, "/api/alerts/patient", Some(body.to_owned()))
        .await;
    let payload = client.expect("patient_alert").await;
    let history = server.rest().get("/api/alerts/history?patient_id=PAT-1A2B3C4D").await;

    assert!(answer.status.is_success(), "{}", answer.text);
    assert_eq!(history.text, format!("[{payload}]"));
    assert_eq!(
        payload["timestamp"], "2026-02-15T09:00:00+00:00",
        "a time in the data wins"
    );
    assert_eq!(payload["big"], json!(9_007_199_254_740_993_u64));
    let keys: Vec<&String> = payload.as_object().unwrap().keys().collect();
    let place = |key: &str| keys.iter().position(|k| *k == key).unwrap();
    assert!(place("z") < place("a") && place("a") < place("big"), "{keys:?}");
}

#[tokio::test]
async fn risk_updated_and_its_alert() {
    let (server, mut client) = listening().await;
    let body = json!({
        "patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "risk_score": 0.87,
        "explanation": {"top_features": [{"feature": "lactate", "impact": 0.4}]}, "confidence": 0.93,
    });

    let answer = server.rest().post("/api/risk/predict", &body).await.expect(200);

    assert_json_snapshot!("risk_updated", stable(client.expect("risk_updated").await));
    assert_json_snapshot!("risk_alert", stable(client.expect("patient_alert").await));
    assert_json_snapshot!("risk_answer", stable(answer));
}

#[tokio::test]
async fn risk_scored_here() {
    let (server, mut client) = listening().await;
    let vitals = json!({
        "respiratory_rate": 22, "oxygen_saturation": 93, "supplemental_oxygen": true, "blood_pressure": "105/70",
        "heart_rate": 112, "consciousness": "A", "temperature": 38.4,
    });

    let answer = server
        .rest()
        .post(
            "/api/risk/predict",
            &json!({"patient_id": "PAT-1A2B3C4D", "vitals": vitals}),
        )
        .await;

    assert_json_snapshot!("risk_updated_news2", stable(client.expect("risk_updated").await));
    assert_json_snapshot!("risk_alert_news2", stable(client.expect("patient_alert").await));
    assert_json_snapshot!("risk_answer_news2", stable(answer.expect(200)));
}

#[tokio::test]
async fn hospital_alert() {
    let (server, mut client) = listening().await;
    let body = json!({
        "hospital_id": "hosp_456", "alert_type": "emergency", "message": "Fire on ward 3",
        "alert_data": {"floor": 3, "hospital_id": "forged"},
    });

    let answer = server.rest().post("/api/hospital/alert", &body).await;

    assert!(answer.status.is_success(), "{}", answer.text);
    assert_json_snapshot!("hospital_alert", stable(client.expect("hospital_alert").await));
}

#[tokio::test]
async fn triage_updated_comes_once_to_a_socket_in_all_of_its_rooms() {
    let (server, mut client) = listening().await;
    let case =
        json!({"triage_id": "T-1", "patient_id": "PAT-1A2B3C4D", "hospital_id": "hosp_456", "status": "pending"});

    let created = server.rest().post("/api/triage", &case).await;
    assert!(created.status.is_success(), "{}", created.text);
    let updated = client.expect("triage_updated").await;
    let told = client.expect("hospital_alert").await;
    let moved = server
        .rest()
        .patch("/api/triage/T-1", &json!({"status": "assigned"}))
        .await;
    assert!(moved.status.is_success(), "{}", moved.text);
    let moved = client.expect("triage_updated").await;
    server.assert_silent(&mut client, "P-2").await;

    assert_json_snapshot!("triage_updated", stable(updated));
    assert_json_snapshot!("triage_hospital_alert", stable(told));
    assert_json_snapshot!("triage_updated_assigned", stable(moved));
}

#[tokio::test]
async fn staff_availability_changed() {
    let (server, mut client) = listening().await;
    let body = json!({"hospital_id": "hosp_456", "staff_id": "S-1", "staff_type": "doctor", "available": false});

    let answer = server.rest().put("/api/staff/availability", &body).await;

    assert!(answer.status.is_success(), "{}", answer.text);
    assert_json_snapshot!(
        "staff_availability_changed",
        stable(client.expect("staff_availability_changed").await)
    );
}

#[tokio::test]
async fn bed_status_changed_and_capacity() {
    let (server, mut client) = listening().await;
    let body = json!({"hospital_id": "hosp_456", "status": "occupied", "patient_id": "PAT-1A2B3C4D", "ward": "ICU", "floor": "3"});

    let answer = server.rest().put("/api/beds/B-1", &body).await;

    assert!(answer.status.is_success(), "{}", answer.text);
    assert_json_snapshot!("bed_status_changed", stable(client.expect("bed_status_changed").await));
    // The only bed of the ward and of the hospital: both are full.
    assert_json_snapshot!("capacity_first", stable(client.expect("hospital_alert").await));
    assert_json_snapshot!("capacity_second", stable(client.expect("hospital_alert").await));
}

#[tokio::test]
async fn the_form_for_clients_that_recover_has_its_position_as_the_last_argument() {
    let server = TestServer::start().await;
    let mut plain = server.visitor().connect().await;
    let mut recovering = server.visitor().asking_for_recovery().connect().await;
    for client in [&mut plain, &mut recovering] {
        client.join("patient_P-1").await;
    }

    server.alert("P-1", "critical", "one").await;
    let (plain, recovering) = (
        plain.expect_arguments("patient_alert").await,
        recovering.expect_arguments("patient_alert").await,
    );

    assert_eq!(plain.len(), 1);
    assert_eq!(recovering.len(), 2);
    assert_eq!(plain[0], recovering[0]);
    let id = plain[0]["event_id"].as_str().unwrap().replace('-', "");
    let offset = recovering[1]
        .as_str()
        .unwrap()
        .replace(&id, "<event_id without hyphens>");
    assert_json_snapshot!("offset", offset);
}
