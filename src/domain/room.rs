//! Rooms: who is told.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{HospitalId, PatientId, TriageId};

/// A room that a client can join. There are no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// `patient_{patient_id}`: whoever watches this patient.
    Patient(PatientId),
    /// `hospital_{hospital_id}`: all staff of this hospital.
    Hospital(HospitalId),
    /// `triage_{triage_id}`: whoever follows this triage case.
    Triage(TriageId),
    /// `triage_queue`: all triage staff.
    TriageQueue,
}

/// The text names no room that a client can join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid room name")]
pub struct InvalidRoom;

/// A room's name as the wire and the log write it: `patient_PAT-1A2B3C4D`.
///
/// Events carry names, not [`Room`]s: what comes over a bridge or belongs to another contract has room families of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RoomName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<&Room> for RoomName {
    fn from(room: &Room) -> Self {
        Self(room.to_string().into())
    }
}

impl From<Room> for RoomName {
    fn from(room: Room) -> Self {
        Self::from(&room)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patient(id) => write!(f, "patient_{id}"),
            Self::Hospital(id) => write!(f, "hospital_{id}"),
            Self::Triage(id) => write!(f, "triage_{id}"),
            Self::TriageQueue => f.write_str("triage_queue"),
        }
    }
}

impl FromStr for Room {
    type Err = InvalidRoom;

    /// Reads a room's name. Only the first prefix is taken off: `patient_patient_123` is the room of `patient_123`.
    fn from_str(name: &str) -> Result<Self, InvalidRoom> {
        if name == "triage_queue" {
            return Ok(Self::TriageQueue);
        }
        let (family, id) = name.split_once('_').ok_or(InvalidRoom)?;
        match family {
            "patient" => PatientId::parse(id).map(Self::Patient).or(Err(InvalidRoom)),
            "hospital" => HospitalId::parse(id).map(Self::Hospital).or(Err(InvalidRoom)),
            "triage" => TriageId::parse(id).map(Self::Triage).or(Err(InvalidRoom)),
            _ => Err(InvalidRoom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_prefix_is_taken_off() {
        let room: Room = "patient_patient_123".parse().unwrap();

        assert_eq!(room, Room::Patient(PatientId::parse("patient_123").unwrap()));
    }

    #[test]
    fn the_queue_is_never_a_case() {
        assert_eq!("triage_queue".parse(), Ok(Room::TriageQueue));
        assert_eq!(
            "triage_queue_2".parse(),
            Ok(Room::Triage(TriageId::parse("queue_2").unwrap()))
        );
    }

    #[test]
    fn what_is_no_room_is_refused() {
        let long = format!("patient_{}", "x".repeat(129));
        for name in [
            "",
            "patient",
            "patient_",
            "hospital_",
            "triage_",
            "Patient_1",
            "PATIENT_1",
            " patient_1",
            "patient_1 ",
            "patient_a b",
            "patient_a/b",
            "patient_*",
            "patient_1\n",
            "patient_ä",
            "patient_\u{202e}1",
            "patient-1",
            "ward_1",
            "staff_1",
            "_1",
            "user_1",
            long.as_str(),
        ] {
            assert_eq!(name.parse::<Room>(), Err(InvalidRoom), "{name:?}");
        }
    }

    mod property {
        use proptest::prelude::*;

        use super::*;

        fn is_room(name: &str) -> bool {
            ["patient_", "hospital_", "triage_"]
                .iter()
                .any(|prefix| name.strip_prefix(prefix).is_some_and(crate::domain::id::is_id))
        }

        proptest! {
            #[test]
            fn every_room_reads_back_from_its_name(family in 0..3, id in "[A-Za-z0-9_.:-]{1,128}") {
                let room = match family {
                    0 => Room::Patient(PatientId::parse(&id).unwrap()),
                    1 => Room::Hospital(HospitalId::parse(&id).unwrap()),
                    _ if id == "queue" => Room::TriageQueue,
                    _ => Room::Triage(TriageId::parse(&id).unwrap()),
                };

                let name = RoomName::from(&room);

                prop_assert_eq!(name.as_str().parse(), Ok(room));
            }

            #[test]
            fn a_name_is_read_as_a_room_that_is_written_the_same_or_refused(
                name in prop_oneof![
                    "\\PC{0,140}",
                    "(patient|hospital|triage|queue|ward)_?[A-Za-z0-9_.: /-]{0,130}",
                ],
            ) {
                match name.parse::<Room>() {
                    Ok(room) => prop_assert_eq!(room.to_string(), name),
                    Err(InvalidRoom) => prop_assert!(!is_room(&name), "{name:?}"),
                }
            }
        }
    }
}
