//! Who is on duty.

use serde::{Deserialize, Serialize};

use super::{HospitalId, StaffId, Timestamp};

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
