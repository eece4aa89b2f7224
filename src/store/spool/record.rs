//! An append as the spool keeps it: JSON, readable by a person and by later versions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::staff::StaffMember;
use crate::domain::task::{Task, TaskStatus};
use crate::domain::{
    AlertFacts, AlertScope, Event, EventId, EventName, Fact, HospitalId, PatientId, Payload, RoomName, TaskId,
    Timestamp, UserId,
};
use crate::ports::{Append, MessageFor, Once, StateChange};

/// A line of the spool.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    events: Vec<EventRecord>,
    changes: Vec<ChangeRecord>,
    once: Option<OnceRecord>,
}

#[derive(Serialize, Deserialize)]
struct EventRecord {
    id: EventId,
    name: String,
    rooms: Vec<String>,
    /// JSON as text, as it is sent.
    payload: String,
    raised_at: Timestamp,
    alert: Option<AlertRecord>,
}

#[derive(Serialize, Deserialize)]
struct AlertRecord {
    is_of_hospital: bool,
    alert_type: String,
    patient_id: Option<PatientId>,
    hospital_id: Option<HospitalId>,
    is_suppressed: bool,
}

#[derive(Serialize, Deserialize)]
enum ChangeRecord {
    PatientHospital(PatientId, HospitalId),
    Staff(StaffMember),
    Task(TaskRecord),
    Fact(Fact),
    Unread(MessageFor),
    Read(MessageFor),
}

#[derive(Serialize, Deserialize)]
struct TaskRecord {
    id: TaskId,
    status: TaskStatus,
    request: String,
    requested_by: UserId,
    hospital_id: Option<HospitalId>,
    result: Option<String>,
    error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct OnceRecord {
    scope: String,
    key: String,
    fingerprint: [u8; 32],
    outcome: String,
    at: Timestamp,
}

impl Record {
    /// `None` if the append changes what can only be decided in the database: beds and triage cases. Nobody can know meanwhile
    /// what others have made of them.
    pub(super) fn of(append: &Append) -> Option<Self> {
        let changes = append.changes.iter().map(change_record).collect::<Option<_>>()?;
        Some(Self {
            events: append.events.iter().map(|event| event_record(event)).collect(),
            changes,
            once: append.once.as_ref().map(once_record),
        })
    }

    pub(super) fn into_append(self) -> Append {
        Append {
            events: self
                .events
                .into_iter()
                .map(|event| Arc::new(event.into_event()))
                .collect(),
            changes: self.changes.into_iter().map(ChangeRecord::into_change).collect(),
            once: self.once.map(OnceRecord::into_once),
        }
    }
}

fn event_record(event: &Event) -> EventRecord {
    EventRecord {
        id: event.id,
        name: event.name.as_str().to_owned(),
        rooms: event.rooms.iter().map(|room| room.as_str().to_owned()).collect(),
        payload: event.payload.as_json().to_owned(),
        raised_at: event.raised_at,
        alert: event.alert.as_ref().map(|alert| AlertRecord {
            is_of_hospital: match alert.scope {
                AlertScope::Patient => false,
                AlertScope::Hospital => true,
            },
            alert_type: alert.alert_type.clone(),
            patient_id: alert.patient_id.clone(),
            hospital_id: alert.hospital_id.clone(),
            is_suppressed: alert.is_suppressed,
        }),
    }
}

impl EventRecord {
    fn into_event(self) -> Event {
        Event {
            id: self.id,
            name: EventName::from(self.name),
            rooms: self.rooms.iter().map(|room| RoomName::from(room.as_str())).collect(),
            payload: Payload::from_json(self.payload),
            raised_at: self.raised_at,
            alert: self.alert.map(|alert| AlertFacts {
                scope: if alert.is_of_hospital {
                    AlertScope::Hospital
                } else {
                    AlertScope::Patient
                },
                alert_type: alert.alert_type,
                patient_id: alert.patient_id,
                hospital_id: alert.hospital_id,
                is_suppressed: alert.is_suppressed,
            }),
        }
    }
}

fn change_record(change: &StateChange) -> Option<ChangeRecord> {
    match change {
        StateChange::PatientHospital(patient, hospital) => {
            Some(ChangeRecord::PatientHospital(patient.clone(), hospital.clone()))
        }
        StateChange::Staff(member) => Some(ChangeRecord::Staff(member.clone())),
        StateChange::Task(task) => Some(ChangeRecord::Task(TaskRecord {
            id: task.id,
            status: task.status,
            request: task.request.clone(),
            requested_by: task.requested_by.clone(),
            hospital_id: task.hospital_id.clone(),
            result: task.result.clone(),
            error: task.error.clone(),
            created_at: task.created_at,
            updated_at: task.updated_at,
        })),
        StateChange::Fact(fact) => Some(ChangeRecord::Fact(fact.clone())),
        StateChange::Unread(letter) => Some(ChangeRecord::Unread(letter.clone())),
        StateChange::Read(letter) => Some(ChangeRecord::Read(letter.clone())),
        StateChange::Triage { .. } | StateChange::Bed { .. } => None,
    }
}

impl ChangeRecord {
    fn into_change(self) -> StateChange {
        match self {
            Self::PatientHospital(patient, hospital) => StateChange::PatientHospital(patient, hospital),
            Self::Staff(member) => StateChange::Staff(member),
            Self::Fact(fact) => StateChange::Fact(fact),
            Self::Unread(letter) => StateChange::Unread(letter),
            Self::Read(letter) => StateChange::Read(letter),
            Self::Task(task) => StateChange::Task(Task {
                id: task.id,
                status: task.status,
                request: task.request,
                requested_by: task.requested_by,
                hospital_id: task.hospital_id,
                result: task.result,
                error: task.error,
                created_at: task.created_at,
                updated_at: task.updated_at,
            }),
        }
    }
}

fn once_record(once: &Once) -> OnceRecord {
    OnceRecord {
        scope: once.scope.clone(),
        key: once.key.clone(),
        fingerprint: once.fingerprint,
        outcome: once.outcome.clone(),
        at: once.at,
    }
}

impl OnceRecord {
    fn into_once(self) -> Once {
        Once {
            scope: self.scope,
            key: self.key,
            fingerprint: self.fingerprint,
            outcome: self.outcome,
            at: self.at,
        }
    }
}
