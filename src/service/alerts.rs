//! Alerts: raising them, their history, and what became of one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::Settled;
use super::{Core, OnceKey, Problem, ReadError, WriteError};
use crate::domain::access::{self, Action, Denied, Identity, Reach};
use crate::domain::alert::{self, HospitalAlertType, PatientAlertType};
use crate::domain::limiter::{Admission, Verdict};
use crate::domain::{AlertScope, EventId, FreeForm, HospitalId, PatientId, Timestamp};
use crate::ports::{AlertRecord, Append, HistoryPage, HistoryQuery, StoreError};

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
        let core = &self.0;
        access::check(by, Action::AlertPatient)?;
        let reach = by.reach();
        let placement = core
            .place(&reach, &alert.patient_id, alert.hospital_id.as_ref())
            .await?;
        let now = core.clock.now();
        let admission = core.admit(&alert.patient_id, alert.alert_type, now).await?;

        let alert_id = EventId::new();
        let event = alert::PatientAlert {
            id: alert_id,
            patient_id: &alert.patient_id,
            hospital_id: placement.hospital.clone().or_else(|| reach.own_hospital().cloned()),
            alert_type: alert.alert_type,
            data: &alert.alert_data,
            at: now,
            is_suppressed: admission.is_none(),
        }
        .event()?;
        let append = Append {
            events: vec![Arc::new(event)],
            changes: placement.change().into_iter().collect(),
            once: None,
        };
        let outcome = AlertRaised {
            alert_id,
            timestamp: now,
            suppressed: admission.is_none(),
        };
        let settled = core.commit(append, once.as_ref(), outcome).await;
        core.close_admission(&alert.patient_id, admission, &settled);
        let settled = settled?;
        if let Settled::Now(_) = settled {
            core.settle(placement);
        }
        Ok(settled.into_outcome())
    }

    /// Raises a hospital's alert: tells `hospital_{hospital_id}`.
    pub async fn raise_for_hospital(
        &self,
        by: &Identity,
        alert: HospitalAlert,
        once: Option<OnceKey>,
    ) -> Result<AlertRaised, WriteError> {
        let core = &self.0;
        access::check(by, Action::AlertHospital)?;
        by.reach().check_hospital(&alert.hospital_id)?;

        let now = core.clock.now();
        let alert_id = EventId::new();
        let event = alert::HospitalAlert {
            id: alert_id,
            hospital_id: &alert.hospital_id,
            alert_type: alert.alert_type,
            message: alert.message.as_deref(),
            data: &alert.alert_data,
            at: now,
        }
        .event()?;
        let append = Append {
            events: vec![Arc::new(event)],
            ..Append::default()
        };
        let outcome = AlertRaised {
            alert_id,
            timestamp: now,
            suppressed: false,
        };
        core.commit(append, once.as_ref(), outcome)
            .await
            .map(Settled::into_outcome)
    }

    /// Past alerts, newest first, as far as they may be seen. Without a patient and a hospital: the asker's own.
    ///
    /// Who may see a patient sees all their alerts, those of an earlier hospital too.
    pub async fn history(&self, by: &Identity, request: HistoryRequest) -> Result<HistoryPage, ReadError> {
        let core = &self.0;
        access::check(by, Action::ReadAlerts)?;
        let mut query = HistoryQuery {
            patient_id: request.patient_id,
            hospital_id: request.hospital_id,
            since: request.since,
            until: request.until,
            alert_type: request.alert_type,
            before: request.cursor,
            after: None,
            limit: request.limit,
        };
        self.bound(&by.reach(), &mut query).await?;
        if let Some(event) = request.after {
            let position = core.store.position_of(event).await?;
            let gone = || ReadError::Invalid(vec![Problem::new("after", "must be an event that is still kept")]);
            query.after = Some(position.ok_or_else(gone)?);
        }
        Ok(core.store.history(&query).await?)
    }

    /// Refuses or narrows a query to what is within reach.
    async fn bound(&self, reach: &Reach, query: &mut HistoryQuery) -> Result<(), ReadError> {
        if let Reach::Patient(own) = reach {
            let own = own.as_ref().ok_or(Denied::Patient)?;
            if query.patient_id.as_ref().is_some_and(|asked| asked != own) {
                return Err(Denied::Patient.into());
            }
            query.patient_id = Some(own.clone());
            return Ok(());
        }
        if let Some(hospital) = &query.hospital_id {
            reach.check_hospital(hospital)?;
        }
        if let Some(patient) = &query.patient_id {
            reach.check_patient(patient, self.0.hospital_of(patient).await?.as_ref())?;
        } else if query.hospital_id.is_none() {
            query.hospital_id = match reach {
                Reach::Everything => None,
                Reach::Hospital(own) => Some(own.clone()),
                Reach::Unassigned | Reach::Patient(_) => return Err(Denied::Hospital.into()),
            };
        }
        Ok(())
    }

    /// One alert and what became of it. An alert that they may not see is not found.
    pub async fn timeline(&self, by: &Identity, id: EventId) -> Result<AlertRecord, ReadError> {
        let core = &self.0;
        access::check(by, Action::ReadAlerts)?;
        let record = core.store.alert(id).await?.ok_or(ReadError::NotFound)?;
        let facts = record.event.alert.as_ref().ok_or(ReadError::NotFound)?;
        let reach = by.reach();
        let seen = match (record.scope, &facts.patient_id) {
            (AlertScope::Patient, Some(patient)) => {
                let known = core.hospital_of(patient).await?;
                reach.check_patient(patient, known.as_ref().or(facts.hospital_id.as_ref()))
            }
            (AlertScope::Patient, None) | (AlertScope::Hospital, _) => {
                reach.check_belonging(facts.hospital_id.as_ref())
            }
        };
        seen.or(Err(ReadError::NotFound))?;
        Ok(record)
    }
}

impl Core {
    /// Whether a patient's alert of this severity is told now: `None` if it is over the limit.
    ///
    /// The limit holds on each node by itself; a node that sees a patient for the first time asks the store what was told.
    pub(super) async fn admit(
        &self,
        patient: &PatientId,
        severity: PatientAlertType,
        now: Timestamp,
    ) -> Result<Option<Admission>, StoreError> {
        loop {
            let (verdict, window) = {
                let mut limiter = self.limiter();
                (limiter.admit(patient, severity, now), limiter.window())
            };
            match verdict {
                Verdict::Emit(admission) => return Ok(Some(admission)),
                Verdict::Suppress => return Ok(None),
                Verdict::Unseen => {
                    let told = self.store.recent_alerts(patient, now.minus(window)).await?;
                    let told: Vec<_> = told
                        .into_iter()
                        .filter_map(|(at, severity)| Some((at, severity.parse().ok()?)))
                        .collect();
                    self.limiter().seed(patient.clone(), &told, now);
                }
            }
        }
    }

    /// Counts what was suppressed, and takes back what was admitted and did not happen.
    pub(super) fn close_admission<T>(
        &self,
        patient: &PatientId,
        admission: Option<Admission>,
        settled: &Result<Settled<T>, WriteError>,
    ) {
        match (settled, admission) {
            (Ok(Settled::Now(_)), None) => {
                self.metrics.suppressed.inc();
            }
            (Ok(Settled::Before(_)) | Err(_), Some(admission)) => self.limiter().retract(patient, admission),
            (Ok(Settled::Now(_)), Some(_)) | (Ok(Settled::Before(_)) | Err(_), None) => {}
        }
    }
}
