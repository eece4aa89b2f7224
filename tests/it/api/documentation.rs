use std::collections::BTreeSet;

use serde_json::Value;

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

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
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

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
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
    let document = document().await;
    let mut found = BTreeSet::new();

    references(&document, &mut found);

    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
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
        let is_public = operation["security"] == serde_json::json!([{}]);
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
