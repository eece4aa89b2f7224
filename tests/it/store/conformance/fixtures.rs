//! Values with sane defaults: a test states only what matters to it.

use std::sync::Arc;
use std::time::Duration;

use wardbell::domain::bed::{Bed, BedStatus, Floor};
use wardbell::domain::task::{Task, TaskStatus};
use wardbell::domain::triage::{TriageCase, TriageStatus};
use wardbell::domain::{
    AlertFacts, AlertScope, Event, EventId, EventName, FreeForm, HospitalId, PatientId, Payload, Position, RoomName,
    TaskId, Timestamp,
};
use wardbell::ports::{Append, Appended, EventStore, Once, Retention, StateChange, Store};

/// What the clock of a fresh store shows: 2026-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_768_464_000_000_000);

/// So many seconds after [`START`].
pub(crate) fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

pub(crate) fn patient(id: &str) -> PatientId {
    PatientId::parse(id).unwrap()
}

pub(crate) fn hospital(id: &str) -> HospitalId {
    HospitalId::parse(id).unwrap()
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::from(name)
}

pub(crate) fn position(sequence: u64) -> Position {
    Position::from_sequence(sequence)
}

/// An event that is no alert, in these rooms.
pub(crate) fn event(rooms: &[&str]) -> Event {
    let id = EventId::new();
    Event {
        id,
        name: EventName::RISK_UPDATED,
        rooms: rooms.iter().map(|name| room(name)).collect(),
        payload: Payload::from_json(format!(r#"{{"event_id":"{id}","z":1,"a":[2.50,"ä\u0000"]}}"#)),
        raised_at: START,
        alert: None,
    }
}

/// A patient's alert of the type `warning`, whose hospital is not known.
pub(crate) fn alert(of: &str) -> Event {
    Event {
        name: EventName::PATIENT_ALERT,
        alert: Some(AlertFacts {
            scope: AlertScope::Patient,
            alert_type: "warning".to_owned(),
            patient_id: Some(patient(of)),
            hospital_id: None,
            is_suppressed: false,
        }),
        ..event(&[&format!("patient_{of}")])
    }
}

/// A hospital's alert of the type `info`.
pub(crate) fn hospital_alert(of: &str) -> Event {
    Event {
        name: EventName::HOSPITAL_ALERT,
        alert: Some(AlertFacts {
            scope: AlertScope::Hospital,
            alert_type: "info".to_owned(),
            patient_id: None,
            hospital_id: Some(hospital(of)),
            is_suppressed: false,
        }),
        ..event(&[&format!("hospital_{of}")])
    }
}

pub(crate) trait EventExt {
    fn raised(self, at: Timestamp) -> Self;
    fn typed(self, alert_type: &str) -> Self;
    fn of_hospital(self, id: &str) -> Self;
    fn suppressed(self) -> Self;
}

impl EventExt for Event {
    fn raised(self, at: Timestamp) -> Self {
        Self { raised_at: at, ..self }
    }

    fn typed(mut self, alert_type: &str) -> Self {
        alert_type.clone_into(&mut self.alert.as_mut().unwrap().alert_type);
        self
    }

    fn of_hospital(mut self, id: &str) -> Self {
        self.alert.as_mut().unwrap().hospital_id = Some(hospital(id));
        self
    }

    fn suppressed(mut self) -> Self {
        self.alert.as_mut().unwrap().is_suppressed = true;
        self
    }
}

pub(crate) fn append(events: impl IntoIterator<Item = Event>) -> Append {
    Append {
        events: events.into_iter().map(Arc::new).collect(),
        ..Append::default()
    }
}

pub(crate) fn changing(changes: impl IntoIterator<Item = StateChange>) -> Append {
    Append {
        changes: changes.into_iter().collect(),
        ..Append::default()
    }
}

pub(crate) fn once(key: &str, body: u8, outcome: &str) -> Once {
    Once {
        scope: "caller POST /api".to_owned(),
        key: key.to_owned(),
        fingerprint: [body; 32],
        outcome: outcome.to_owned(),
        at: START,
    }
}

pub(crate) fn case(id: &str) -> TriageCase {
    TriageCase {
        triage_id: id.parse().unwrap(),
        patient_id: Some(patient("P1")),
        hospital_id: Some(hospital("H1")),
        status: TriageStatus::Pending,
        extra: FreeForm(serde_json::from_str(r#"{"zone":"red","age":7}"#).unwrap()),
        created_at: START,
        updated_at: START,
    }
}

pub(crate) fn bed(hospital_id: &str, id: &str, ward: Option<&str>, status: BedStatus) -> Bed {
    Bed {
        bed_id: id.parse().unwrap(),
        hospital_id: hospital(hospital_id),
        status,
        patient_id: None,
        ward: ward.map(|ward| ward.to_owned().try_into().unwrap()),
        floor: Some(Floor::Number(2)),
        extra: FreeForm(serde_json::from_str(r#"{"window":true}"#).unwrap()),
        updated_at: START,
    }
}

pub(crate) fn task(status: TaskStatus, updated_at: Timestamp) -> Task {
    Task {
        id: TaskId::new(),
        status,
        request: r#"{"patient_id":"P1"}"#.to_owned(),
        requested_by: "nurse_1".parse().unwrap(),
        hospital_id: Some(hospital("H1")),
        result: None,
        error: None,
        created_at: updated_at,
        updated_at,
    }
}

/// Everything from before this instant may go.
pub(crate) fn everything_before(at: Timestamp) -> Retention {
    Retention {
        events_before: at,
        alerts_before: at,
        outcomes_before: at,
        tasks_before: at,
        sessions_before: at,
    }
}

/// Commits one append and expects that it is.
pub(crate) async fn commit<S: EventStore + ?Sized>(store: &S, append: Append) -> Vec<u64> {
    match store.commit(vec![append]).await.unwrap().pop() {
        Some(Appended::Committed(sequences)) => sequences,
        other => panic!("not committed: {other:?}"),
    }
}

/// Commits the events in one append and publishes those that are not suppressed.
pub(crate) async fn publish(store: &dyn Store, events: impl IntoIterator<Item = Event>) -> Vec<u64> {
    let append = append(events);
    let is_suppressed: Vec<bool> = append
        .events
        .iter()
        .map(|event| event.alert.as_ref().is_some_and(|alert| alert.is_suppressed))
        .collect();
    let sequences = commit(store, append).await;
    let published = sequences
        .iter()
        .zip(is_suppressed)
        .filter(|(_, is_suppressed)| !is_suppressed);
    let published = published
        .map(|(sequence, _)| (*sequence, position(*sequence)))
        .collect();
    store.mark_published(published, START).await.unwrap();
    sequences
}

/// What was committed and not yet marked as published, by sequence number. A shared store publishes with the commit.
pub(crate) async fn fresh_events(store: &dyn Store) -> Vec<(u64, Event)> {
    if !store.is_shared() {
        return store.unpublished(1_000).await.unwrap();
    }
    let published = store.published_after(Position::START, 1_000).await.unwrap();
    let numbered = |one: &wardbell::ports::Positioned| (one.position.major, (*one.event).clone());
    published.iter().map(numbered).collect()
}
