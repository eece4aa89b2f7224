//! Who is on duty.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Core, OnceKey, ReadError, WriteError};
use crate::domain::access::Identity;
use crate::domain::staff::{StaffMember, StaffType};
use crate::domain::{EventId, HospitalId, StaffId};

/// `PUT /api/staff/availability`; login and logout with `available` true and false. What is left out comes from the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// Who.
    pub staff_id: Option<StaffId>,
    /// As what they work.
    pub staff_type: Option<StaffType>,
    /// Where.
    pub hospital_id: Option<HospitalId>,
    /// Whether they can be called on now.
    pub available: bool,
}

/// An availability was kept and told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffSaved {
    /// Who, and whether they are available now.
    pub member: StaffMember,
    /// The id of the `staff_availability_changed` that told it.
    pub event_id: EventId,
}

/// Who is on duty.
#[derive(Clone)]
pub struct Staff(pub(super) Arc<Core>);

impl Staff {
    /// Notes whether somebody can be called on, and tells their hospital.
    pub async fn set_availability(
        &self,
        by: &Identity,
        availability: Availability,
        once: Option<OnceKey>,
    ) -> Result<StaffSaved, WriteError> {
        drop((by, availability, once));
        Err(WriteError::Busy)
    }

    /// Who is available now in a hospital, the asker's own where none is named; those longest available first.
    pub async fn available(&self, by: &Identity, hospital: Option<HospitalId>) -> Result<Vec<StaffMember>, ReadError> {
        drop((by, hospital));
        Err(ReadError::NotFound)
    }
}
