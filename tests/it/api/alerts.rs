use std::time::Duration;

use serde_json::{Value, json};

use super::{assert_answer, refused_fields, staff_of, warning, with_tokens};
use crate::support::{Rest, TestServer, admin, doctor, nurse, patient, service};

#[tokio::test]
async fn a_patients_alert_is_answered_and_stands_in_the_history_as_it_was_emitted() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("patient_P1").await;
    let body = json!({
        "patient_id": "P1", "hospital_id": "H1", "alert_type": "critical",
        "alert_data": {"message": "SpO2 81 %", "vitals": {"oxygen_saturation": 81}, "z": 1, "a": [1.5, null]},
    });

    let raised = server.rest().post("/api/alerts/patient", &body).await;
    let emitted = nurse.expect("patient_alert").await;
    let history = server.rest().get("/api/alerts/history?patient_id=P1").await;

    assert_answer!("patient_alert_raised", raised.expect(201));
    assert_answer!("patient_alert", &emitted);
    assert_eq!(history.expect(200), json!([emitted]));
    assert_eq!(raised.json()["alert_id"], emitted["alert_id"]);
    assert!(
        history.text.contains(r#""z":1,"a":[1.5,null]"#),
        "free-form fields keep their order: {}",
        history.text
    );
}

#[tokio::test]
async fn a_hospitals_alert_is_answered_and_stands_in_the_history_as_it_was_emitted() {
    let server = TestServer::start().await;
    let mut doctor = server.connect(&doctor()).await;
    doctor.join("hospital_H1").await;
    let body = json!({
        "hospital_id": "H1", "alert_type": "emergency", "message": "all hands",
        "alert_data": {"message": "another", "floor": 3},
    });

    let raised = server.rest().post("/api/hospital/alert", &body).await;
    let emitted = doctor.expect("hospital_alert").await;
    let history = server.rest().get("/api/alerts/history?hospital_id=H1").await;

    assert_answer!("hospital_alert_raised", raised.expect(201));
    assert_answer!("hospital_alert", &emitted);
    assert_eq!(history.expect(200), json!([emitted]));
}

#[tokio::test]
async fn what_is_over_the_limit_is_answered_202_and_stands_in_the_history_as_suppressed() {
    let server = TestServer::start().await;
    for _ in 0..10 {
        server
            .rest()
            .post("/api/alerts/patient", &warning("P1"))
            .await
            .expect(201);
    }

    let suppressed = server.rest().post("/api/alerts/patient", &warning("P1")).await;
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=P1&limit=1")
        .await
        .expect(200);
    let critical = json!({"patient_id": "P1", "alert_type": "critical", "alert_data": {}});

    assert_answer!("patient_alert_suppressed", suppressed.expect(202));
    assert_eq!(history[0]["suppressed"], true, "{history}");
    assert_eq!(history[0]["alert_id"], suppressed.json()["alert_id"]);
    server.rest().post("/api/alerts/patient", &critical).await.expect(201);
}

#[tokio::test]
async fn staff_and_services_may_raise_alerts() {
    let server = with_tokens().await;
    for person in staff_of("H1").iter().chain(&[service()]) {
        let rest = server.rest_as(person);
        let patient = json!({"patient_id": "P1", "hospital_id": "H1", "alert_type": "critical", "alert_data": {}});
        let hospital = json!({"hospital_id": "H1", "alert_type": "info", "message": "m"});

        rest.post("/api/alerts/patient", &patient).await.expect(201);
        rest.post("/api/hospital/alert", &hospital).await.expect(201);
    }
}

#[tokio::test]
async fn patients_raise_no_alerts() {
    let server = with_tokens().await;
    let rest = server.rest_as(&patient("P1"));

    rest.post("/api/alerts/patient", &warning("P1")).await.expect_error(403);
    rest.post(
        "/api/hospital/alert",
        &json!({"hospital_id": "H1", "alert_type": "info"}),
    )
    .await
    .expect_error(403);
}

