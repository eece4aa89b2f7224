use serde_json::{Value, json};

use super::{assert_answer, refused_fields, staff_of, with_tokens};
use crate::support::{TestServer, doctor, nurse, patient, service};

fn case(id: &str) -> Value {
    json!({"triage_id": id, "patient_id": "P1", "hospital_id": "H1", "status": "pending", "complaint": "chest pain"})
}

#[tokio::test]
async fn a_case_is_opened_told_to_the_queue_and_to_the_hospital() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("triage_queue").await;
    nurse.join("hospital_H1").await;

    let opened = server.rest().post("/api/triage", &case("T1")).await;

    assert_answer!("triage_opened", opened.expect(201));
    assert_answer!("triage_updated", nurse.expect("triage_updated").await);
    let alert = nurse.expect("hospital_alert").await;
    assert_eq!(alert["alert_type"], "info", "{alert}");
}

#[tokio::test]
async fn a_case_without_an_id_gets_one() {
    let server = TestServer::start().await;
    let mut body = case("");
    body.as_object_mut().unwrap().remove("triage_id");

    let opened = server.rest().post("/api/triage", &body).await.expect(201);

    let path = format!("/api/triage/{}", opened["triage_id"].as_str().unwrap());
    assert_eq!(server.rest().get(&path).await.expect(200)["complaint"], "chest pain");
}

#[tokio::test]
async fn a_case_is_opened_once() {
    let server = TestServer::start().await;
    server.rest().post("/api/triage", &case("T1")).await.expect(201);

    server.rest().post("/api/triage", &case("T1")).await.expect_error(409);
}

#[tokio::test]
async fn a_case_moves_on_and_keeps_what_is_left_out() {
    let server = TestServer::start().await;
    let rest = server.rest();
    rest.post("/api/triage", &case("T1")).await.expect(201);

    let put = rest
        .put(
            "/api/triage/T1",
            &json!({"triage_id": "T1", "status": "triaged", "priority": 2}),
        )
        .await
        .expect(200);
    let patched = rest
        .patch("/api/triage/T1", &json!({"status": "assigned", "complaint": null}))
        .await
        .expect(200);
    let read = rest.get("/api/triage/T1").await.expect(200);

    assert_eq!(
        (&put["status"], &put["complaint"], &put["priority"]),
        (&json!("triaged"), &json!("chest pain"), &json!(2))
    );
    assert_eq!(
        (&patched["status"], patched.get("complaint")),
        (&json!("assigned"), None)
    );
    assert_answer!("triage_case", read);
}

#[tokio::test]
async fn a_put_opens_a_case_and_a_patch_does_not() {
    let server = TestServer::start().await;

    server
        .rest()
        .patch("/api/triage/T1", &json!({"status": "triaged"}))
        .await
        .expect_error(404);
    let opened = server
        .rest()
        .put("/api/triage/T1", &json!({"patient_id": "P1", "status": "triaged"}))
        .await;

    assert_eq!(opened.expect(201)["triage_id"], "T1");
}

#[tokio::test]
async fn cases_are_listed_by_hospital_patient_and_status() {
    let server = TestServer::start().await;
    let rest = server.rest();
    rest.post("/api/triage", &case("T1")).await.expect(201);
    rest.put(
        "/api/triage/T2",
        &json!({"patient_id": "P2", "hospital_id": "H2", "status": "triaged"}),
    )
    .await
    .expect(201);
    let listed = async |query: &str| -> Vec<String> {
        let cases = rest.get(&format!("/api/triage{query}")).await.expect(200);
        cases
            .as_array()
            .unwrap()
            .iter()
            .map(|case| case["triage_id"].as_str().unwrap().to_owned())
            .collect()
    };

    assert_eq!(listed("").await, ["T1", "T2"]);
    assert_eq!(listed("?hospital_id=H1").await, ["T1"]);
    assert_eq!(listed("?patient_id=P2").await, ["T2"]);
    assert_eq!(listed("?status=triaged").await, ["T2"]);
    assert_eq!(listed("?limit=1").await, ["T1"]);
    assert_eq!(
        refused_fields(&rest.get("/api/triage?status=done&limit=0&ward=1").await),
        ["status", "limit", "ward"]
    );
}

#[tokio::test]
async fn wrong_cases_are_explained() {
    let server = TestServer::start().await;
    let rest = server.rest();

    let opened = rest
        .post(
            "/api/triage",
            &json!({"triage_id": "queue", "hospital_id": "", "status": "done"}),
        )
        .await;
    let other = rest
        .put(
            "/api/triage/T1",
            &json!({"triage_id": "T2", "patient_id": "P1", "status": "pending"}),
        )
        .await;
    let bare = rest.put("/api/triage/T1", &json!({})).await;
    let queue = rest.put("/api/triage/queue", &case("queue")).await;

    assert_eq!(
        refused_fields(&opened),
        ["triage_id", "patient_id", "hospital_id", "status"]
    );
    assert_eq!(refused_fields(&other), ["triage_id"]);
    let mut missing = refused_fields(&bare);
    missing.sort();
    assert_eq!(missing, ["patient_id", "status"]);
    assert_eq!(refused_fields(&queue), ["triage_id"]);
}

#[tokio::test]
async fn triage_is_for_staff_and_services_of_the_hospital() {
    let server = with_tokens().await;
    for (n, person) in staff_of("H1").iter().chain(&[service()]).enumerate() {
        let rest = server.rest_as(person);
        let path = format!("/api/triage/T{n}");
        rest.post("/api/triage", &case(&format!("T{n}"))).await.expect(201);
        rest.put(&path, &json!({"status": "triaged"})).await.expect(200);
        rest.patch(&path, &json!({"status": "assigned"})).await.expect(200);
        rest.get(&path).await.expect(200);
        rest.get("/api/triage").await.expect(200);
    }

    let patient = server.rest_as(&patient("P1"));
    patient.post("/api/triage", &case("T9")).await.expect_error(403);
    patient
        .put("/api/triage/T1", &json!({"status": "triaged"}))
        .await
        .expect_error(403);
    patient
        .patch("/api/triage/T1", &json!({"status": "triaged"}))
        .await
        .expect_error(403);
    patient.get("/api/triage").await.expect_error(403);
    assert!(!patient.get("/api/triage/T1").await.status.is_success());

    let outsider = server.rest_as(&doctor().of("H2"));
    outsider.post("/api/triage", &case("T9")).await.expect_error(403);
    outsider.get("/api/triage/T1").await.expect_error(404);
    outsider
        .patch("/api/triage/T1", &json!({"status": "triaged"}))
        .await
        .expect_error(403);
    outsider.get("/api/triage?hospital_id=H1").await.expect_error(403);
    assert_eq!(outsider.get("/api/triage").await.expect(200), json!([]));
}
