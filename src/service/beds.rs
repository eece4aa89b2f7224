//! Beds, and telling a hospital when it or a ward of it is full.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::{Outcome, Settled};
use super::patients::Placement;
use super::staff::named_or_own;
use super::{Change, Core, DECISIONS, Problem, ReadError, WriteError};
use crate::domain::access::{self, Action, Identity, Reach};
use crate::domain::bed::{Bed, BedStatus, Floor};
use crate::domain::{BedId, EventId, FreeForm, HospitalId, PatientId, WardName};
use crate::ports::{Append, StateChange};

/// `PUT` and `PATCH /api/beds/{bed_id}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BedChange {
    /// Whose bed it is. Where left out: the asker's hospital, else the only hospital with a bed of that id.
    pub hospital_id: Option<HospitalId>,
    /// Its state.
    pub status: Option<BedStatus>,
    /// Who lies in it or is expected. Where left out, a bed that becomes free, dirty or broken loses its patient.
    pub patient_id: Change<PatientId>,
    /// Where it stands.
    pub ward: Change<WardName>,
    /// On which floor.
    pub floor: Change<Floor>,
    /// Whatever else the backend keeps with it, field by field; `null` takes a field away.
    pub extra: FreeForm,
}

/// A bed was kept and told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BedSaved {
    /// The bed as it is now.
    pub bed: Bed,
    /// The id of the `bed_status_changed` that told it.
    pub event_id: EventId,
    /// Whether it was not known before.
    pub is_new: bool,
    /// The `capacity` alerts that followed.
    pub capacity_alerts: Vec<EventId>,
}

impl Outcome for BedSaved {}

/// Beds.
#[derive(Clone)]
pub struct Beds(pub(super) Arc<Core>);

impl Beds {
    /// Changes a bed, or notes a new one (`PUT`): then `status` and a hospital must be there.
    pub async fn put(&self, by: &Identity, id: BedId, change: BedChange) -> Result<BedSaved, WriteError> {
        self.change(by, id, change, true).await
    }

    /// Changes a bed (`PATCH`); one that is not there is not found.
    pub async fn patch(&self, by: &Identity, id: BedId, change: BedChange) -> Result<BedSaved, WriteError> {
        self.change(by, id, change, false).await
    }

    async fn change(
        &self,
        by: &Identity,
        id: BedId,
        change: BedChange,
        may_open: bool,
    ) -> Result<BedSaved, WriteError> {
        access::check(by, Action::WriteBeds)?;
        let reach = by.reach();
        let hospital = self.hospital_of(by, &id, change.hospital_id.clone(), may_open).await?;
        reach.check_hospital(&hospital)?;

        let turn = self.0.boards.lock(&hospital).await;
        for _ in 0..DECISIONS {
            match self.decide(&reach, &hospital, &id, change.clone(), may_open).await {
                Err(WriteError::Contended) => {}
                decided => return decided,
            }
        }
        drop(turn);
        Err(WriteError::Contended)
    }

    /// Whose bed is meant.
    async fn hospital_of(
        &self,
        by: &Identity,
        id: &BedId,
        named: Option<HospitalId>,
        may_open: bool,
    ) -> Result<HospitalId, WriteError> {
        if let Some(hospital) = named.or_else(|| by.hospital_id.clone()) {
            return Ok(hospital);
        }
        let mut named = self.0.store.beds_named(id).await?.into_iter();
        match (named.next(), named.next()) {
            (Some(bed), None) => Ok(bed.hospital_id),
            (None, _) if !may_open => Err(WriteError::NotFound),
            (None, _) => Err(WriteError::Invalid(vec![Problem::new(
                "hospital_id",
                "is required for a new bed",
            )])),
            (Some(_), Some(_)) => {
                let why = "is required: more than one hospital has a bed of this id";
                Err(WriteError::Invalid(vec![Problem::new("hospital_id", why)]))
            }
        }
    }

