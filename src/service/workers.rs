//! What workers publish through Redis: which of it is an event of ours, and raising that once.
//!
//! A worker is no person: nobody knows who it is, and it gets no answer. So what it raises is not asked for permission (whoever
//! may publish on that Redis may raise alerts), and no alert is held back by the limit, since nobody could be told that it was.
//! It says what happened and decides nothing else: no patient is moved to the hospital that an alert names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Core;
use crate::domain::{EventId, HospitalId, NotOurs, WorkerEvent};
use crate::emitter::{EmitError, Emitted};
use crate::ports::{Append, Judged, NotRaised, Once, Published, Raise, Raised, StoreError, Volatile};

/// Under which scope the ids of what workers raise are kept.
const SCOPE: &str = "bridge";
/// How long an alert may wait for the hospital that its patient belongs to.
const PATIENCE: Duration = Duration::from_millis(500);
/// Names that a client's library gives a meaning of its own. Servers never send them.
const RESERVED_NAMES: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// What workers publish.
#[derive(Clone)]
pub struct Workers {
    pub(super) core: Arc<Core>,
    pub(super) unknown: Option<Arc<dyn Volatile>>,
}

impl Workers {
    /// Passes on what is no event of ours instead of dropping it.
    #[must_use]
    pub fn passing_unknown_to(self, sockets: Arc<dyn Volatile>) -> Self {
        Self {
            unknown: Some(sockets),
            ..self
        }
    }

    /// The hospital of the patient whom an alert is about, if that is known and can be asked now.
    async fn hospital_for(&self, event: &WorkerEvent) -> Option<HospitalId> {
        let patient = event.patient().filter(|_| event.hospital().is_none())?;
        if self.core.store.is_spooling() {
            return None; // The store fills it in when it takes the event over.
        }
        let known = tokio::time::timeout(PATIENCE, self.core.hospital_of(&patient)).await;
        known.ok()?.ok()?
    }
}

#[async_trait]
impl Raise for Workers {
    async fn judge(&self, published: Published) -> Judged {
        let Published {
            event,
            arguments,
            rooms,
            ..
        } = &published;
        let read = WorkerEvent::read(event, rooms, arguments, self.core.clock.now());
        match (read, &self.unknown) {
            (Ok(event), _) => {
                let hospital = self.hospital_for(&event).await;
                Judged::Ours(event.of_hospital(hospital))
            }
            (Err(NotOurs::Unknown), Some(sockets)) if !RESERVED_NAMES.contains(&event.as_str()) => {
                sockets.tell(&published).await;
                Judged::Passed
            }
            (Err(NotOurs::Unknown), _) => Judged::Unknown,
            (Err(NotOurs::Payload), _) => Judged::Refused,
        }
    }

    async fn raise(&self, id: EventId, event: &WorkerEvent, fingerprint: [u8; 32]) -> Result<Raised, NotRaised> {
        let append = Append {
            events: vec![Arc::new(event.event(id))],
            changes: Vec::new(),
            once: Some(Once {
                scope: SCOPE.to_owned(),
                key: id.to_string(),
                fingerprint,
                outcome: "null".to_owned(),
                at: self.core.clock.now(),
            }),
        };
        match self.core.emitter.emit(append).await {
            Ok(Emitted::Now(_)) => Ok(Raised::Now),
            // An event of this id is there: the id says which message it was made of.
            Ok(Emitted::Before(_)) | Err(EmitError::Conflict | EmitError::KeyReused) => Ok(Raised::Before),
            Err(error @ (EmitError::Unavailable(_) | EmitError::Busy)) => Err(NotRaised(Box::new(error))),
        }
    }

