//! Beds, and when a hospital or ward is full.

use serde::{Deserialize, Serialize};

use super::{BedId, FreeForm, HospitalId, PatientId, Timestamp, WardName};

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

/// A hospital's beds, counted; the aggregate that capacity is decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BedBoard {
    /// Grows by one with every change of a bed of this hospital; 0 where there is none yet.
    pub revision: u64,
    /// Beds by ward and status; `None` are the beds without a ward.
    pub counts: Vec<BedCount>,
    /// The scopes that are at or over their threshold and whose alert went out.
    pub raised: Vec<CapacityScope>,
}

/// How many beds of one ward have one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BedCount {
    /// The ward; `None` for beds without one.
    pub ward: Option<WardName>,
    /// The status.
    pub status: BedStatus,
    /// How many beds.
    pub beds: u32,
}

/// What can be full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CapacityScope {
    /// The whole hospital.
    Hospital,
    /// One ward of it.
    Ward(WardName),
}

/// When a hospital or ward counts as full, and when no longer.
///
/// Between the two nothing is told: a ward at the edge does not alert with every bed that is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityPolicy {
    raise_at: f64,
    clear_below: f64,
}

/// The shares contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capacity shares must satisfy 0 < clear_below <= raise_at <= 1")]
pub struct InvalidCapacityPolicy;

impl CapacityPolicy {
    /// A policy: full from the share `raise_at` of beds taken, no longer under `clear_below`.
    pub fn new(raise_at: f64, clear_below: f64) -> Result<Self, InvalidCapacityPolicy> {
        let is_valid = 0.0 < clear_below && clear_below <= raise_at && raise_at <= 1.0;
        if is_valid {
            Ok(Self { raise_at, clear_below })
        } else {
            Err(InvalidCapacityPolicy)
        }
    }
}

impl Default for CapacityPolicy {
    /// The contract's figures: full from 90 %, no longer under 85 %.
    fn default() -> Self {
        Self {
            raise_at: 0.90,
            clear_below: 0.85,
        }
    }
}
