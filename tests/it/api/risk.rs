use serde_json::{Value, json};

use super::{assert_answer, refused_fields, staff_of, with_tokens};
use crate::support::{Rest, TestServer, doctor, eventually, nurse, patient, service};

fn predicted(score: f64) -> Value {
    json!({"patient_id": "P1", "hospital_id": "H1", "risk_score": score, "confidence": 0.9, "explanation": {"model": "v3"}})
}

fn vitals() -> Value {
    json!({
        "respiratory_rate": 24, "oxygen_saturation": 92, "supplemental_oxygen": true, "blood_pressure": "105/70",
        "heart_rate": 118, "consciousness": "A", "temperature": 38.6,
    })
}

#[tokio::test]
async fn a_prediction_is_answered_told_and_alerts() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("patient_P1").await;

    let answer = server.rest().post("/api/risk/predict", &predicted(0.87)).await;

    assert_answer!("risk_predicted", answer.expect(200));
    assert_answer!("risk_updated", nurse.expect("risk_updated").await);
    let alert = nurse.expect("patient_alert").await;
    assert_eq!(alert["alert_type"], "critical");
    assert_eq!(alert["alert_id"], answer.json()["alert_id"]);
}

#[tokio::test]
async fn a_low_risk_is_told_and_does_not_alert() {
    let server = TestServer::start().await;

    let answer = server
        .rest()
        .post("/api/risk/predict", &predicted(0.1))
        .await
        .expect(200);

    assert_eq!((&answer["risk_level"], answer.get("alert_id")), (&json!("low"), None));
    assert_eq!(server.rest().get("/api/alerts/history").await.expect(200), json!([]));
}

#[tokio::test]
async fn vitals_are_scored_by_news2() {
    let server = TestServer::start().await;

    let answer = server
        .rest()
        .post("/api/risk/predict", &json!({"patient_id": "P1", "vitals": vitals()}))
        .await;

    assert_answer!("risk_from_vitals", answer.expect(200));
}

#[tokio::test]
async fn the_level_of_the_predicting_service_is_kept() {
    let server = TestServer::start().await;
    let mut body = predicted(0.1);
    body["risk_level"] = json!("Moderate");

    let answer = server.rest().post("/api/risk/predict", &body).await.expect(200);

    assert_eq!(answer["risk_level"], "medium");
}

#[tokio::test]
async fn a_vital_that_is_missing_or_impossible_is_named() {
    let server = TestServer::start().await;
    let mut wrong = vitals();
    wrong["heart_rate"] = json!(900);
    wrong.as_object_mut().unwrap().remove("temperature");

    for route in ["/api/risk/predict", "/api/risk/predict-async"] {
        let refused = server
            .rest()
            .post(route, &json!({"patient_id": "P1", "vitals": wrong}))
            .await;

        let mut fields = refused_fields(&refused);
        fields.sort();
        assert_eq!(fields, ["heart_rate", "temperature"], "{}", refused.text);
    }
}

#[tokio::test]
async fn a_prediction_is_a_score_or_vitals_and_nothing_else() {
    let server = TestServer::start().await;
    let refused = async |body: Value| refused_fields(&server.rest().post("/api/risk/predict", &body).await);

    assert_eq!(refused(json!({"patient_id": "P1"})).await, ["risk_score"]);
    assert_eq!(
        refused(json!({"patient_id": "P1", "risk_score": 0.5, "vitals": vitals()})).await,
        ["vitals"]
    );
    assert_eq!(
        refused(json!({"patient_id": "P1", "vitals": vitals(), "confidence": 1})).await,
        ["confidence"]
    );
    assert_eq!(
        refused(json!({"patient_id": "P1", "risk_score": 1.01})).await,
        ["risk_score"]
    );
    assert_eq!(
        refused(json!({"patient_id": "P1", "risk_score": "0.5"})).await,
        ["risk_score"]
    );
    assert_eq!(
        refused(json!({"patient_id": "P1", "risk_score": 0.5, "risk_level": "grave"})).await,
        ["risk_level"]
    );
    assert_eq!(
        refused(json!({"risk_score": 0.5, "model": "v3"})).await,
        ["patient_id", "model"]
    );
}

#[tokio::test]
async fn staff_and_services_may_predict_and_patients_may_not() {
    let server = with_tokens().await;
    for route in ["/api/risk/predict", "/api/risk/predict-async"] {
        for person in staff_of("H1").iter().chain(&[service()]) {
            let answer = server.rest_as(person).post(route, &predicted(0.1)).await;
            assert!(answer.status.is_success(), "{}: {}", person.role(), answer.text);
        }
        server
            .rest_as(&patient("P1"))
            .post(route, &predicted(0.1))
            .await
            .expect_error(403);
        server
            .rest_as(&doctor().of("H2"))
            .post(route, &predicted(0.1))
            .await
            .expect_error(403);
    }
}

async fn finished(rest: &Rest, accepted: &Value) -> Value {
    let path = format!("/api/task-status/{}", accepted["task_id"].as_str().unwrap());
    eventually("the task is finished", async || {
        let state = rest.get(&path).await.expect(200);
        (state["status"] == "SUCCESS" || state["status"] == "FAILURE").then_some(state)
    })
    .await
}

#[tokio::test]
async fn an_asynchronous_prediction_is_accepted_worked_on_and_told() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("patient_P1").await;

    let accepted = server
        .rest()
        .post("/api/risk/predict-async", &predicted(0.87))
        .await
        .expect(202);
    let told = nurse.expect("risk_updated").await;
    let state = finished(&server.rest(), &accepted).await;

    assert_answer!("task_accepted", &accepted);
    assert_answer!("task_finished", &state);
    assert_eq!(state["result"]["risk_score"], told["risk_score"]);
}

#[tokio::test]
async fn a_task_of_another_hospital_is_not_found() {
    let server = with_tokens().await;
    let own = server.rest_as(&doctor().of("H1"));
    let accepted = own.post("/api/risk/predict-async", &predicted(0.1)).await.expect(202);
    let path = format!("/api/task-status/{}", accepted["task_id"].as_str().unwrap());

    own.get(&path).await.expect(200);
    server
        .rest_as(&doctor().named("other").of("H2"))
        .get(&path)
        .await
        .expect_error(404);
    own.get("/api/task-status/019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f")
        .await
        .expect_error(404);
    assert_eq!(refused_fields(&own.get("/api/task-status/1").await), ["task_id"]);
}
