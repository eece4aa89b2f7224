//! Beds.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use uuid::Uuid;

use super::{Id, Time};

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum BedStatus {
    Available,
    Occupied,
    Reserved,
    Cleaning,
    Maintenance,
}

/// `3` or `"3A"`.
#[derive(ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum Floor {
    Number(i64),
    Name(String),
}

/// What changes of a bed; what is left out stays. Further fields are kept with it, `null` takes one away.
#[derive(ToSchema)]
#[schema(example = json!({"hospital_id": "hosp_456", "status": "occupied", "patient_id": "PAT-1A2B3C4D", "ward": "ICU", "floor": 3}))]
pub(in crate::api) struct BedChange {
    /// The path's, if it is repeated here.
    bed_id: Option<Id>,
    /// The asker's, or the only one with such a bed, where it is left out.
    hospital_id: Option<Id>,
    status: Option<BedStatus>,
    /// Left out, a bed that is no longer occupied or reserved loses its patient; `null` takes it away in any case.
    #[schema(nullable)]
    patient_id: Option<Id>,
    /// 1 to 128 characters; `null` takes it away.
    #[schema(nullable, min_length = 1, max_length = 128)]
    ward: Option<String>,
    /// `null` takes it away.
    #[schema(nullable)]
    floor: Option<Floor>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// A bed, with whatever else is kept with it.
#[derive(ToSchema)]
pub(in crate::api) struct Bed {
    bed_id: Id,
    hospital_id: Id,
    status: BedStatus,
    patient_id: Option<Id>,
    ward: Option<String>,
    floor: Option<Floor>,
    updated_at: Time,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}

/// A bed as it is now.
#[derive(ToSchema)]
pub(in crate::api) struct BedSaved {
    bed_id: Id,
    hospital_id: Id,
    status: BedStatus,
    patient_id: Option<Id>,
    ward: Option<String>,
    floor: Option<Floor>,
    updated_at: Time,
    /// The `bed_status_changed` that told it.
    event_id: Uuid,
    /// The `capacity` alerts that followed, if any.
    capacity_alerts: Option<Vec<Uuid>>,
    /// Whatever else is kept with it.
    #[serde(flatten)]
    extra: BTreeMap<String, serde_json::Value>,
}
