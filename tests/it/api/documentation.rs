use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::with_tokens;
use crate::support::TestServer;

/// Contract A §5, and what issue and operation add to it.
const ROUTES: [&str; 25] = [
    "get /",
    "get /api/alerts/history",
    "get /api/alerts/{alert_id}",
    "get /api/beds",
    "get /api/openapi.json",
    "get /api/staff",
    "get /api/status/socket",
    "get /api/task-status/{task_id}",
    "get /api/triage",
    "get /api/triage/{triage_id}",
    "get /health",
    "get /metrics",
    "get /ready",
    "patch /api/beds/{bed_id}",
    "patch /api/triage/{triage_id}",
    "post /api/alerts/patient",
    "post /api/hospital/alert",
    "post /api/risk/predict",
    "post /api/risk/predict-async",
    "post /api/staff/login",
    "post /api/staff/logout",
    "post /api/triage",
    "put /api/beds/{bed_id}",
    "put /api/staff/availability",
    "put /api/triage/{triage_id}",
];

async fn document() -> Value {
    // Without a token: it says how to get on with one.
    with_tokens().await.rest().get("/api/openapi.json").await.expect(200)
}

pub(crate) fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
}

#[tokio::test]
async fn every_route_is_documented() {
    let document = document().await;

    let documented: BTreeSet<String> = operations(&document).map(|(route, _)| route).collect();

    let routes: BTreeSet<String> = ROUTES.iter().map(ToString::to_string).collect();
    assert_eq!(documented, routes);
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3."),
        "{}",
        document["openapi"]
    );
}

/// Holds every `$ref` of a document to its target.
pub(crate) fn hold_references(document: &Value) {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();

    references(document, &mut found);

    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    hold_references(&document().await);
}

