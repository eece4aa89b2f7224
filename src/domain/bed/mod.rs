//! Beds: what they are, and how a change of one is told.

mod capacity;

use serde::{Deserialize, Serialize};

use super::{
    BedId, Event, EventId, EventName, FreeForm, HospitalId, PatientId, Payload, Room, RoomName, Timestamp, WardName,
};

pub use capacity::{
    BedBoard, BedCount, BoardChange, CapacityPolicy, CapacityScope, Crossing, InvalidCapacityPolicy, Occupancy,
};

/// A bed's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BedStatus {
    /// Ready for a patient.
    Available,
    /// A patient lies in it.
    Occupied,
    /// Kept for a patient who is coming.
    Reserved,
    /// Being cleaned.
    Cleaning,
    /// Out of order.
    Maintenance,
}

impl BedStatus {
    /// The state as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Occupied => "occupied",
            Self::Reserved => "reserved",
            Self::Cleaning => "cleaning",
            Self::Maintenance => "maintenance",
        }
    }

    /// Whether a patient can be in the bed or on the way to it.
    pub const fn has_patient(self) -> bool {
        match self {
            Self::Occupied | Self::Reserved => true,
            Self::Available | Self::Cleaning | Self::Maintenance => false,
        }
    }
}

/// A floor, as the backend writes it: `3` stays a number, `"3A"` a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Floor {
    /// By number; the ground floor is 0 where the backend counts so.
    Number(i64),
    /// By name.
    Name(String),
}

/// A bed of a hospital.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bed {
    /// Unique inside the hospital.
    pub bed_id: BedId,
    /// Whose it is.
    pub hospital_id: HospitalId,
    /// Its state.
    pub status: BedStatus,
    /// Who lies in it or is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<PatientId>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ward: Option<WardName>,
    /// On which floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Whatever else the backend keeps with it.
    #[serde(flatten)]
    pub extra: FreeForm,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Bed {
    /// Fields that the server sets, and nobody's extra fields can.
    pub const RESERVED: [&str; 7] = [
        "bed_id",
        "hospital_id",
        "status",
        "patient_id",
        "ward",
        "floor",
        "updated_at",
    ];

    /// The event that tells this bed's hospital how the bed is now.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn changed(&self, id: EventId) -> Result<Event, serde_json::Error> {
        let payload = Payload::encode(&Changed {
            event_type: "bed_status_update",
            hospital_id: &self.hospital_id,
            bed_info: BedInfo {
                bed_id: &self.bed_id,
                status: self.status,
                patient_id: self.patient_id.as_ref(),
                ward: self.ward.as_ref(),
                floor: self.floor.as_ref(),
                extra: self.extra.without(&Self::RESERVED),
            },
            timestamp: self.updated_at,
            event_id: id,
        })?;
        Ok(Event {
            id,
            name: EventName::BED_STATUS_CHANGED,
            rooms: vec![RoomName::from(Room::Hospital(self.hospital_id.clone()))],
            payload,
            raised_at: self.updated_at,
            alert: None,
        })
    }
}

#[derive(Serialize)]
struct Changed<'a> {
    event_type: &'static str,
    hospital_id: &'a HospitalId,
    bed_info: BedInfo<'a>,
    timestamp: Timestamp,
    event_id: EventId,
}

#[derive(Serialize)]
struct BedInfo<'a> {
    bed_id: &'a BedId,
    status: BedStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient_id: Option<&'a PatientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ward: Option<&'a WardName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<&'a Floor>,
    #[serde(flatten)]
    extra: FreeForm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_the_contract_writes_it() {
        let bed: Bed = serde_json::from_str(
            r#"{"bed_id":"B1","hospital_id":"hosp_456","status":"occupied","patient_id":"P1","ward":"ICU 2","floor":3,
                "isolation":true,"updated_at":"2026-02-15T10:30:00.123456+00:00"}"#,
        )
        .unwrap();
        let id = EventId::new();

        let event = bed.changed(id).unwrap();

        assert_eq!(event.name, EventName::BED_STATUS_CHANGED);
        assert_eq!(event.rooms, [RoomName::from("hospital_hosp_456")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"event_type":"bed_status_update","hospital_id":"hosp_456","bed_info":{{"bed_id":"B1","status":"occupied","patient_id":"P1","ward":"ICU 2","floor":3,"isolation":true}},"timestamp":"2026-02-15T10:30:00.123456+00:00","event_id":"{id}"}}"#
            )
        );
    }

    #[test]
    fn extra_fields_cannot_overwrite_what_the_server_sets() {
        let mut bed: Bed = serde_json::from_str(
            r#"{"bed_id":"B1","hospital_id":"H1","status":"available","updated_at":"2026-02-15T10:30:00+00:00"}"#,
        )
        .unwrap();
        bed.extra =
            serde_json::from_str(r#"{"bed_id":"B9","patient_id":"P9","status":"occupied","note":"x"}"#).unwrap();

        let json = bed.changed(EventId::new()).unwrap().payload.as_json().to_owned();

        assert!(
            json.contains(r#""bed_info":{"bed_id":"B1","status":"available","note":"x"}"#),
            "{json}"
        );
    }
}
