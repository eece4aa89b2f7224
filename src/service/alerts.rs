//! Alerts: raising them, their history, and what became of one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::{Durable, Outcome, Settled};
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
    /// Set where it is kept on this node's own disk, because the store is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable: Option<Durable>,
}

impl Outcome for AlertRaised {
    fn note_spooled(&mut self) {
        self.durable = Some(Durable::Spooled);
    }
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
            durable: None,
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
            durable: None,
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

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, alert, doctor, form, hospital, key, patient, patient_id, person, service};
    use super::*;
    use crate::domain::access::Role;

    fn history_of(patient: &str) -> HistoryRequest {
        HistoryRequest {
            patient_id: Some(patient_id(patient)),
            limit: 100,
            ..HistoryRequest::default()
        }
    }

    fn emergency(hospital_id: &str) -> HospitalAlert {
        HospitalAlert {
            hospital_id: hospital(hospital_id),
            alert_type: HospitalAlertType::Emergency,
            message: Some("Code blue".to_owned()),
            alert_data: FreeForm::default(),
        }
    }

    #[tokio::test]
    async fn a_patients_alert_is_told_kept_and_found_by_the_patients_hospital() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let warning = PatientAlert {
            alert_data: form(r#"{"message":"low"}"#),
            ..alert("P1", PatientAlertType::Warning)
        };

        let raised = stage
            .services
            .alerts
            .raise_for_patient(&doctor("H1"), warning, None)
            .await
            .unwrap();

        let told = stage.told().await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].rooms, ["patient_P1"]);
        assert_eq!(told[0].payload["alert_id"], raised.alert_id.to_string());
        let of_hospital = HistoryRequest {
            hospital_id: Some(hospital("H1")),
            limit: 1,
            ..HistoryRequest::default()
        };
        let page = stage.services.alerts.history(&service(), of_hospital).await.unwrap();
        let kept: serde_json::Value = serde_json::from_str(page.alerts[0].as_json()).unwrap();
        assert_eq!(kept, told[0].payload);
    }

    #[tokio::test]
    async fn the_eleventh_alert_in_a_minute_is_kept_counted_and_not_told() {
        let mut stage = Stage::new();
        let raise = async |stage: &Stage, severity| {
            let alerts = &stage.services.alerts;
            alerts
                .raise_for_patient(&service(), alert("P1", severity), None)
                .await
                .unwrap()
        };
        for _ in 0..10 {
            assert!(!raise(&stage, PatientAlertType::Warning).await.suppressed);
        }

        let over = raise(&stage, PatientAlertType::Warning).await;

        assert!(over.suppressed);
        assert_eq!(stage.told().await.len(), 10);
        assert_eq!(stage.metrics.suppressed.get(), 1);
        let page = stage
            .services
            .alerts
            .history(&service(), history_of("P1"))
            .await
            .unwrap();
        assert_eq!(page.alerts.len(), 11);
        assert!(
            page.alerts[0].as_json().contains(r#""suppressed":true"#),
            "newest first"
        );
        assert!(
            !raise(&stage, PatientAlertType::Critical).await.suppressed,
            "critical is exempt"
        );
        stage.advance(60);
        assert!(
            !raise(&stage, PatientAlertType::Warning).await.suppressed,
            "the window has moved on"
        );
    }

    #[tokio::test]
    async fn a_restart_does_not_open_the_window_again() {
        let stage = Stage::new();
        for _ in 0..10 {
            let warning = alert("P1", PatientAlertType::Warning);
            stage
                .services
                .alerts
                .raise_for_patient(&service(), warning, None)
                .await
                .unwrap();
            stage.advance(1);
        }

        let stage = stage.restarted();

        let warning = alert("P1", PatientAlertType::Warning);
        assert!(
            stage
                .services
                .alerts
                .raise_for_patient(&service(), warning, None)
                .await
                .unwrap()
                .suppressed
        );
    }

    #[tokio::test]
    async fn the_same_key_raises_once_and_answers_the_same() {
        let mut stage = Stage::new();
        let raise = async |stage: &Stage, body| {
            let alerts = &stage.services.alerts;
            alerts
                .raise_for_patient(&service(), alert("P1", PatientAlertType::Warning), Some(key("k", body)))
                .await
        };

        let first = raise(&stage, 1).await.unwrap();
        for _ in 0..12 {
            assert_eq!(raise(&stage, 1).await.unwrap(), first);
        }

        assert_eq!(stage.told().await.len(), 1);
        assert!(matches!(raise(&stage, 2).await, Err(WriteError::KeyReused)));
        let other = alert("P1", PatientAlertType::Warning);
        let other = stage
            .services
            .alerts
            .raise_for_patient(&service(), other, Some(key("other", 1)))
            .await
            .unwrap();
        assert!(!other.suppressed, "repetitions use nothing up");
    }

    #[tokio::test]
    async fn a_hospitals_alert_is_told_to_its_room() {
        let mut stage = Stage::new();

        stage
            .services
            .alerts
            .raise_for_hospital(&doctor("H1"), emergency("H1"), None)
            .await
            .unwrap();

        let told = stage.told().await;
        assert_eq!(told[0].rooms, ["hospital_H1"]);
        assert_eq!(told[0].payload["message"], "Code blue");
    }

    #[tokio::test]
    async fn who_may_not_raise_is_refused_and_nobody_is_told() {
        let mut stage = Stage::new();
        stage.place("P2", "H2").await;
        let alerts = stage.services.alerts.clone();
        let warning = |id| alert(id, PatientAlertType::Warning);
        let in_hospital = |id| PatientAlert {
            hospital_id: Some(hospital(id)),
            ..warning("P1")
        };

        let refusals = [
            alerts.raise_for_patient(&patient("P1"), warning("P1"), None).await,
            alerts.raise_for_patient(&doctor("H1"), warning("P2"), None).await,
            alerts.raise_for_patient(&doctor("H1"), in_hospital("H2"), None).await,
            alerts
                .raise_for_patient(&person(Role::Nurse, None), warning("P2"), None)
                .await,
            alerts.raise_for_hospital(&patient("P1"), emergency("H1"), None).await,
            alerts.raise_for_hospital(&doctor("H1"), emergency("H2"), None).await,
            alerts
                .raise_for_hospital(&person(Role::Service, Some("H1")), emergency("H2"), None)
                .await,
        ];

        let reasons = refusals.map(|refusal| match refusal {
            Err(WriteError::Denied(denied)) => denied,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            reasons,
            [
                Denied::Role,
                Denied::Hospital,
                Denied::Hospital,
                Denied::Hospital,
                Denied::Role,
                Denied::Hospital,
                Denied::Hospital
            ]
        );
        assert!(stage.told().await.is_empty());
    }

    #[tokio::test]
    async fn a_bounded_token_cannot_move_a_patient_and_an_unbounded_one_can() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let alerts = stage.services.alerts.clone();
        let into = |id| PatientAlert {
            hospital_id: Some(hospital(id)),
            ..alert("P1", PatientAlertType::Info)
        };

        let grabbed = alerts.raise_for_patient(&doctor("H2"), into("H2"), None).await;
        let transferred = alerts.raise_for_patient(&service(), into("H2"), None).await;

        assert!(matches!(grabbed, Err(WriteError::Denied(Denied::Hospital))));
        assert!(transferred.is_ok());
        assert_eq!(
            stage.store.hospital_of(&patient_id("P1")).await.unwrap(),
            Some(hospital("H2"))
        );
        assert!(alerts.raise_for_patient(&doctor("H2"), into("H2"), None).await.is_ok());
        assert!(alerts.raise_for_patient(&doctor("H1"), into("H1"), None).await.is_err());
    }

    #[tokio::test]
    async fn history_shows_as_much_as_may_be_seen() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        stage.place("P2", "H2").await;
        let alerts = stage.services.alerts.clone();
        let everything = || HistoryRequest {
            limit: 100,
            ..HistoryRequest::default()
        };
        let of_hospital = |id| HistoryRequest {
            hospital_id: Some(hospital(id)),
            ..everything()
        };
        let seen = async |by: &Identity, request| match alerts.history(by, request).await {
            Ok(page) => {
                let mut patients: Vec<String> = page
                    .alerts
                    .iter()
                    .map(|alert| serde_json::from_str::<serde_json::Value>(alert.as_json()).unwrap())
                    .filter_map(|alert| Some(alert["patient_id"].as_str()?.to_owned()))
                    .collect();
                patients.sort();
                Ok(patients.join(" "))
            }
            Err(ReadError::Denied(denied)) => Err(denied),
            Err(other) => panic!("{other:?}"),
        };
        let ok = |text: &str| Ok(text.to_owned());

        assert_eq!(seen(&service(), everything()).await, ok("P1 P2"));
        assert_eq!(seen(&doctor("H1"), everything()).await, ok("P1"));
        assert_eq!(seen(&doctor("H1"), of_hospital("H1")).await, ok("P1"));
        assert_eq!(seen(&doctor("H1"), history_of("P1")).await, ok("P1"));
        assert_eq!(seen(&doctor("H1"), history_of("P3")).await, ok(""));
        assert_eq!(seen(&doctor("H1"), of_hospital("H2")).await, Err(Denied::Hospital));
        assert_eq!(seen(&doctor("H1"), history_of("P2")).await, Err(Denied::Hospital));
        assert_eq!(
            seen(&person(Role::Admin, Some("H1")), history_of("P2")).await,
            Err(Denied::Hospital)
        );
        assert_eq!(
            seen(&person(Role::Nurse, None), everything()).await,
            Err(Denied::Hospital)
        );
        assert_eq!(
            seen(&person(Role::Nurse, None), history_of("P1")).await,
            Err(Denied::Hospital)
        );
        assert_eq!(seen(&patient("P1"), everything()).await, ok("P1"));
        assert_eq!(seen(&patient("P1"), history_of("P1")).await, ok("P1"));
        assert_eq!(seen(&patient("P1"), of_hospital("H2")).await, ok(""));
        assert_eq!(seen(&patient("P1"), history_of("P2")).await, Err(Denied::Patient));
        assert_eq!(
            seen(&person(Role::Patient, None), everything()).await,
            Err(Denied::Patient)
        );
    }

    #[tokio::test]
    async fn history_after_an_event_is_what_a_client_has_missed() {
        let mut stage = Stage::new();
        let raise = async |stage: &Stage| {
            let alerts = &stage.services.alerts;
            alerts
                .raise_for_patient(&service(), alert("P1", PatientAlertType::Info), None)
                .await
                .unwrap()
                .alert_id
        };
        let first = raise(&stage).await;
        let second = raise(&stage).await;
        stage.told().await;
        let after = |event| HistoryRequest {
            after: Some(event),
            ..history_of("P1")
        };

        let missed = stage
            .services
            .alerts
            .history(&patient("P1"), after(first))
            .await
            .unwrap();
        let unknown = stage
            .services
            .alerts
            .history(&patient("P1"), after(EventId::new()))
            .await;

        assert_eq!(missed.alerts.len(), 1);
        assert!(missed.alerts[0].as_json().contains(&second.to_string()));
        assert!(matches!(unknown, Err(ReadError::Invalid(problems)) if problems[0].field == "after"));
    }

    #[tokio::test]
    async fn a_timeline_is_found_by_who_may_see_the_alert() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let alerts = stage.services.alerts.clone();
        let of_patient = alert("P1", PatientAlertType::Info);
        let of_patient = alerts
            .raise_for_patient(&service(), of_patient, None)
            .await
            .unwrap()
            .alert_id;
        let of_hospital = alerts
            .raise_for_hospital(&service(), emergency("H1"), None)
            .await
            .unwrap()
            .alert_id;
        let finds = async |by: &Identity, id| match alerts.timeline(by, id).await {
            Ok(record) => record.event.id == id,
            Err(ReadError::NotFound) => false,
            Err(other) => panic!("{other:?}"),
        };

        for (by, sees_patients, sees_hospitals) in [
            (service(), true, true),
            (doctor("H1"), true, true),
            (doctor("H2"), false, false),
            (patient("P1"), true, false),
            (patient("P2"), false, false),
            (person(Role::Staff, None), false, false),
        ] {
            assert_eq!(finds(&by, of_patient).await, sees_patients, "{by:?}");
            assert_eq!(finds(&by, of_hospital).await, sees_hospitals, "{by:?}");
        }
        assert!(!finds(&service(), EventId::new()).await);
    }
}