#[tokio::test]
async fn a_token_of_one_hospital_raises_nothing_in_another() {
    let server = with_tokens().await;
    let known = json!({"patient_id": "P2", "hospital_id": "H2", "alert_type": "info", "alert_data": {}});
    server
        .rest_as(&service())
        .post("/api/alerts/patient", &known)
        .await
        .expect(201);

    for person in staff_of("H1").iter().chain(&[service().of("H1")]) {
        let rest = server.rest_as(person);
        rest.post(
            "/api/hospital/alert",
            &json!({"hospital_id": "H2", "alert_type": "info"}),
        )
        .await
        .expect_error(403);
        rest.post("/api/alerts/patient", &known).await.expect_error(403);
        // The patient is known to belong elsewhere, even where nobody says so.
        rest.post("/api/alerts/patient", &warning("P2")).await.expect_error(403);
    }
}

#[tokio::test]
async fn a_wrong_alert_is_explained_field_by_field() {
    let server = TestServer::start().await;
    let wrong = json!({"patient_id": "a b", "hospital_id": 7, "alert_type": "fatal", "alert_data": [], "severity": 1});

    let patient = server.rest().post("/api/alerts/patient", &wrong).await;
    let hospital = server.rest().post("/api/hospital/alert", &json!({"message": 1})).await;

    assert_answer!("patient_alert_refused", patient.expect(422));
    assert_answer!("hospital_alert_refused", hospital.expect(422));
}

// ---------------------------------------------------------------- history

async fn raise(rest: &Rest, patient: &str, alert_type: &str) -> String {
    let body = json!({"patient_id": patient, "hospital_id": "H1", "alert_type": alert_type, "alert_data": {}});
    let raised = rest.post("/api/alerts/patient", &body).await.expect(201);
    raised["alert_id"].as_str().unwrap().to_owned()
}

