//! Beds, and telling a hospital when it or a ward of it is full.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Change, Core, ReadError, WriteError};
use crate::domain::access::Identity;
use crate::domain::bed::{Bed, BedStatus, Floor};
use crate::domain::{BedId, EventId, FreeForm, HospitalId, PatientId, WardName};

/// `PUT` and `PATCH /api/beds/{bed_id}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BedChange {
    /// Whose bed it is. Where left out: the asker's hospital, else the only hospital with a bed of that id.
    pub hospital_id: Option<HospitalId>,
    /// Its state.
    pub status: Option<BedStatus>,
    /// Who lies in it or is expected. Where left out, a bed that becomes free, dirty or broken loses its patient.
    pub patient_id: Change<PatientId>,
    /// Where it stands.
    pub ward: Change<WardName>,
    /// On which floor.
    pub floor: Change<Floor>,
    /// Whatever else the backend keeps with it, field by field; `null` takes a field away.
    pub extra: FreeForm,
}

/// A bed was kept and told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BedSaved {
    /// The bed as it is now.
    pub bed: Bed,
    /// The id of the `bed_status_changed` that told it.
    pub event_id: EventId,
    /// Whether it was not known before.
    pub is_new: bool,
    /// The `capacity` alerts that followed.
    pub capacity_alerts: Vec<EventId>,
}

/// Beds.
#[derive(Clone)]
pub struct Beds(pub(super) Arc<Core>);

impl Beds {
    /// Changes a bed, or notes a new one (`PUT`): then `status` and a hospital must be there.
    pub async fn put(&self, by: &Identity, id: BedId, change: BedChange) -> Result<BedSaved, WriteError> {
        drop((by, id, change));
        Err(WriteError::Busy)
    }

    /// Changes a bed (`PATCH`); one that is not there is not found.
    pub async fn patch(&self, by: &Identity, id: BedId, change: BedChange) -> Result<BedSaved, WriteError> {
        drop((by, id, change));
        Err(WriteError::Busy)
    }

    /// A hospital's beds, the asker's own where none is named; by ward and id.
    pub async fn list(&self, by: &Identity, hospital: Option<HospitalId>) -> Result<Vec<Bed>, ReadError> {
        drop((by, hospital));
        Err(ReadError::NotFound)
    }
}
