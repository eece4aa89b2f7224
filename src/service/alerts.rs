//! Alerts: raising them, their history, and what became of one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Core, OnceKey, ReadError, WriteError};
use crate::domain::access::Identity;
use crate::domain::alert::{HospitalAlertType, PatientAlertType};
use crate::domain::{EventId, FreeForm, HospitalId, PatientId, Timestamp};
use crate::ports::{AlertRecord, HistoryPage};

/// `POST /api/alerts/patient`.
#[derive(Clone, Debug, PartialEq)]
pub struct PatientAlert {
    /// Whom it is about.
    pub patient_id: PatientId,
    /// The hospital that they belong to from now on, where it was said.
    pub hospital_id: Option<HospitalId>,
    /// How severe it is.
    pub alert_type: PatientAlertType,
    /// What is spread into the payload.
    pub alert_data: FreeForm,
}

/// `POST /api/hospital/alert`.
#[derive(Clone, Debug, PartialEq)]
pub struct HospitalAlert {
    /// Whom it is for.
    pub hospital_id: HospitalId,
    /// Of what kind it is.
    pub alert_type: HospitalAlertType,
    /// What the panel shows; it wins over one in `alert_data`.
    pub message: Option<String>,
    /// What is spread into the payload.
    pub alert_data: FreeForm,
}

/// An alert was kept, and told unless it was suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRaised {
    /// The alert's id; it is its `event_id` as well.
    pub alert_id: EventId,
    /// When it was raised, by our clock.
    pub timestamp: Timestamp,
    /// Over the limit: it is in the history and nobody was told.
    pub suppressed: bool,
}

/// `GET /api/alerts/history`. All conditions hold at once.
#[derive(Clone, Debug, Default)]
pub struct HistoryRequest {
    /// Of this patient. A patient's own where a patient asks.
    pub patient_id: Option<PatientId>,
    /// Of this hospital: its own and its patients'.
    pub hospital_id: Option<HospitalId>,
    /// Raised not before.
    pub since: Option<Timestamp>,
    /// Raised before.
    pub until: Option<Timestamp>,
    /// Of this `alert_type`, a patient's or a hospital's.
    pub alert_type: Option<String>,
    /// The cursor of the page before.
    pub cursor: Option<u64>,
    /// Published after this event.
    pub after: Option<EventId>,
    /// At most this many.
    pub limit: usize,
}

/// Alerts.
#[derive(Clone)]
pub struct Alerts(pub(super) Arc<Core>);

impl Alerts {
    /// Raises a patient's alert: tells `patient_{patient_id}`, unless too many were told lately.
    pub async fn raise_for_patient(
        &self,
        by: &Identity,
        alert: PatientAlert,
        once: Option<OnceKey>,
    ) -> Result<AlertRaised, WriteError> {
        drop((by, alert, once));
        Err(WriteError::Busy)
    }

    /// Raises a hospital's alert: tells `hospital_{hospital_id}`.
    pub async fn raise_for_hospital(
        &self,
        by: &Identity,
        alert: HospitalAlert,
        once: Option<OnceKey>,
    ) -> Result<AlertRaised, WriteError> {
        drop((by, alert, once));
        Err(WriteError::Busy)
    }

    /// Past alerts, newest first, as far as they may be seen. Without a patient and a hospital: the asker's own.
    pub async fn history(&self, by: &Identity, request: HistoryRequest) -> Result<HistoryPage, ReadError> {
        drop((by, request));
        Err(ReadError::NotFound)
    }

    /// One alert and what became of it. An alert that they may not see is not found.
    pub async fn timeline(&self, by: &Identity, id: EventId) -> Result<AlertRecord, ReadError> {
        drop((by, id));
        Err(ReadError::NotFound)
    }
}
