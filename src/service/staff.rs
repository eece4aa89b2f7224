//! Who is on duty.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::{Outcome, Settled};
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

impl Outcome for StaffSaved {}

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

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, doctor, hospital, key, patient, person, service};
    use super::*;
    use crate::domain::access::Denied;

    const NOTHING: Availability = Availability {
        staff_id: None,
        staff_type: None,
        hospital_id: None,
        available: true,
    };

    fn staff_id(id: &str) -> StaffId {
        StaffId::parse(id).unwrap()
    }

    fn of(id: &str, available: bool) -> Availability {
        Availability {
            staff_id: Some(staff_id(id)),
            available,
            ..NOTHING
        }
    }

    #[tokio::test]
    async fn what_is_left_out_comes_from_the_token() {
        let mut stage = Stage::new();

        let saved = stage
            .services
            .staff
            .set_availability(&doctor("H1"), NOTHING, None)
            .await
            .unwrap();

        assert_eq!(saved.member.staff_id, staff_id("S1"));
        assert_eq!(saved.member.staff_type, StaffType::Doctor);
        let told = stage.told().await;
        assert_eq!(told[0].name, "staff_availability_changed");
        assert_eq!(told[0].rooms, ["hospital_H1"]);
        assert_eq!(told[0].payload["available"], true);
        assert_eq!(told[0].payload["event_id"], saved.event_id.to_string());
    }

    #[tokio::test]
    async fn what_nobody_says_is_named() {
        let stage = Stage::new();

        let refused = stage.services.staff.set_availability(&service(), NOTHING, None).await;

        let Err(WriteError::Invalid(problems)) = refused else {
            panic!("{refused:?}")
        };
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_ref()).collect();
        assert_eq!(fields, ["staff_id", "staff_type", "hospital_id"]);
    }

    #[tokio::test]
    async fn somebody_elses_type_is_the_one_that_is_kept_of_them() {
        let stage = Stage::new();
        let nurse = Availability {
            staff_type: Some(StaffType::Nurse),
            ..of("N1", true)
        };
        stage
            .services
            .staff
            .set_availability(&doctor("H1"), nurse, None)
            .await
            .unwrap();

        let saved = stage
            .services
            .staff
            .set_availability(&doctor("H1"), of("N1", false), None)
            .await
            .unwrap();

        assert_eq!(saved.member.staff_type, StaffType::Nurse);
    }

    #[tokio::test]
    async fn who_is_available_is_listed_from_the_longest_on() {
        let stage = Stage::new();
        let staff = stage.services.staff.clone();
        for (id, available) in [("A", true), ("B", true), ("C", true), ("B", false), ("A", true)] {
            staff
                .set_availability(&doctor("H1"), of(id, available), None)
                .await
                .unwrap();
            stage.advance(1);
        }
        staff
            .set_availability(&doctor("H2"), of("D", true), None)
            .await
            .unwrap();

        let available = staff.available(&doctor("H1"), None).await.unwrap();

        let ids: Vec<_> = available.iter().map(|member| member.staff_id.as_str()).collect();
        assert_eq!(ids, ["A", "C"], "saying so again does not put A behind C");
    }

    #[tokio::test]
    async fn the_same_key_is_told_once() {
        let mut stage = Stage::new();
        let staff = stage.services.staff.clone();

        let first = staff
            .set_availability(&doctor("H1"), NOTHING, Some(key("k", 1)))
            .await
            .unwrap();
        stage.advance(1);
        let second = staff
            .set_availability(&doctor("H1"), NOTHING, Some(key("k", 1)))
            .await
            .unwrap();

        assert_eq!(first, second);
        assert_eq!(stage.told().await.len(), 1);
    }

    #[tokio::test]
    async fn who_may_not_is_refused() {
        let stage = Stage::new();
        let staff = stage.services.staff.clone();
        let elsewhere = Availability {
            hospital_id: Some(hospital("H2")),
            ..of("S1", true)
        };
        let whole = Availability {
            staff_type: Some(StaffType::Nurse),
            ..elsewhere.clone()
        };

        let by_patient = staff.set_availability(&patient("P1"), whole.clone(), None).await;
        let in_other = staff.set_availability(&doctor("H1"), elsewhere, None).await;
        let without_hospital = staff.set_availability(&person(Role::Nurse, None), whole, None).await;

        assert!(matches!(by_patient, Err(WriteError::Denied(Denied::Role))));
        assert!(matches!(in_other, Err(WriteError::Denied(Denied::Hospital))));
        assert!(matches!(without_hospital, Err(WriteError::Denied(Denied::Hospital))));
        assert!(matches!(
            staff.available(&patient("P1"), None).await,
            Err(ReadError::Denied(Denied::Role))
        ));
        let of_other = staff.available(&doctor("H1"), Some(hospital("H2"))).await;
        assert!(matches!(of_other, Err(ReadError::Denied(Denied::Hospital))));
        let of_nobody = staff.available(&service(), None).await;
        assert!(matches!(of_nobody, Err(ReadError::Invalid(problems)) if problems[0].field == "hospital_id"));
    }
}