#[tokio::test]
async fn every_operation_says_who_may_what_it_answers_and_how_it_refuses() {
    let document = document().await;
    let mut ids = BTreeSet::new();

    for (route, operation) in operations(&document) {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{route}: its operationId is another's too"
        );
        assert!(
            operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()),
            "{route}: no summary"
        );
        let answers = operation["responses"].as_object().unwrap();
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{route}: no success"
        );
        let is_public = operation["security"] == json!([{}]);
        let is_guarded = route.contains(" /api/") && !route.ends_with("openapi.json");
        assert_eq!(!is_public && !route.ends_with("/metrics"), is_guarded, "{route}");
        if is_guarded {
            for status in ["401", "403"] {
                assert!(answers.contains_key(status), "{route}: {status} is not documented");
            }
        }
        if route.starts_with("post") {
            let keys = operation["parameters"].as_array().unwrap();
            assert!(
                keys.iter().any(|parameter| parameter["name"] == "Idempotency-Key"),
                "{route}"
            );
        }
        if !route.starts_with("get") {
            for status in ["400", "413", "415", "422", "429", "503"] {
                assert!(answers.contains_key(status), "{route}: {status} is not documented");
            }
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

/// Holds `value` to its schema: no field that is not documented, none missing that is said to be there.
pub(crate) fn hold(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        return hold(document, target, value, place);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let other = either.iter().find(|schema| schema["type"] != "null").unwrap();
        if !value.is_null() {
            hold(document, other, value, place);
        }
        return;
    }
    match value {
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            for required in schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                assert!(
                    fields.contains_key(required),
                    "{place}: {required} is documented and missing"
                );
            }
            for (name, value) in fields {
                match properties.get(name) {
                    Some(schema) => hold(document, schema, value, &format!("{place}.{name}")),
                    None => assert!(
                        schema.get("additionalProperties").is_some(),
                        "{place}: {name} is not documented"
                    ),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| hold(document, &schema["items"], item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let kind = match value {
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Null | Value::Array(_) | Value::Object(_) => "null",
            };
            let documented = schema["type"].as_str().map_or_else(
                || {
                    schema["type"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect()
                },
                |one| vec![one],
            );
            let is_documented = documented.contains(&kind) || (kind == "integer" && documented.contains(&"number"));
            assert!(is_documented, "{place}: {value} is documented as {documented:?}");
        }
    }
}

#[tokio::test]
async fn answers_are_what_is_documented_of_them() {
    let server = TestServer::start().await;
    let rest = server.rest();
    let document = rest.get("/api/openapi.json").await.expect(200);
    let ask = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = match method {
            "get" => rest.get(path).await,
            "post" => rest.post(path, &body).await,
            "put" => rest.put(path, &body).await,
            _ => rest.patch(path, &body).await,
        };
        (status, answer.expect(status))
    };
    let staff = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1"});
    let available = json!({"staff_id": "D1", "staff_type": "doctor", "hospital_id": "H1", "available": true});
    let alert = json!({"patient_id": "P1", "hospital_id": "H1", "alert_type": "critical", "alert_data": {"a": 1}});
    let predicted = json!({"patient_id": "P1", "risk_score": 0.9, "explanation": {"a": 1}});
    let case = json!({"triage_id": "T1", "patient_id": "P1", "hospital_id": "H1", "status": "pending", "priority": 1});
    let bed = json!({"hospital_id": "H1", "status": "occupied", "patient_id": "P1", "ward": "ICU", "floor": 3, "a": 1});

    let (_, raised) = ask("post", "/api/alerts/patient", alert.clone(), 201).await;
    let (_, accepted) = ask("post", "/api/risk/predict-async", predicted.clone(), 202).await;
    let timeline = format!("/api/alerts/{}", raised["alert_id"].as_str().unwrap());
    let task = format!("/api/task-status/{}", accepted["task_id"].as_str().unwrap());
    let checks = [
        ("post", "/api/alerts/patient", "/api/alerts/patient", alert, 201),
        ("post", "/api/alerts/patient", "/api/alerts/patient", json!({}), 422),
        (
            "post",
            "/api/hospital/alert",
            "/api/hospital/alert",
            json!({"hospital_id": "H1", "alert_type": "info"}),
            201,
        ),
        ("get", "/api/alerts/history", "/api/alerts/history", Value::Null, 200),
        ("get", "/api/alerts/{alert_id}", &timeline, Value::Null, 200),
        ("post", "/api/risk/predict", "/api/risk/predict", predicted.clone(), 200),
        (
            "post",
            "/api/risk/predict-async",
            "/api/risk/predict-async",
            predicted,
            202,
        ),
        ("get", "/api/task-status/{task_id}", &task, Value::Null, 200),
        ("post", "/api/triage", "/api/triage", case, 201),
        (
            "put",
            "/api/triage/{triage_id}",
            "/api/triage/T1",
            json!({"status": "triaged"}),
            200,
        ),
        (
            "patch",
            "/api/triage/{triage_id}",
            "/api/triage/T1",
            json!({"status": "assigned"}),
            200,
        ),
        ("get", "/api/triage", "/api/triage", Value::Null, 200),
        ("get", "/api/triage/{triage_id}", "/api/triage/T1", Value::Null, 200),
        ("get", "/api/triage/{triage_id}", "/api/triage/T2", Value::Null, 404),
        (
            "put",
            "/api/staff/availability",
            "/api/staff/availability",
            available,
            200,
        ),
        ("get", "/api/staff", "/api/staff?hospital_id=H1", Value::Null, 200),
        ("post", "/api/staff/login", "/api/staff/login", staff.clone(), 200),
        ("post", "/api/staff/logout", "/api/staff/logout", staff, 200),
        ("put", "/api/beds/{bed_id}", "/api/beds/B1", bed.clone(), 201),
        ("patch", "/api/beds/{bed_id}", "/api/beds/B1", bed, 200),
        ("get", "/api/beds", "/api/beds?hospital_id=H1", Value::Null, 200),
        ("get", "/api/status/socket", "/api/status/socket", Value::Null, 200),
        ("get", "/health", "/health", Value::Null, 200),
        ("get", "/ready", "/ready", Value::Null, 200),
        ("get", "/", "/", Value::Null, 200),
    ];
    for (method, pattern, path, body, status) in checks {
        let (status, answer) = ask(method, path, body, status).await;
        let response = &document["paths"][pattern][method]["responses"][status.to_string()];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {pattern}: {status} is not documented");
        hold(&document, schema, &answer, &format!("{method} {pattern} {status}"));
    }
}

#[tokio::test]
async fn the_page_comes_whole_from_here() {
    let server = TestServer::start().await;
    let rest = server.rest();

    let page = rest.get("/api/docs/").await;
    let folder = rest.get("/api/docs").await;
    let script = rest.get("/api/docs/swagger-initializer.js").await;

    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert_eq!(folder.text, page.text, "the client follows the redirection");
    assert!(script.text.contains("../openapi.json"), "{}", script.text);
    let assets: Vec<&str> = page
        .text
        .split(['"', '\''])
        .filter(|text| [".js", ".css", ".png"].iter().any(|ending| text.ends_with(ending)))
        .collect();
    assert!(assets.len() > 3, "{assets:?}");
    for asset in assets {
        let name = asset.strip_prefix("./").unwrap_or(asset);
        assert!(!name.contains("//"), "{asset} is not from here");
        assert_eq!(rest.get(&format!("/api/docs/{name}")).await.status, 200, "{asset}");
    }
    rest.get("/api/docs/nothing.js").await.expect_error(404);
}

#[tokio::test]
async fn documentation_and_metrics_can_be_switched_off() {
    let server = TestServer::builder()
        .set("WARDBELL__API__DOCS", "false")
        .set("WARDBELL__METRICS__ENABLED", "false")
        .start()
        .await;

    for path in ["/api/docs/", "/api/openapi.json", "/metrics"] {
        server.rest().get(path).await.expect_error(404);
    }
}
