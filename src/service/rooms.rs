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

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, doctor, patient, patient_id, person, service};
    use super::super::{NewTriage, PatientAlert};
    use super::*;
    use crate::domain::access::Role;
    use crate::domain::alert::PatientAlertType;
    use crate::domain::triage::TriageStatus;
    use crate::domain::{FreeForm, TriageId};

    async fn may(stage: &Stage, by: &Identity, room: &str) -> bool {
        stage.services.rooms.may_join(by, &room.parse().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_patients_room_follows_the_patient_from_hospital_to_hospital() {
        let mut stage = Stage::new();
        assert!(
            may(&stage, &doctor("H1"), "patient_P1").await,
            "nobody knows the patient yet"
        );

        stage.place("P1", "H1").await;
        assert!(may(&stage, &doctor("H1"), "patient_P1").await);
        assert!(!may(&stage, &doctor("H2"), "patient_P1").await);
        assert!(!may(&stage, &person(Role::Nurse, None), "patient_P1").await);

        stage.place("P1", "H2").await;
        assert!(!may(&stage, &doctor("H1"), "patient_P1").await);
        assert!(may(&stage, &doctor("H2"), "patient_P1").await);
        assert!(
            may(&stage, &patient("P1"), "patient_P1").await,
            "patients go with themselves"
        );
    }

    #[tokio::test]
    async fn what_is_known_of_a_patient_survives_a_restart() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;

        let stage = stage.restarted();

        assert!(!may(&stage, &doctor("H2"), "patient_P1").await);
        assert!(may(&stage, &doctor("H1"), "patient_P1").await);
    }

    #[tokio::test]
    async fn a_refused_post_teaches_nothing_about_a_patient() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let grab = PatientAlert {
            patient_id: patient_id("P1"),
            hospital_id: Some(super::super::stage::hospital("H2")),
            alert_type: PatientAlertType::Info,
            alert_data: FreeForm::default(),
        };

        stage
            .services
            .alerts
            .raise_for_patient(&doctor("H2"), grab, None)
            .await
            .unwrap_err();

        assert!(!may(&stage, &doctor("H2"), "patient_P1").await);
    }

    #[tokio::test]
    async fn a_case_is_followed_in_its_hospital() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let case = NewTriage {
            triage_id: Some(TriageId::parse("T1").unwrap()),
            patient_id: Some(patient_id("P1")),
            hospital_id: None,
            status: TriageStatus::Pending,
            extra: FreeForm::default(),
        };
        stage.services.triage.open(&service(), case, None).await.unwrap();

        assert!(may(&stage, &doctor("H1"), "triage_T1").await);
        assert!(!may(&stage, &doctor("H2"), "triage_T1").await);
        assert!(may(&stage, &doctor("H2"), "triage_T2").await, "nobody knows that case");
        assert!(may(&stage, &doctor("H2"), "triage_queue").await);
        assert!(!may(&stage, &patient("P1"), "triage_T1").await);
    }

    #[tokio::test]
    async fn patients_do_not_see_who_is_connected() {
        let stage = Stage::new();

        assert_eq!(stage.services.rooms.may_see_status(&doctor("H1")), Ok(()));
        assert_eq!(stage.services.rooms.may_see_status(&patient("P1")), Err(Denied::Role));
    }
}
