use serde_json::{Value, json};

use super::{assert_answer, refused_fields, staff_of, with_tokens};
use crate::support::{TestServer, doctor, nurse, patient, service};

fn occupied() -> Value {
    json!({"hospital_id": "H1", "status": "occupied", "patient_id": "P1", "ward": "ICU 2", "floor": 3, "isolation": true})
}

#[tokio::test]
async fn a_bed_is_noted_told_and_listed() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("hospital_H1").await;
    // A second one, so that the hospital is not full.
    for bed in ["B2", "B3"] {
        rest.put(
            &format!("/api/beds/{bed}"),
            &json!({"hospital_id": "H1", "status": "available"}),
        )
        .await
        .expect(201);
        nurse.expect("bed_status_changed").await;
    }

    let noted = rest
        .put(
            "/api/beds/B1",
            &json!({"hospital_id": "H1", "status": "reserved", "floor": "3A"}),
        )
        .await;

    assert_answer!("bed_noted", noted.expect(201));
    assert_answer!("bed_status_changed", nurse.expect("bed_status_changed").await);
    assert_answer!("beds_listed", rest.get("/api/beds?hospital_id=H1").await.expect(200));
}

#[tokio::test]
async fn a_bed_keeps_what_is_left_out_and_loses_what_is_null() {
    let server = TestServer::start().await;
    let rest = server.rest();
    rest.put("/api/beds/B1", &occupied()).await.expect(201);

    let cleaned = rest
        .patch("/api/beds/B1", &json!({"status": "cleaning", "floor": null}))
        .await
        .expect(200);

    assert_eq!(
        (&cleaned["ward"], &cleaned["isolation"]),
        (&json!("ICU 2"), &json!(true))
    );
    assert_eq!((cleaned.get("floor"), cleaned.get("patient_id")), (None, None));
}

#[tokio::test]
async fn the_last_bed_raises_one_capacity_alert_which_the_answer_names() {
    let server = TestServer::start().await;

    let saved = server
        .rest()
        .put("/api/beds/B1", &json!({"hospital_id": "H1", "status": "occupied"}))
        .await
        .expect(201);
    let history = server
        .rest()
        .get("/api/alerts/history?hospital_id=H1")
        .await
        .expect(200);

    assert_eq!(saved["capacity_alerts"], json!([history[0]["alert_id"]]));
    assert_eq!(history.as_array().unwrap().len(), 1);
    assert_eq!(history[0]["alert_type"], "capacity");
}

#[tokio::test]
async fn an_answer_that_is_sent_back_changes_nothing() {
    let server = TestServer::start().await;
    let rest = server.rest();
    rest.put("/api/beds/B2", &json!({"hospital_id": "H1", "status": "available"}))
        .await
        .expect(201);
    let case = json!({"triage_id": "T1", "patient_id": "P1", "status": "pending", "priority": 1});

    for (path, noted) in [
        ("/api/beds/B1", rest.put("/api/beds/B1", &occupied()).await.expect(201)),
        ("/api/triage/T1", rest.post("/api/triage", &case).await.expect(201)),
    ] {
        let again = rest.put(path, &noted).await;

        assert_eq!(again.text.matches("event_id").count(), 1, "{}", again.text);
        let (mut before, mut after) = (noted, again.expect(200));
        for body in [&mut before, &mut after] {
            for told in ["event_id", "updated_at", "capacity_alerts"] {
                body.as_object_mut().unwrap().remove(told);
            }
        }
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_patch_of_no_bed_is_not_found() {
    let server = TestServer::start().await;

    let none = server
        .rest()
        .patch("/api/beds/B1", &json!({"hospital_id": "H1", "status": "available"}))
        .await;

    none.expect_error(404);
}

#[tokio::test]
async fn wrong_beds_are_explained() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let wrong =
        json!({"bed_id": "B1", "hospital_id": 1, "status": "full", "patient_id": "", "ward": "a\nb", "floor": 1.5});

    assert_eq!(
        refused_fields(&rest.put("/api/beds/B1", &wrong).await),
        ["hospital_id", "status", "patient_id", "ward", "floor"]
    );
    assert_eq!(
        refused_fields(
            &rest
                .put(
                    "/api/beds/B1",
                    &json!({"bed_id": "B2", "hospital_id": "H1", "status": "available"})
                )
                .await
        ),
        ["bed_id"]
    );
    assert_eq!(
        refused_fields(&rest.put("/api/beds/B%201", &occupied()).await),
        ["bed_id"]
    );
    assert_eq!(
        refused_fields(&rest.put("/api/beds/B1", &json!({"hospital_id": "H1"})).await),
        ["status"]
    );
    rest.put("/api/beds/%ff", &occupied()).await.expect_error(400);
}

#[tokio::test]
async fn beds_are_for_staff_and_services_of_the_hospital() {
    let server = with_tokens().await;
    for person in staff_of("H1").iter().chain(&[service()]) {
        let rest = server.rest_as(person);
        assert!(
            rest.put("/api/beds/B1", &occupied()).await.status.is_success(),
            "{}",
            person.role()
        );
        rest.patch("/api/beds/B1", &json!({"hospital_id": "H1", "status": "cleaning"}))
            .await
            .expect(200);
        rest.get("/api/beds?hospital_id=H1").await.expect(200);
    }

    for person in [patient("P1"), doctor().of("H2")] {
        let rest = server.rest_as(&person);
        rest.put("/api/beds/B1", &occupied()).await.expect_error(403);
        rest.patch("/api/beds/B1", &occupied()).await.expect_error(403);
        rest.get("/api/beds?hospital_id=H1").await.expect_error(403);
    }
}
