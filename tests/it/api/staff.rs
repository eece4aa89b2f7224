use serde_json::json;

use super::{assert_answer, refused_fields, staff_of, with_tokens};
use crate::support::{TestServer, doctor, nurse, patient, service};

#[tokio::test]
async fn an_availability_is_kept_told_and_listed() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("hospital_H1").await;
    let body = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1", "available": true});

    let saved = server.rest().put("/api/staff/availability", &body).await;

    assert_answer!("staff_saved", saved.expect(200));
    assert_answer!(
        "staff_availability_changed",
        nurse.expect("staff_availability_changed").await
    );
    assert_answer!(
        "staff_listed",
        server.rest().get("/api/staff?hospital_id=H1").await.expect(200)
    );
    assert_eq!(
        server.rest().get("/api/staff?hospital_id=H2").await.expect(200),
        json!([])
    );
}

#[tokio::test]
async fn login_and_logout_take_everything_from_the_token_even_without_a_body() {
    let server = with_tokens().await;
    let doctor = doctor().of("H1").with("staff_id", json!("D1"));
    let rest = server.rest_as(&doctor);

    let login = rest
        .ask(reqwest::Method::POST, "/api/staff/login", None)
        .await
        .expect(200);
    let on_duty = rest.get("/api/staff").await.expect(200);
    let logout = rest.post("/api/staff/logout", &json!({})).await.expect(200);

    assert_eq!(
        (&login["staff_id"], &login["staff_type"]),
        (&json!("D1"), &json!("doctor"))
    );
    assert_eq!(
        (&login["hospital_id"], &login["available"]),
        (&json!("H1"), &json!(true))
    );
    assert_eq!(on_duty[0]["staff_id"], "D1");
    assert_eq!(logout["available"], false);
    assert_eq!(rest.get("/api/staff").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_wrong_availability_is_explained() {
    let server = TestServer::start().await;
    let rest = server.rest();

    let put = rest
        .put("/api/staff/availability", &json!({"staff_type": "porter", "since": 1}))
        .await;
    let contradiction = rest
        .post("/api/staff/login", &json!({"staff_id": "D1", "available": false}))
        .await;

    assert_eq!(refused_fields(&put), ["staff_type", "available", "since"]);
    assert_eq!(refused_fields(&contradiction), ["available"]);
    // Nothing can be taken from a token where there is none.
    assert!(!refused_fields(&rest.put("/api/staff/availability", &json!({"available": true})).await).is_empty());
}

#[tokio::test]
async fn staff_is_for_staff_and_services_of_the_hospital() {
    let server = with_tokens().await;
    let body = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1", "available": true});
    let coming = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1"});
    for person in staff_of("H1") {
        server
            .rest_as(&person)
            .get("/api/staff?hospital_id=H1")
            .await
            .expect(200);
    }
    server
        .rest_as(&service())
        .put("/api/staff/availability", &body)
        .await
        .expect(200);

    for person in [patient("P1"), doctor().of("H2")] {
        let rest = server.rest_as(&person);
        rest.put("/api/staff/availability", &body).await.expect_error(403);
        rest.post("/api/staff/login", &coming).await.expect_error(403);
        rest.post("/api/staff/logout", &coming).await.expect_error(403);
        rest.get("/api/staff?hospital_id=H1").await.expect_error(403);
    }
}
