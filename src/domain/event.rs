//! Events: what is stored, ordered and told.

use std::borrow::Cow;
use std::fmt;

use super::{EventId, HospitalId, PatientId, Payload, RoomName, Timestamp};

/// An event's name on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventName(Cow<'static, str>);

impl EventName {
    /// A patient's condition asks for somebody's eyes.
    pub const PATIENT_ALERT: Self = Self(Cow::Borrowed("patient_alert"));
    /// A patient has a new risk score.
    pub const RISK_UPDATED: Self = Self(Cow::Borrowed("risk_updated"));
    /// Something concerns a whole hospital.
    pub const HOSPITAL_ALERT: Self = Self(Cow::Borrowed("hospital_alert"));
    /// A triage case came or moved on.
    pub const TRIAGE_UPDATED: Self = Self(Cow::Borrowed("triage_updated"));
    /// A doctor or nurse became available or left.
    pub const STAFF_AVAILABILITY_CHANGED: Self = Self(Cow::Borrowed("staff_availability_changed"));
    /// A bed changed its state.
    pub const BED_STATUS_CHANGED: Self = Self(Cow::Borrowed("bed_status_changed"));

    /// The name, if it is one of ours.
    pub fn known(name: &str) -> Option<Self> {
        [
            Self::PATIENT_ALERT,
            Self::RISK_UPDATED,
            Self::HOSPITAL_ALERT,
            Self::TRIAGE_UPDATED,
            Self::STAFF_AVAILABILITY_CHANGED,
            Self::BED_STATUS_CHANGED,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
    }

    /// The name as the wire writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EventName {
    fn from(name: String) -> Self {
        Self::known(&name).unwrap_or(Self(Cow::Owned(name)))
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that happened and that the members of some rooms must be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Ours; in the payload as `event_id`, and as `alert_id` where the event is an alert.
    pub id: EventId,
    /// The name on the wire.
    pub name: EventName,
    /// Who is told. A socket in several of them is told once.
    pub rooms: Vec<RoomName>,
    /// What they are told, encoded.
    pub payload: Payload,
    /// When it happened, by our clock.
    pub raised_at: Timestamp,
    /// Set where the event is an alert, that is, part of the history.
    pub alert: Option<AlertFacts>,
}

/// What the history is searched by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFacts {
    /// A patient's alert or a hospital's.
    pub scope: AlertScope,
    /// The contract's `alert_type`: `critical`, `emergency`, …
    pub alert_type: String,
    /// The patient, if it is about one.
    pub patient_id: Option<PatientId>,
    /// The hospital: the alert's own, or the one that its patient belongs to, where known.
    pub hospital_id: Option<HospitalId>,
    /// Rate-limited: stored and shown in the history, never published.
    pub is_suppressed: bool,
}

/// Whose alert it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertScope {
    /// `patient_alert`
    Patient,
    /// `hospital_alert`
    Hospital,
}
