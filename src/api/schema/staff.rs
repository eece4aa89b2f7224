//! Who is on duty.

use utoipa::ToSchema;
use uuid::Uuid;

use super::{Id, Time};

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum StaffType {
    Doctor,
    Nurse,
}

/// Whether somebody can be called on. What is left out comes from the token.
#[derive(ToSchema)]
#[schema(example = json!({"staff_id": "DOC-9", "staff_type": "doctor", "hospital_id": "hosp_456", "available": true}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Availability {
    staff_id: Option<Id>,
    staff_type: Option<StaffType>,
    hospital_id: Option<Id>,
    available: bool,
}

/// Who comes or goes. What is left out comes from the token; all of it may be.
#[derive(ToSchema)]
#[schema(example = json!({"staff_id": "DOC-9", "staff_type": "doctor", "hospital_id": "hosp_456"}))]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Coming {
    staff_id: Option<Id>,
    staff_type: Option<StaffType>,
    hospital_id: Option<Id>,
    /// If it is there, `true` for a login and `false` for a logout.
    available: Option<bool>,
}

/// A member of staff.
#[derive(ToSchema)]
pub(in crate::api) struct StaffMember {
    hospital_id: Id,
    staff_id: Id,
    staff_type: StaffType,
    available: bool,
    /// Since when.
    updated_at: Time,
}

/// A member of staff, as they are now.
#[derive(ToSchema)]
pub(in crate::api) struct StaffSaved {
    hospital_id: Id,
    staff_id: Id,
    staff_type: StaffType,
    available: bool,
    /// Since when.
    updated_at: Time,
    /// The `staff_availability_changed` that told it.
    event_id: Uuid,
}
