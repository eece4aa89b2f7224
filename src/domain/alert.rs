//! Alerts: their types, and what their payloads look like (contract A §4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The `alert_type` of a `patient_alert`. Ordered by severity: `Info` is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatientAlertType {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must come. Never held back.
    Critical,
}

impl PatientAlertType {
    /// The type as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for PatientAlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no type of a patient's alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be critical, warning or info")]
pub struct UnknownPatientAlertType;

impl FromStr for PatientAlertType {
    type Err = UnknownPatientAlertType;

    fn from_str(text: &str) -> Result<Self, UnknownPatientAlertType> {
        [Self::Info, Self::Warning, Self::Critical]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(UnknownPatientAlertType)
    }
}

/// The `alert_type` of a `hospital_alert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HospitalAlertType {
    /// All hands.
    Emergency,
    /// Beds run out, or no longer do.
    Capacity,
    /// Something technical.
    System,
    /// Good to know.
    Info,
}

impl HospitalAlertType {
    /// The type as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Capacity => "capacity",
            Self::System => "system",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for HospitalAlertType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no type of a hospital's alert.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be emergency, capacity, system or info")]
pub struct UnknownHospitalAlertType;

impl FromStr for HospitalAlertType {
    type Err = UnknownHospitalAlertType;

    fn from_str(text: &str) -> Result<Self, UnknownHospitalAlertType> {
        [Self::Emergency, Self::Capacity, Self::System, Self::Info]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or(UnknownHospitalAlertType)
    }
}
