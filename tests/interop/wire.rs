//! The wire contract as a stock client sees it.

use serde_json::{Value, json};

use super::{Library, Options, Stock};
use crate::support::{Rest, ServerProcess, Transport};

pub(super) async fn is_greeted_over_its_transport(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let mut client = Options::new(library, transport).start(server.addr());

    let connected = client.expect("connect").await;
    let greeting = client.expect_event("connection_response").await;

    assert_eq!(greeting["status"], "connected");
    assert_eq!(greeting["sid"], connected["sid"]);
    assert_is_timestamp(&greeting["timestamp"]);
    let carrier = match transport {
        Transport::Polling => "polling",
        Transport::Upgrade | Transport::Websocket => "websocket",
    };
    client.until_over(carrier).await;
}

pub(super) async fn joins_and_leaves_with_and_without_a_callback(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let mut client = Options::new(library, transport).start(server.addr());
    client.connected().await;

    client.emit("join_room", json!({"room": "patient_PAT-1A2B3C4D"}));
    let joined = client.expect_event("room_joined").await;
    assert_answer(&joined, &json!({"room": "patient_PAT-1A2B3C4D", "status": "joined"}));

    let (joined, event) = call(
        &mut client,
        "join_room",
        json!({"room": "hospital_hosp_456"}),
        "room_joined",
    )
    .await;
    assert_answer(&joined, &json!({"room": "hospital_hosp_456", "status": "joined"}));
    assert_eq!(joined, event);

    let (left, event) = call(
        &mut client,
        "leave_room",
        json!({"room": "hospital_hosp_456"}),
        "room_left",
    )
    .await;
    assert_answer(&left, &json!({"room": "hospital_hosp_456", "status": "left"}));
    assert_eq!(left, event);

    // What it left it does not hear, what it stayed in it does.
    let rest = server.rest();
    rest.post(
        "/api/hospital/alert",
        &json!({"hospital_id": "hosp_456", "alert_type": "info", "message": "left"}),
    )
    .await
    .expect(201);
    post_alert(&rest, "PAT-1A2B3C4D", "stayed").await;
    assert_eq!(client.expect_event("patient_alert").await["message"], "stayed");
}

pub(super) async fn hears_all_six_events_exactly_as_promised(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let rest = server.rest();
    let mut client = Options::new(library, transport).start(server.addr());
    client.connected().await;
    for room in ["patient_P-1", "hospital_H-1", "triage_T-1", "triage_queue"] {
        client.join(room).await;
    }

    let alert_data = json!({"message": "SpO2 84 %", "vitals": {"oxygen_saturation": 84}, "recommendations": ["oxygen"], "patient_id": "forged"});
    let alert = json!({"patient_id": "P-1", "alert_type": "critical", "alert_data": alert_data});
    assert!(rest.post("/api/alerts/patient", &alert).await.status.is_success());
    assert_event(
        &client.expect_event("patient_alert").await,
        &json!({
            "alert_type": "critical", "patient_id": "P-1", "message": "SpO2 84 %",
            "vitals": {"oxygen_saturation": 84}, "recommendations": ["oxygen"],
        }),
    );

    let alert =
        json!({"hospital_id": "H-1", "alert_type": "emergency", "message": "Code blue", "alert_data": {"floor": 3}});
    assert!(rest.post("/api/hospital/alert", &alert).await.status.is_success());
    assert_event(
        &client.expect_event("hospital_alert").await,
        &json!({"alert_type": "emergency", "hospital_id": "H-1", "message": "Code blue", "floor": 3}),
    );

    let prediction =
        json!({"patient_id": "P-1", "risk_score": 0.12, "risk_level": "low", "explanation": {"model": "rf-7"}});
    assert!(rest.post("/api/risk/predict", &prediction).await.status.is_success());
    assert_event(
        &client.expect_event("risk_updated").await,
        &json!({
            "event_type": "risk_update", "patient_id": "P-1", "risk_score": 0.12, "risk_level": "low",
            "explanation": {"model": "rf-7"},
        }),
    );

    let case = json!({"triage_id": "T-1", "patient_id": "P-1", "status": "pending"});
    assert!(rest.post("/api/triage", &case).await.status.is_success());
    assert_event(
        &client.expect_event("triage_updated").await,
        &json!({"event_type": "triage_update", "triage_id": "T-1", "patient_id": "P-1", "status": "pending"}),
    );

    let on_duty = json!({"hospital_id": "H-1", "staff_id": "S-1", "staff_type": "nurse", "available": true});
    assert!(rest.put("/api/staff/availability", &on_duty).await.status.is_success());
    assert_event(
        &client.expect_event("staff_availability_changed").await,
        &json!({
            "event_type": "availability_update", "hospital_id": "H-1", "staff_id": "S-1", "staff_type": "nurse",
            "available": true,
        }),
    );

    let bed = json!({"hospital_id": "H-1", "status": "available", "ward": "ICU", "floor": "3"});
    assert!(rest.put("/api/beds/B-1", &bed).await.status.is_success());
    assert_event(
        &client.expect_event("bed_status_changed").await,
        &json!({
            "event_type": "bed_status_update", "hospital_id": "H-1",
            "bed_info": {"bed_id": "B-1", "status": "available", "ward": "ICU", "floor": "3"},
        }),
    );

    // Each came once, and nothing else did.
    post_alert(&rest, "P-1", "marker").await;
    assert_eq!(client.expect_event("patient_alert").await["message"], "marker");
}