fn ids(history: &Value) -> Vec<String> {
    history
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["alert_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_history_is_paged_newest_first_by_its_links() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let mut raised = Vec::new();
    for _ in 0..7 {
        raised.insert(0, raise(&rest, "P1", "critical").await);
        raise(&rest, "P2", "critical").await;
    }

    let mut next = Some("/api/alerts/history?patient_id=P1&limit=3&since=2026-02-15T10%3A30%3A00%2B00%3A00".to_owned());
    let (mut seen, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let page = rest.get(&path).await;
        seen.extend(ids(&page.expect(200)));
        pages += 1;
        next = page.header("link").map(|link| {
            let (url, rel) = link.split_once("; ").unwrap();
            assert_eq!(rel, r#"rel="next""#);
            url.trim_start_matches('<').trim_end_matches('>').to_owned()
        });
    }

    assert_eq!(seen, raised);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn the_history_is_filtered_by_time_and_type() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let first = raise(&rest, "P1", "info").await;
    server.clock.advance(Duration::from_mins(1));
    let second = raise(&rest, "P1", "critical").await;

    let of = async |query: &str| {
        ids(&rest
            .get(&format!("/api/alerts/history?patient_id=P1&{query}"))
            .await
            .expect(200))
    };

    assert_eq!(of("alert_type=critical").await, std::slice::from_ref(&second));
    assert_eq!(of("since=2026-02-15T10:30:30Z").await, std::slice::from_ref(&second));
    assert_eq!(of("until=2026-02-15T10:30:30Z").await, std::slice::from_ref(&first));
    assert_eq!(
        of("until=2026-02-15T11:30:30%2B01:00").await,
        std::slice::from_ref(&first)
    );
    assert_eq!(of("hospital_id=H1").await, [second, first]);
    assert_eq!(of("hospital_id=H2").await, [""; 0]);
}

#[tokio::test]
async fn a_client_that_knows_its_last_event_gets_what_it_has_missed() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let last = raise(&rest, "P1", "critical").await;
    let missed = [
        raise(&rest, "P1", "critical").await,
        raise(&rest, "P1", "critical").await,
    ];

    let after = rest
        .get(&format!("/api/alerts/history?patient_id=P1&after={last}"))
        .await
        .expect(200);
    let unknown = rest
        .get("/api/alerts/history?patient_id=P1&after=019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f")
        .await;

    assert_eq!(ids(&after), [missed[1].clone(), missed[0].clone()]);
    assert_eq!(refused_fields(&unknown), ["after"]);
}

#[tokio::test]
async fn wrong_parameters_of_the_history_are_named() {
    let server = TestServer::start().await;
    let query = "patient_id=a%20b&since=yesterday&until=2026-02-15T10:30:00&alert_type=fatal&limit=1001&cursor=x&after=1&page=2";

    let refused = server.rest().get(&format!("/api/alerts/history?{query}")).await;

    let fields = [
        "patient_id",
        "since",
        "until",
        "alert_type",
        "cursor",
        "after",
        "limit",
        "page",
    ];
    assert_eq!(refused_fields(&refused), fields);
    assert_eq!(
        refused_fields(&server.rest().get("/api/alerts/history?limit=0").await),
        ["limit"]
    );
    assert_eq!(
        refused_fields(&server.rest().get("/api/alerts/history?limit=1&limit=2").await),
        ["limit"]
    );
}

#[tokio::test]
async fn the_history_is_bounded_by_the_hospital_of_the_token() {
    let server = with_tokens().await;
    let backend = server.rest_as(&service());
    let ours = raise(&backend, "P1", "critical").await;
    let theirs = json!({"hospital_id": "H2", "alert_type": "info", "message": "m"});
    backend.post("/api/hospital/alert", &theirs).await.expect(201);

    for person in staff_of("H1").iter().chain(&[service().of("H1")]) {
        let rest = server.rest_as(person);
        assert_eq!(
            ids(&rest.get("/api/alerts/history").await.expect(200)),
            std::slice::from_ref(&ours)
        );
        assert_eq!(
            ids(&rest.get("/api/alerts/history?patient_id=P1").await.expect(200)),
            std::slice::from_ref(&ours)
        );
        rest.get("/api/alerts/history?hospital_id=H2").await.expect_error(403);
    }
    for person in [admin(), service()] {
        let all = server.rest_as(&person).get("/api/alerts/history").await.expect(200);
        assert_eq!(all.as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn patients_see_their_own_history_alone() {
    let server = with_tokens().await;
    let backend = server.rest_as(&service());
    let own = raise(&backend, "P1", "critical").await;
    raise(&backend, "P2", "critical").await;
    let rest = server.rest_as(&patient("P1"));

    assert_eq!(
        ids(&rest.get("/api/alerts/history").await.expect(200)),
        std::slice::from_ref(&own)
    );
    assert_eq!(
        ids(&rest.get("/api/alerts/history?patient_id=P1").await.expect(200)),
        std::slice::from_ref(&own)
    );
    rest.get("/api/alerts/history?patient_id=P2").await.expect_error(403);
    assert_eq!(
        ids(&rest.get("/api/alerts/history?hospital_id=H1").await.expect(200)),
        [own]
    );
}

// ---------------------------------------------------------------- timeline

#[tokio::test]
async fn a_timeline_says_what_became_of_an_alert() {
    let server = TestServer::start().await;
    let mut nurse = server.connect(&nurse()).await;
    nurse.join("patient_P1").await;
    let id = raise(&server.rest(), "P1", "critical").await;
    nurse.expect("patient_alert").await;

    let timeline = crate::support::eventually("the delivery is noted", async || {
        let timeline = server.rest().get(&format!("/api/alerts/{id}")).await.expect(200);
        (timeline["delivered"] == 1 && !timeline["published_at"].is_null()).then_some(timeline)
    })
    .await;

    assert_answer!("timeline", &timeline);
}

#[tokio::test]
async fn a_timeline_of_nothing_or_of_somebody_elses_alert_is_not_found() {
    let server = with_tokens().await;
    let id = raise(&server.rest_as(&service()), "P1", "critical").await;
    let path = format!("/api/alerts/{id}");

    server.rest_as(&doctor().of("H1")).get(&path).await.expect(200);
    server.rest_as(&doctor().of("H2")).get(&path).await.expect_error(404);
    server.rest_as(&patient("P2")).get(&path).await.expect_error(404);
    server
        .rest_as(&service())
        .get("/api/alerts/019c5a3e-7b1c-7c3e-8a52-6f1b2c3d4e5f")
        .await
        .expect_error(404);
    let no_id = server.rest_as(&service()).get("/api/alerts/nothing").await;
    assert_eq!(refused_fields(&no_id), ["alert_id"]);
}
