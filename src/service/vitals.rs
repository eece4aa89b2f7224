//! Reads vital signs from JSON. What they mean is `domain::news2`'s business.

use serde_json::{Map, Value};

use super::Problem;
use crate::domain::FreeForm;
use crate::domain::news2::{Fault, Given, Observations, Vitals};

/// Vital signs that can be scored, and the fields that were sent with them and play no part.
pub(super) struct Readings {
    pub(super) vitals: Vitals,
    pub(super) not_scored: Vec<String>,
}

/// Reads the `vitals` of a request.
///
/// Fields that NEWS2 does not know (a monitor sends what it has) are let pass, and named in the explanation: a misspelt
/// `supplemental_oxygen` must not look as if it had been scored.
///
/// # Errors
/// Every vital that is missing or cannot be.
pub(super) fn read(vitals: &FreeForm) -> Result<Readings, Vec<Problem>> {
    let mut fields = vitals.0.clone();
    let observations = Observations {
        respiratory_rate: take(&mut fields, "respiratory_rate", number),
        oxygen_saturation: take(&mut fields, "oxygen_saturation", number),
        oxygen_saturation_scale: take(&mut fields, "oxygen_saturation_scale", number),
        supplemental_oxygen: take(&mut fields, "supplemental_oxygen", boolean),
        systolic_bp: take(&mut fields, "systolic_bp", number),
        blood_pressure: take(&mut fields, "blood_pressure", text),
        heart_rate: take(&mut fields, "heart_rate", number),
        consciousness: take(&mut fields, "consciousness", text),
        temperature: take(&mut fields, "temperature", number),
        age: take(&mut fields, "age", number),
        pregnant: take(&mut fields, "pregnant", boolean),
    };
    match observations.check() {
        Ok(vitals) => Ok(Readings {
            vitals,
            not_scored: fields.into_iter().map(|(name, _)| name).collect(),
        }),
        Err(faults) => Err(faults
            .into_iter()
            .map(|Fault { field, reason }| Problem::new(field, reason.to_string()))
            .collect()),
    }
}

/// Takes a field out; `null` is the same as leaving it out.
fn take<T>(fields: &mut Map<String, Value>, name: &str, read: fn(Value) -> Option<T>) -> Given<T> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Given::Nothing,
        Some(value) => read(value).map_or(Given::Unreadable, Given::Value),
    }
}

fn number(value: Value) -> Option<f64> {
    value.as_f64()
}

fn boolean(value: Value) -> Option<bool> {
    value.as_bool()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<(String, String)> {
        let problems = read(&serde_json::from_str(json).unwrap()).err().unwrap();
        problems
            .into_iter()
            .map(|problem| (problem.field.into_owned(), problem.why.into_owned()))
            .collect()
    }

    #[test]
    fn every_field_is_read_under_the_contracts_name() {
        let readings = read(
            &serde_json::from_str(
                r#"{"respiratory_rate":22,"oxygen_saturation":95.0,"oxygen_saturation_scale":2,"supplemental_oxygen":true,
                    "blood_pressure":"105/60","heart_rate":95,"consciousness":"V","temperature":38.15,"age":71,
                    "pregnant":false,"glucose":5.4,"diastolic_bp":60}"#,
            )
            .unwrap(),
        )
        .ok()
        .unwrap();

        let points: Vec<u8> = readings.vitals.score().points().map(|(_, points)| points).collect();
        assert_eq!(points, [2, 2, 2, 1, 1, 3, 1]);
        assert_eq!(readings.not_scored, ["glucose", "diastolic_bp"]);
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let problems = problems(
            r#"{"respiratory_rate":"fast","oxygen_saturation":101,"blood_pressure":120,"heart_rate":null,
                "consciousness":"A","temperature":98.6,"age":7,"pregnant":true}"#,
        );

        let expected = [
            ("respiratory_rate", "must be a number"),
            ("oxygen_saturation", "must be 30 to 100 %"),
            ("blood_pressure", "must be written like \"120/80\""),
            ("heart_rate", "is required"),
            ("temperature", "must be 25.0 to 45.0 °C; this looks like °F"),
            ("age", "must be 16 or more: NEWS2 is not for children under 16"),
            ("pregnant", "must not be true: NEWS2 is not for use in pregnancy"),
        ];
        assert_eq!(
            problems,
            expected.map(|(field, why)| (field.to_owned(), why.to_owned()))
        );
    }
}