    async fn decide(
        &self,
        reach: &Reach,
        hospital: &HospitalId,
        id: &BedId,
        change: BedChange,
        may_open: bool,
    ) -> Result<BedSaved, WriteError> {
        let core = &self.0;
        // The board first: should the bed change in between, the board has moved on and the commit is refused.
        let board = core.store.bed_board(hospital).await?;
        let kept = core
            .store
            .beds_named(id)
            .await?
            .into_iter()
            .find(|bed| bed.hospital_id == *hospital);
        if kept.is_none() && !may_open {
            return Err(WriteError::NotFound);
        }
        let placement = match &change.patient_id {
            Change::Set(patient) => Some(core.place(reach, patient, Some(hospital)).await?),
            Change::Keep | Change::Clear => None,
        };

        let bed = self.changed(hospital, id, kept.as_ref(), change)?;
        let board_change = board.change(kept.as_ref(), &bed, core.settings.capacity);
        let event_id = EventId::new();
        let mut events = vec![Arc::new(bed.changed(event_id)?)];
        let mut capacity_alerts = Vec::new();
        for crossing in &board_change.crossings {
            let alert_id = EventId::new();
            events.push(Arc::new(crossing.alert(alert_id, hospital, bed.updated_at)?));
            capacity_alerts.push(alert_id);
        }
        let saved = StateChange::Bed {
            bed: bed.clone(),
            expected: board.revision,
            raised: board_change.raised,
        };
        let moved = placement.as_ref().and_then(Placement::change);
        let append = Append {
            events,
            changes: moved.into_iter().chain([saved]).collect(),
            once: None,
        };
        let outcome = BedSaved {
            bed,
            event_id,
            is_new: kept.is_none(),
            capacity_alerts,
        };
        let settled = core.commit(append, None, outcome).await?;
        if let (Settled::Now(_), Some(placement)) = (&settled, placement) {
            core.settle(placement);
        }
        Ok(settled.into_outcome())
    }

    /// The bed as it shall be.
    fn changed(
        &self,
        hospital: &HospitalId,
        id: &BedId,
        kept: Option<&Bed>,
        change: BedChange,
    ) -> Result<Bed, WriteError> {
        let missing = || WriteError::Invalid(vec![Problem::new("status", "is required for a new bed")]);
        let status = change.status.or(kept.map(|bed| bed.status)).ok_or_else(missing)?;
        // A bed that is said to be free, dirty or broken has lost its patient, whether that is said or not.
        let is_emptied = change.status.is_some_and(|status| !status.has_patient());
        let kept_patient = kept.and_then(|bed| bed.patient_id.clone()).filter(|_| !is_emptied);
        let mut extra = kept.map(|bed| bed.extra.clone()).unwrap_or_default();
        extra.merge(change.extra.without(&Bed::RESERVED));
        Ok(Bed {
            bed_id: id.clone(),
            hospital_id: hospital.clone(),
            status,
            patient_id: change.patient_id.over(kept_patient),
            ward: change.ward.over(kept.and_then(|bed| bed.ward.clone())),
            floor: change.floor.over(kept.and_then(|bed| bed.floor.clone())),
            extra,
            updated_at: kept.map_or_else(|| self.0.clock.now(), |bed| self.0.now_after(bed.updated_at)),
        })
    }