pub(super) async fn is_told_what_is_wrong_with_a_payload_and_lives_on(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let mut client = Options::new(library, transport).start(server.addr());
    client.connected().await;

    for event in ["join_room", "leave_room"] {
        for payload in [
            json!({}),
            json!({"room": 5}),
            json!("patient_P-1"),
            json!(7),
            json!(null),
            json!({"room": "staff_room"}),
        ] {
            let (answer, event) = call(&mut client, event, payload.clone(), "error").await;
            assert_eq!(answer["message"], "Invalid room name", "{payload}");
            assert!(answer["code"].is_string(), "{answer}");
            assert_eq!(answer, event);

            client.emit("join_room", payload);
            assert_eq!(client.expect_event("error").await["message"], "Invalid room name");
        }
    }

    client.join("patient_P-1").await;
    post_alert(&server.rest(), "P-1", "still here").await;
    assert_eq!(client.expect_event("patient_alert").await["message"], "still here");
}

pub(super) async fn comes_back_by_itself_after_the_server_was_killed(library: Library, transport: Transport) {
    let server = ServerProcess::start().await;
    let mut client = Options::new(library, transport).start(server.addr());
    client.connected().await;

    let server = server.kill_and_restart().await;

    until_connected(&mut client).await;
    client.expect_event("connection_response").await;
    client.join("patient_P-1").await;
    post_alert(&server.rest(), "P-1", "after").await;
    assert_eq!(client.expect_event("patient_alert").await["message"], "after");
}

/// Waits until a client that lost its connection has it again; what it says on `connect`.
pub(super) async fn until_connected(client: &mut Stock) -> Value {
    loop {
        let happened = client.next("connect").await;
        match happened["on"].as_str() {
            Some("connect") => return happened,
            Some("disconnect") => {
                let reason = happened["reason"].as_str().unwrap_or_default();
                assert_ne!(
                    reason, "io server disconnect",
                    "from that a client does not come back by itself"
                );
            }
            Some("connect_error") => {}
            _ => panic!("instead of connect: {happened}"),
        }
    }
}

/// Posts a critical alert (which no limiter holds back) and answers its id.
pub(super) async fn post_alert(rest: &Rest, patient_id: &str, message: &str) -> String {
    let body = json!({"patient_id": patient_id, "alert_type": "critical", "alert_data": {"message": message}});
    let answer = rest.post("/api/alerts/patient", &body).await;
    assert!(answer.status.is_success(), "{}: {}", answer.status, answer.text);
    answer.json()["alert_id"].as_str().unwrap().to_owned()
}

/// Emits with a callback: what it is called with, and the event that comes as well.
async fn call(client: &mut Stock, event: &str, payload: Value, answer: &str) -> (Value, Value) {
    let (called_with, passed) = client.call(event, payload).await;
    if passed.is_empty() {
        return (called_with, client.expect_event(answer).await);
    }
    assert_eq!(passed.len(), 1, "{passed:?}");
    assert_eq!(passed[0]["on"], answer, "{passed:?}");
    (called_with, passed[0]["args"][0].clone())
}

/// The payload is this, and the ids and the time that the server adds.
fn assert_event(payload: &Value, expected: &Value) {
    let mut rest = payload.as_object().unwrap().clone();
    assert_is_timestamp(&rest.remove("timestamp").unwrap());
    let event_id = rest.remove("event_id").unwrap();
    let id: uuid::Uuid = event_id.as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7, "{payload}");
    if expected.get("alert_type").is_some() {
        assert_eq!(rest.remove("alert_id"), Some(event_id), "{payload}");
    }
    assert_eq!(&Value::Object(rest), expected);
}

fn assert_answer(answer: &Value, expected: &Value) {
    let mut rest = answer.as_object().unwrap().clone();
    assert_is_timestamp(&rest.remove("timestamp").unwrap());
    assert_eq!(&Value::Object(rest), expected);
}

/// UTC, ISO 8601, microseconds, offset `+00:00`.
fn assert_is_timestamp(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("{value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000+00:00", "{text}");
}
