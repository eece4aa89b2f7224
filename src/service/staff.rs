//! Who is on duty.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::Settled;
use super::{Core, OnceKey, Problem, ReadError, WriteError};
use crate::domain::access::{self, Action, Identity, Role};
use crate::domain::staff::{StaffMember, StaffType};
use crate::domain::{EventId, HospitalId, StaffId};
use crate::ports::{Append, StateChange};

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
    ///
    /// What is left out comes from the token. As what somebody else works is taken from what is kept of them before it is
    /// taken from the token, which is about who asks.
    pub async fn set_availability(
        &self,
        by: &Identity,
        availability: Availability,
        once: Option<OnceKey>,
    ) -> Result<StaffSaved, WriteError> {
        let core = &self.0;
        access::check(by, Action::WriteStaff)?;
        let is_own = availability.staff_id.is_none() || availability.staff_id == by.staff_id;
        let staff_id = availability.staff_id.or_else(|| by.staff_id.clone());
        let hospital_id = availability.hospital_id.or_else(|| by.hospital_id.clone());
        if let Some(hospital) = &hospital_id {
            by.reach().check_hospital(hospital)?;
        }
        let kept = match (&hospital_id, &staff_id) {
            (Some(hospital), Some(staff)) => core.store.staff_member(hospital, staff).await?,
            (None, _) | (_, None) => None,
        };
        let of_kept = kept.as_ref().filter(|_| !is_own).map(|member| member.staff_type);
        let staff_type = availability.staff_type.or(of_kept).or_else(|| staff_type_of(by.role));

        let (Some(staff_id), Some(hospital_id), Some(staff_type)) = (&staff_id, &hospital_id, staff_type) else {
            let missing = [
                ("staff_id", staff_id.is_none()),
                ("staff_type", staff_type.is_none()),
                ("hospital_id", hospital_id.is_none()),
            ];
            let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
            let why = "is required: the token does not say it";
            return Err(WriteError::Invalid(
                missing.map(|(field, _)| Problem::new(field, why)).collect(),
            ));
        };
        let now = core.clock.now();
        let unchanged = kept.filter(|kept| kept.available == availability.available && kept.staff_type == staff_type);
        let member = StaffMember {
            hospital_id: hospital_id.clone(),
            staff_id: staff_id.clone(),
            staff_type,
            available: availability.available,
            // Who says so again has been available since they said so first.
            updated_at: unchanged.map_or(now, |kept| kept.updated_at),
        };
        let event_id = EventId::new();
        let append = Append {
            events: vec![Arc::new(member.availability_changed(event_id, now)?)],
            changes: vec![StateChange::Staff(member.clone())],
            once: None,
        };
        core.commit(append, once.as_ref(), StaffSaved { member, event_id })
            .await
            .map(Settled::into_outcome)
    }

    /// Who is available now in a hospital, the asker's own where none is named; those longest available first.
    pub async fn available(&self, by: &Identity, hospital: Option<HospitalId>) -> Result<Vec<StaffMember>, ReadError> {
        access::check(by, Action::ReadStaff)?;
        let hospital = named_or_own(by, hospital)?;
        Ok(self.0.store.available_staff(&hospital).await?)
    }
}

/// The hospital that a read is about: the one it names, or the asker's own.
pub(super) fn named_or_own(by: &Identity, named: Option<HospitalId>) -> Result<HospitalId, ReadError> {
    let required = || {
        ReadError::Invalid(vec![Problem::new(
            "hospital_id",
            "is required: the token does not say it",
        )])
    };
    let hospital = named.or_else(|| by.hospital_id.clone()).ok_or_else(required)?;
    by.reach().check_hospital(&hospital)?;
    Ok(hospital)
}

fn staff_type_of(role: Role) -> Option<StaffType> {
    match role {
        Role::Doctor => Some(StaffType::Doctor),
        Role::Nurse => Some(StaffType::Nurse),
        Role::Staff | Role::Admin | Role::Patient | Role::Service => None,
    }
}