    /// A hospital's beds, the asker's own where none is named; by ward and id.
    pub async fn list(&self, by: &Identity, hospital: Option<HospitalId>) -> Result<Vec<Bed>, ReadError> {
        access::check(by, Action::ReadBeds)?;
        let hospital = named_or_own(by, hospital)?;
        Ok(self.0.store.beds(&hospital).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, doctor, form, hospital, patient, patient_id, person, service};
    use super::*;
    use crate::domain::access::{Denied, Role};

    fn bed_id(id: &str) -> BedId {
        BedId::parse(id).unwrap()
    }

    fn ward(name: &str) -> WardName {
        WardName::try_from(name.to_owned()).unwrap()
    }

    fn to(status: BedStatus) -> BedChange {
        BedChange {
            status: Some(status),
            ..BedChange::default()
        }
    }

    #[tokio::test]
    async fn a_bed_is_kept_and_told() {
        let mut stage = Stage::new();
        let change = BedChange {
            patient_id: Change::Set(patient_id("P1")),
            ward: Change::Set(ward("ICU 2")),
            floor: Change::Set(Floor::Number(3)),
            extra: form(r#"{"isolation":true,"bed_id":"B9"}"#),
            ..to(BedStatus::Occupied)
        };

        let saved = stage
            .services
            .beds
            .put(&doctor("H1"), bed_id("B1"), change)
            .await
            .unwrap();

        assert!(saved.is_new);
        let told = stage.told().await;
        assert_eq!(told[0].name, "bed_status_changed");
        assert_eq!(told[0].rooms, ["hospital_H1"]);
        let expected = serde_json::json!({
            "bed_id": "B1", "status": "occupied", "patient_id": "P1", "ward": "ICU 2", "floor": 3, "isolation": true,
        });
        assert_eq!(told[0].payload["bed_info"], expected);
        assert_eq!(
            stage.services.beds.list(&doctor("H1"), None).await.unwrap(),
            [saved.bed]
        );
        assert_eq!(
            stage.store.hospital_of(&patient_id("P1")).await.unwrap(),
            Some(hospital("H1"))
        );
    }

    #[tokio::test]
    async fn a_change_leaves_the_rest_and_an_emptied_bed_loses_its_patient() {
        let stage = Stage::new();
        let beds = stage.services.beds.clone();
        let whole = BedChange {
            patient_id: Change::Set(patient_id("P1")),
            ward: Change::Set(ward("ICU 2")),
            extra: form(r#"{"a":1}"#),
            ..to(BedStatus::Reserved)
        };
        beds.put(&doctor("H1"), bed_id("B1"), whole).await.unwrap();

        let occupied = beds
            .patch(&doctor("H1"), bed_id("B1"), to(BedStatus::Occupied))
            .await
            .unwrap();
        let emptied = beds
            .put(&doctor("H1"), bed_id("B1"), to(BedStatus::Cleaning))
            .await
            .unwrap();

        assert_eq!(occupied.bed.patient_id, Some(patient_id("P1")));
        assert_eq!(emptied.bed.patient_id, None);
        assert_eq!(emptied.bed.ward, Some(ward("ICU 2")));
        assert_eq!(emptied.bed.extra, form(r#"{"a":1}"#));
        assert!(!emptied.is_new);
    }

    #[tokio::test]
    async fn capacity_is_told_once_on_the_way_up_and_once_on_the_way_down() {
        let mut stage = Stage::new();
        let beds = stage.services.beds.clone();
        let set = async |id: usize, status| {
            beds.put(&doctor("H1"), bed_id(&format!("B{id}")), to(status))
                .await
                .unwrap()
                .capacity_alerts
                .len()
        };
        for id in 0..20 {
            set(id, BedStatus::Available).await;
        }
        for id in 0..17 {
            assert_eq!(set(id, BedStatus::Occupied).await, 0, "{id}");
        }
        stage.told().await;

        let alerts = [
            set(17, BedStatus::Occupied).await,
            set(18, BedStatus::Occupied).await,
            set(18, BedStatus::Available).await,
            set(17, BedStatus::Available).await,
            set(16, BedStatus::Available).await,
        ];

        assert_eq!(alerts, [1, 0, 0, 0, 1]);
        let told: Vec<_> = stage
            .told()
            .await
            .into_iter()
            .filter(|told| told.name == "hospital_alert")
            .collect();
        let seen: Vec<_> = told
            .iter()
            .map(|told| (&told.payload["alert_type"], &told.payload["state"]))
            .collect();
        assert_eq!(
            seen,
            [
                (&"capacity".into(), &"reached".into()),
                (&"capacity".into(), &"available".into())
            ]
        );
        assert_eq!(
            told[0].payload["message"],
            "Capacity reached: 18 of 20 beds taken (90 %)"
        );
    }

    #[tokio::test]
    async fn what_is_raised_stays_raised_over_a_restart() {
        let stage = Stage::new();
        stage
            .services
            .beds
            .put(&doctor("H1"), bed_id("B1"), to(BedStatus::Occupied))
            .await
            .unwrap();

        let stage = stage.restarted();

        let again = stage
            .services
            .beds
            .put(&doctor("H1"), bed_id("B1"), to(BedStatus::Occupied))
            .await
            .unwrap();
        let freed = stage
            .services
            .beds
            .put(&doctor("H1"), bed_id("B1"), to(BedStatus::Available))
            .await
            .unwrap();
        assert_eq!((again.capacity_alerts.len(), freed.capacity_alerts.len()), (0, 1));
    }

    #[tokio::test]
    async fn beds_that_fill_all_at_once_are_told_as_full_once() {
        let mut stage = Stage::new();
        let beds = stage.services.beds.clone();
        for id in 0..20 {
            beds.put(&doctor("H1"), bed_id(&format!("B{id}")), to(BedStatus::Available))
                .await
                .unwrap();
        }
        stage.told().await;

        let filling: Vec<_> = (0..20)
            .map(|id| {
                let beds = beds.clone();
                tokio::spawn(async move {
                    beds.patch(&doctor("H1"), bed_id(&format!("B{id}")), to(BedStatus::Occupied))
                        .await
                })
            })
            .collect();
        for filled in filling {
            filled.await.unwrap().unwrap();
        }

        let names = stage.told_names().await;
        assert_eq!(names.iter().filter(|name| *name == "bed_status_changed").count(), 20);
        assert_eq!(names.iter().filter(|name| *name == "hospital_alert").count(), 1);
    }

    #[tokio::test]
    async fn whose_bed_is_meant_must_be_clear() {
        let stage = Stage::new();
        let beds = stage.services.beds.clone();
        let in_hospital = |id| BedChange {
            hospital_id: Some(hospital(id)),
            ..to(BedStatus::Available)
        };
        let field = |refused: Result<BedSaved, WriteError>| match refused {
            Err(WriteError::Invalid(problems)) => problems[0].field.to_string(),
            other => panic!("{other:?}"),
        };

        assert_eq!(
            field(beds.put(&service(), bed_id("B1"), to(BedStatus::Available)).await),
            "hospital_id"
        );
        assert!(matches!(
            beds.patch(&service(), bed_id("B1"), to(BedStatus::Available)).await,
            Err(WriteError::NotFound)
        ));
        assert!(matches!(
            beds.patch(&service(), bed_id("B1"), in_hospital("H1")).await,
            Err(WriteError::NotFound)
        ));
        beds.put(&service(), bed_id("B1"), in_hospital("H1")).await.unwrap();
        assert!(
            beds.patch(&service(), bed_id("B1"), to(BedStatus::Cleaning))
                .await
                .is_ok(),
            "there is only one"
        );
        beds.put(&service(), bed_id("B1"), in_hospital("H2")).await.unwrap();
        assert_eq!(
            field(beds.patch(&service(), bed_id("B1"), to(BedStatus::Cleaning)).await),
            "hospital_id"
        );
        let no_status = BedChange {
            hospital_id: Some(hospital("H1")),
            ..BedChange::default()
        };
        assert_eq!(field(beds.put(&service(), bed_id("B2"), no_status).await), "status");
    }

    #[tokio::test]
    async fn who_may_not_write_is_refused() {
        let mut stage = Stage::new();
        stage.place("P2", "H2").await;
        let beds = stage.services.beds.clone();
        let elsewhere = BedChange {
            hospital_id: Some(hospital("H2")),
            ..to(BedStatus::Available)
        };
        let with_theirs = BedChange {
            patient_id: Change::Set(patient_id("P2")),
            ..to(BedStatus::Occupied)
        };

        let refusals = [
            beds.put(&patient("P1"), bed_id("B1"), elsewhere.clone()).await,
            beds.put(&doctor("H1"), bed_id("B1"), elsewhere.clone()).await,
            beds.put(&doctor("H1"), bed_id("B1"), with_theirs).await,
            beds.patch(&person(Role::Nurse, None), bed_id("B1"), elsewhere).await,
        ];

        for refusal in refusals {
            assert!(matches!(refusal, Err(WriteError::Denied(_))), "{refusal:?}");
        }
        assert!(stage.told().await.is_empty());
        let of_other = beds.list(&doctor("H1"), Some(hospital("H2"))).await;
        assert!(matches!(of_other, Err(ReadError::Denied(Denied::Hospital))));
    }
}
