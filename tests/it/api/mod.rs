//! REST from outside, contract A §5: each route's success, each documented refusal, each role's.

mod alerts;
mod beds;
pub(crate) mod documentation;
mod idempotency;
mod operating;
mod refusals;
mod risk;
mod staff;
mod triage;

use serde_json::{Value, json};

use crate::support::{Answer, Person, TestServer, admin, doctor, nurse, staff};

/// A server that asks for tokens.
async fn with_tokens() -> TestServer {
    TestServer::builder().mode("token").start().await
}

/// A valid patient's alert.
fn warning(patient_id: &str) -> Value {
    json!({"patient_id": patient_id, "alert_type": "warning", "alert_data": {"message": "look"}})
}

/// Everybody who works with patients in a hospital.
fn staff_of(hospital: &str) -> [Person; 4] {
    [
        doctor().of(hospital),
        nurse().of(hospital),
        staff().of(hospital),
        admin().of(hospital),
    ]
}

/// The fields that a refusal explains.
fn refused_fields(answer: &Answer) -> Vec<String> {
    answer.expect_error(422);
    let body = answer.json();
    body["details"]
        .as_object()
        .map(|details| details.keys().cloned().collect())
        .unwrap_or_default()
}

/// An answer with its ids blotted out.
macro_rules! assert_answer {
    ($name:literal, $answer:expr) => {
        insta::assert_json_snapshot!($name, $answer, {
            ".**.alert_id" => "[uuid]",
            ".**.event_id" => "[uuid]",
            ".**.task_id" => "[uuid]",
            ".version" => "[version]",
        })
    };
}
use assert_answer;
