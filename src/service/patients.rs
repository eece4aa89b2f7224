//! Which hospital a patient belongs to, remembered from everything that is posted.
//!
//! The latest word wins: patients are transferred. But whoever is bound to a hospital cannot move a patient who is known to
//! belong to another; that takes an administrator or service that is bound to none.

use std::time::Duration;

use moka::sync::Cache;

use super::locks::{KeyedLocks, Turn};
use super::{Core, WriteError};
use crate::domain::access::Reach;
use crate::domain::{HospitalId, PatientId};
use crate::ports::{StateChange, StoreError};

/// What is known of patients on this node; the store knows the rest.
pub(super) struct Patients {
    known: Cache<PatientId, Option<HospitalId>>,
    /// Held while a patient's hospital changes, so that what is kept in memory is what was committed last.
    moving: KeyedLocks<PatientId>,
}

/// Where a patient belongs once the request is committed.
pub(super) struct Placement {
    /// Their hospital, where anybody knows it.
    pub(super) hospital: Option<HospitalId>,
    moved: Option<Move>,
}

struct Move {
    patient: PatientId,
    hospital: HospitalId,
    turn: Turn,
}

impl Patients {
    pub(super) fn new(at_most: u64, kept_for: Duration) -> Self {
        let known = Cache::builder().max_capacity(at_most).time_to_live(kept_for).build();
        Self {
            known,
            moving: KeyedLocks::new(),
        }
    }
}

impl Placement {
    /// What the append has to keep.
    pub(super) fn change(&self) -> Option<StateChange> {
        let Move { patient, hospital, .. } = self.moved.as_ref()?;
        Some(StateChange::PatientHospital(patient.clone(), hospital.clone()))
    }
}

impl Core {
    /// The hospital that a patient is known to belong to.
    pub(super) async fn hospital_of(&self, patient: &PatientId) -> Result<Option<HospitalId>, StoreError> {
        if let Some(known) = self.patients.known.get(patient) {
            return Ok(known);
        }
        let kept = self.store.hospital_of(patient).await?;
        // Unless a change was committed while the store was read: then that is newer.
        Ok(self.patients.known.entry_by_ref(patient).or_insert(kept).into_value())
    }

    /// Decides where a patient belongs who is posted with `posted`, and whether whoever posts it may.
    pub(super) async fn place(
        &self,
        reach: &Reach,
        patient: &PatientId,
        posted: Option<&HospitalId>,
    ) -> Result<Placement, WriteError> {
        let known = self.hospital_if_known(reach, patient).await?;
        reach.check_patient(patient, known.as_ref())?;
        let Some(hospital) = posted else {
            return Ok(Placement {
                hospital: known,
                moved: None,
            });
        };
        reach.check_hospital(hospital)?;
        if known.as_ref() == Some(hospital) {
            return Ok(Placement {
                hospital: known,
                moved: None,
            });
        }

        let turn = self.patients.moving.lock(patient).await;
        let known = self.hospital_if_known(reach, patient).await?;
        reach.check_patient(patient, known.as_ref())?;
        let is_there = known.as_ref() == Some(hospital);
        let moved = (!is_there).then(|| {
            // Should whoever asks go away before the commit is answered, the store is asked again.
            self.patients.known.invalidate(patient);
            Move {
                patient: patient.clone(),
                hospital: hospital.clone(),
                turn,
            }
        });
        Ok(Placement {
            hospital: Some(hospital.clone()),
            moved,
        })
    }

    /// The same, for somebody who reaches every patient: then an alert does not wait for a store that cannot be asked.
    async fn hospital_if_known(&self, reach: &Reach, patient: &PatientId) -> Result<Option<HospitalId>, StoreError> {
        match (self.hospital_of(patient).await, reach) {
            (Err(StoreError::Unavailable(_)), Reach::Everything) => Ok(None),
            (known, _) => known,
        }
    }

    /// Notes that a placement was committed.
    pub(super) fn settle(&self, placement: Placement) {
        if let Some(Move {
            patient,
            hospital,
            turn,
        }) = placement.moved
        {
            self.patients.known.insert(patient, Some(hospital));
            drop(turn);
        }
    }
}
