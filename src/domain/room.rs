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
