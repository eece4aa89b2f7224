//! Who is on duty.

use serde::{Deserialize, Serialize};

use super::{Event, EventId, EventName, HospitalId, Payload, Room, RoomName, StaffId, Timestamp};

/// What a member of staff works as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StaffType {
    /// A doctor.
    Doctor,
    /// A nurse.
    Nurse,
}

/// A member of staff and whether they can be called on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffMember {
    /// Where they work.
    pub hospital_id: HospitalId,
    /// Who they are.
    pub staff_id: StaffId,
    /// What they work as.
    pub staff_type: StaffType,
    /// Whether they can be called on now.
    pub available: bool,
    /// Since when.
    pub updated_at: Timestamp,
}

impl StaffMember {
    /// The event that tells their hospital whether they can be called on. `at` is when that was said.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn availability_changed(&self, id: EventId, at: Timestamp) -> Result<Event, serde_json::Error> {
        let payload = Payload::encode(&AvailabilityChanged {
            event_type: "availability_update",
            hospital_id: &self.hospital_id,
            staff_id: &self.staff_id,
            staff_type: self.staff_type,
            available: self.available,
            timestamp: at,
            event_id: id,
        })?;
        Ok(Event {
            id,
            name: EventName::STAFF_AVAILABILITY_CHANGED,
            rooms: vec![RoomName::from(Room::Hospital(self.hospital_id.clone()))],
            payload,
            raised_at: at,
            alert: None,
        })
    }
}

#[derive(Serialize)]
struct AvailabilityChanged<'a> {
    event_type: &'static str,
    hospital_id: &'a HospitalId,
    staff_id: &'a StaffId,
    staff_type: StaffType,
    available: bool,
    timestamp: Timestamp,
    event_id: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_as_the_contract_writes_it() {
        let id = EventId::new();
        let at: Timestamp = "2026-02-15T10:30:00.123456Z".parse().unwrap();
        let member = StaffMember {
            hospital_id: HospitalId::parse("hosp_456").unwrap(),
            staff_id: StaffId::parse("S7").unwrap(),
            staff_type: StaffType::Nurse,
            available: true,
            updated_at: Timestamp::from_micros(0),
        };

        let event = member.availability_changed(id, at).unwrap();

        assert_eq!(event.rooms, [RoomName::from("hospital_hosp_456")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"event_type":"availability_update","hospital_id":"hosp_456","staff_id":"S7","staff_type":"nurse","available":true,"timestamp":"2026-02-15T10:30:00.123456+00:00","event_id":"{id}"}}"#
            )
        );
    }
}
