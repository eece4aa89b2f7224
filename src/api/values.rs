//! What a field's value can be: the domain's types, read from JSON, each saying why it cannot be read.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::alert::{HospitalAlertType, PatientAlertType};
use crate::domain::bed::{BedStatus, Floor};
use crate::domain::risk::{Probability, RiskLevel};
use crate::domain::staff::StaffType;
use crate::domain::triage::TriageStatus;
use crate::domain::{
    BedId, EventId, FreeForm, FreeValue, HospitalId, PatientId, StaffId, Timestamp, TriageId, WardName,
};

/// Why a value cannot be taken.
pub(super) type Why = Cow<'static, str>;

/// A type that a field can be read as.
pub(super) trait FieldValue: Sized {
    /// Reads the value.
    fn from_value(value: Value) -> Result<Self, Why>;
}

fn text(value: Value) -> Result<String, Why> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("must be a string".into())
        }
    }
}

macro_rules! parsed {
    ($($type:ty),* $(,)?) => {$(
        impl FieldValue for $type {
            fn from_value(value: Value) -> Result<Self, Why> {
                text(value)?.parse().map_err(|invalid| format!("{invalid}").into())
            }
        }
    )*};
}
parsed!(
    PatientId,
    HospitalId,
    StaffId,
    BedId,
    TriageId,
    Timestamp,
    PatientAlertType,
    HospitalAlertType,
    RiskLevel
);

impl FieldValue for EventId {
    fn from_value(value: Value) -> Result<Self, Why> {
        text(value)?.parse().map_err(|_invalid| "must be a UUID".into())
    }
}

impl FieldValue for WardName {
    fn from_value(value: Value) -> Result<Self, Why> {
        Self::try_from(text(value)?).map_err(|invalid| invalid.to_string().into())
    }
}

impl FieldValue for String {
    fn from_value(value: Value) -> Result<Self, Why> {
        text(value)
    }
}

impl FieldValue for bool {
    fn from_value(value: Value) -> Result<Self, Why> {
        value.as_bool().ok_or("must be true or false".into())
    }
}

impl FieldValue for Probability {
    fn from_value(value: Value) -> Result<Self, Why> {
        let number = value.as_f64().ok_or("must be a number from 0 to 1")?;
        Self::new(number).map_err(|invalid| invalid.to_string().into())
    }
}

impl FieldValue for Floor {
    fn from_value(value: Value) -> Result<Self, Why> {
        match value {
            Value::Number(number) => number
                .as_i64()
                .map(Self::Number)
                .ok_or("must be a whole number or a string".into()),
            Value::String(name) => Ok(Self::Name(name)),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err("must be a whole number or a string".into())
            }
        }
    }
}

impl FieldValue for FreeValue {
    fn from_value(value: Value) -> Result<Self, Why> {
        Ok(Self(value))
    }
}

impl FieldValue for FreeForm {
    fn from_value(value: Value) -> Result<Self, Why> {
        match value {
            Value::Object(object) => Ok(Self(object)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_) => {
                Err("must be an object".into())
            }
        }
    }
}

macro_rules! one_of {
    ($($type:ty { $($word:literal => $variant:ident),* $(,)? })*) => {$(
        impl FieldValue for $type {
            fn from_value(value: Value) -> Result<Self, Why> {
                match text(value)?.as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(concat!("must be one of", $(" ", $word,)*).into()),
                }
            }
        }
    )*};
}
one_of! {
    BedStatus { "available" => Available, "occupied" => Occupied, "reserved" => Reserved, "cleaning" => Cleaning, "maintenance" => Maintenance }
    TriageStatus { "pending" => Pending, "triaged" => Triaged, "assigned" => Assigned }
    StaffType { "doctor" => Doctor, "nurse" => Nurse }
}
