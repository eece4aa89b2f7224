//! Who may join which room, and who may see how full they are.

use std::sync::Arc;

use super::Core;
use crate::domain::access::{self, Action, Denied, Identity, Reach};
use crate::domain::{HospitalId, Room};
use crate::ports::StoreError;

/// Rooms.
#[derive(Clone)]
pub struct Rooms(pub(super) Arc<Core>);

impl Rooms {
    /// Whether they may join this room now.
    pub async fn may_join(&self, by: &Identity, room: &Room) -> Result<bool, StoreError> {
        let known = match by.reach() {
            // The table asks whose it is only where that could make a difference.
            Reach::Everything | Reach::Patient(_) => None,
            Reach::Hospital(_) | Reach::Unassigned => self.hospital_of(room).await?,
        };
        Ok(access::may_join(by, room, known.as_ref()))
    }

    async fn hospital_of(&self, room: &Room) -> Result<Option<HospitalId>, StoreError> {
        match room {
            Room::Patient(patient) => self.0.hospital_of(patient).await,
            Room::Triage(id) => match self.0.store.triage_case(id).await? {
                None => Ok(None),
                Some(case) => match (case.hospital_id, case.patient_id) {
                    (Some(hospital), _) => Ok(Some(hospital)),
                    (None, Some(patient)) => self.0.hospital_of(&patient).await,
                    (None, None) => Ok(None),
                },
            },
            Room::Hospital(_) | Room::TriageQueue => Ok(None),
        }
    }

    /// Whether they may see who is connected (`GET /api/status/socket`).
    pub fn may_see_status(&self, by: &Identity) -> Result<(), Denied> {
        access::check(by, Action::ReadStatus)
    }
}
