//! Triage cases.

use serde::{Deserialize, Serialize};

use super::alert::{HospitalAlert, HospitalAlertType};
use super::{Event, EventId, EventName, FreeForm, HospitalId, PatientId, Payload, Room, RoomName, Timestamp, TriageId};

/// How far a case has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriageStatus {
    /// Waiting to be seen.
    Pending,
    /// Seen, urgency known.
    Triaged,
    /// Somebody has taken it.
    Assigned,
}

impl TriageStatus {
    /// The state as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Triaged => "triaged",
            Self::Assigned => "assigned",
        }
    }
}

/// A patient's way through triage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageCase {
    /// The backend's id, or ours (a UUIDv7) where it gave none.
    pub triage_id: TriageId,
    /// Who is waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<PatientId>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: TriageStatus,
    /// Whatever else the backend keeps with it.
    #[serde(flatten)]
    pub extra: FreeForm,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl TriageCase {
    /// Fields that the server sets, and nobody's extra fields can.
    pub const RESERVED: [&str; 6] = [
        "triage_id",
        "patient_id",
        "hospital_id",
        "status",
        "created_at",
        "updated_at",
    ];

    /// The event that tells whoever follows the case, its patient and the queue how far it has come.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn updated(&self, id: EventId) -> Result<Event, serde_json::Error> {
        let payload = Payload::encode(&Updated {
            event_type: "triage_update",
            triage_id: &self.triage_id,
            patient_id: self.patient_id.as_ref(),
            status: self.status,
            timestamp: self.updated_at,
            event_id: id,
        })?;
        let patient = self.patient_id.clone().map(Room::Patient);
        let rooms = [
            Some(Room::Triage(self.triage_id.clone())),
            patient,
            Some(Room::TriageQueue),
        ];
        Ok(Event {
            id,
            name: EventName::TRIAGE_UPDATED,
            rooms: rooms.into_iter().flatten().map(RoomName::from).collect(),
            payload,
            raised_at: self.updated_at,
            alert: None,
        })
    }
}

impl TriageCase {
    /// The `hospital_alert` that tells the case's hospital of a new case; `None` where nobody knows the hospital.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn opened(&self, id: EventId) -> Result<Option<Event>, serde_json::Error> {
        let Some(hospital_id) = &self.hospital_id else {
            return Ok(None);
        };
        let data = FreeForm::of(&Opened {
            triage_id: &self.triage_id,
            status: self.status,
        })?;
        let message = format!("New triage case {} ({})", self.triage_id, self.status.as_str());
        let alert_type = HospitalAlertType::Info;
        HospitalAlert {
            id,
            hospital_id,
            alert_type,
            message: Some(&message),
            data: &data,
            at: self.updated_at,
        }
        .event()
        .map(Some)
    }
}

#[derive(Serialize)]
struct Opened<'a> {
    triage_id: &'a TriageId,
    status: TriageStatus,
}

#[derive(Serialize)]
struct Updated<'a> {
    event_type: &'static str,
    triage_id: &'a TriageId,
    /// `null` where nobody knows who it is: the contract lists the field.
    patient_id: Option<&'a PatientId>,
    status: TriageStatus,
    timestamp: Timestamp,
    event_id: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(patient: &str) -> TriageCase {
        serde_json::from_str(&format!(
            r#"{{"triage_id":"T1","patient_id":{patient},"hospital_id":"H1","status":"triaged","urgency":2,
                 "created_at":"2026-02-15T10:00:00+00:00","updated_at":"2026-02-15T10:30:00.123456+00:00"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn an_update_is_told_as_the_contract_writes_it() {
        let id = EventId::new();

        let event = case(r#""P1""#).updated(id).unwrap();

        assert_eq!(
            event.rooms,
            ["triage_T1", "patient_P1", "triage_queue"].map(RoomName::from)
        );
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"event_type":"triage_update","triage_id":"T1","patient_id":"P1","status":"triaged","timestamp":"2026-02-15T10:30:00.123456+00:00","event_id":"{id}"}}"#
            )
        );
    }

    #[test]
    fn a_case_of_somebody_unknown_is_told_to_no_patients_room() {
        let event = case("null").updated(EventId::new()).unwrap();

        assert_eq!(event.rooms, ["triage_T1", "triage_queue"].map(RoomName::from));
        assert!(event.payload.as_json().contains(r#""patient_id":null"#));
    }

    #[test]
    fn a_new_case_is_told_to_its_hospital() {
        let id = EventId::new();

        let event = case("null").opened(id).unwrap().unwrap();

        assert_eq!(event.rooms, [RoomName::from("hospital_H1")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"alert_type":"info","hospital_id":"H1","timestamp":"2026-02-15T10:30:00.123456+00:00","message":"New triage case T1 (triaged)","triage_id":"T1","status":"triaged","alert_id":"{id}","event_id":"{id}"}}"#
            )
        );
    }

    #[test]
    fn a_new_case_of_no_hospital_is_told_to_none() {
        let case = TriageCase {
            hospital_id: None,
            ..case("null")
        };

        assert_eq!(case.opened(EventId::new()).unwrap(), None);
    }
}