    async fn was_raised(&self, id: EventId) -> Result<bool, StoreError> {
        let outcome = self.core.store.outcome_of(SCOPE, &id.to_string()).await?;
        Ok(outcome.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::value::RawValue;

    use super::super::HistoryRequest;
    use super::super::stage::{Stage, hospital, patient_id, service};
    use super::*;
    use crate::domain::Payload;

    /// Notes what it is told.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    #[async_trait]
    impl Volatile for Notes {
        async fn tell(&self, published: &Published) {
            self.0.lock().unwrap().push(published.event.clone());
        }
    }

    fn published(event: &str, room: &str, payload: &str) -> Published {
        Published {
            event: event.to_owned(),
            arguments: vec![RawValue::from_string(payload.to_owned()).unwrap()],
            rooms: vec![room.to_owned()],
            except: Vec::new(),
        }
    }

    async fn ours(stage: &Stage, published: Published) -> WorkerEvent {
        match stage.services.workers.judge(published).await {
            Judged::Ours(event) => event,
            other @ (Judged::Passed | Judged::Unknown | Judged::Refused) => panic!("not ours: {other:?}"),
        }
    }

    #[tokio::test]
    async fn an_alert_of_a_worker_is_told_and_found_in_the_history_of_its_patients_hospital() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let id = EventId::new();
        let alert = published("patient_alert", "patient_P1", r#"{"alert_type":"warning","x":1.50}"#);

        let event = ours(&stage, alert).await;
        let raised = stage.services.workers.raise(id, &event, [1; 32]).await.unwrap();

        assert_eq!(raised, Raised::Now);
        let told = stage.told().await;
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].rooms, ["patient_P1"]);
        assert_eq!(told[0].payload["event_id"], id.to_string());
        let request = HistoryRequest {
            hospital_id: Some(hospital("H1")),
            alert_type: Some("warning".to_owned()),
            limit: 10,
            ..HistoryRequest::default()
        };
        let page = stage.services.alerts.history(&service(), request).await.unwrap();
        let expected = format!(r#"{{"alert_type":"warning","x":1.50,"alert_id":"{id}","event_id":"{id}"}}"#);
        let payloads: Vec<&str> = page.alerts.iter().map(Payload::as_json).collect();
        assert_eq!(payloads, [expected]);
    }

    #[tokio::test]
    async fn the_same_id_is_raised_once_whoever_raises_it_again() {
        let mut stage = Stage::new();
        let workers = stage.services.workers.clone();
        let event = ours(&stage, published("risk_updated", "patient_P1", "{}")).await;
        let (first, second) = (EventId::new(), EventId::new());

        assert!(!workers.was_raised(first).await.unwrap());
        let raised = [
            workers.raise(first, &event, [1; 32]).await.unwrap(),
            workers.raise(first, &event, [1; 32]).await.unwrap(),
            workers.raise(second, &event, [1; 32]).await.unwrap(),
        ];

        assert_eq!(raised, [Raised::Now, Raised::Before, Raised::Now]);
        assert!(workers.was_raised(first).await.unwrap());
        let told: Vec<_> = stage
            .told()
            .await
            .into_iter()
            .map(|told| told.payload["event_id"].clone())
            .collect();
        assert_eq!(told, [first.to_string(), second.to_string()]);
    }

    #[tokio::test]
    async fn no_alert_of_a_worker_is_held_back() {
        let mut stage = Stage::new();
        let alert = || published("patient_alert", "patient_P1", r#"{"alert_type":"info"}"#);

        for _ in 0..30 {
            let event = ours(&stage, alert()).await;
            stage
                .services
                .workers
                .raise(EventId::new(), &event, [1; 32])
                .await
                .unwrap();
        }

        assert_eq!(stage.told().await.len(), 30);
    }

    #[tokio::test]
    async fn an_alert_that_names_a_hospital_moves_no_patient() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let alert = published("patient_alert", "patient_P1", r#"{"hospital_id":"H2"}"#);

        let event = ours(&stage, alert).await;
        stage
            .services
            .workers
            .raise(EventId::new(), &event, [1; 32])
            .await
            .unwrap();

        let kept = stage.store.hospital_of(&patient_id("P1")).await.unwrap();
        assert_eq!(kept, Some(hospital("H1")));
    }

    #[tokio::test]
    async fn what_is_not_ours_is_dropped_unless_it_may_pass() {
        let stage = Stage::new();
        let notes = Arc::new(Notes::default());
        let strict = stage.services.workers.clone();
        let lenient = strict.clone().passing_unknown_to(notes.clone());

        for unknown in [
            published("chat", "patient_P1", "{}"),
            published("patient_alert", "ward_3", "{}"),
            Published {
                rooms: Vec::new(),
                ..published("patient_alert", "", "{}")
            },
        ] {
            assert!(matches!(strict.judge(unknown.clone()).await, Judged::Unknown));
            assert!(matches!(lenient.judge(unknown).await, Judged::Passed));
        }
        assert_eq!(*notes.0.lock().unwrap(), ["chat", "patient_alert", "patient_alert"]);

        // Neither a name that would end the client's connection in its own eyes, nor an alert that nobody could show.
        let reserved = published("disconnect", "patient_P1", "{}");
        assert!(matches!(lenient.judge(reserved).await, Judged::Unknown));
        let unreadable = published("patient_alert", "patient_P1", "[]");
        assert!(matches!(lenient.judge(unreadable).await, Judged::Refused));
        assert_eq!(notes.0.lock().unwrap().len(), 3);
    }
}
