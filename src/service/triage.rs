//! Triage cases: opened, moved on, listed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::{Outcome, Settled};
use super::patients::Placement;
use super::{Change, Core, DECISIONS, OnceKey, Problem, ReadError, WriteError};
use crate::domain::access::{self, Action, Denied, Identity, Reach};
use crate::domain::triage::{TriageCase, TriageStatus};
use crate::domain::{EventId, FreeForm, HospitalId, PatientId, Timestamp, TriageId};
use crate::ports::{Append, StateChange, TriageFilter, TriageHospital};

/// `POST /api/triage`.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTriage {
    /// The backend's id; a UUIDv7 of ours where it gave none.
    pub triage_id: Option<TriageId>,
    /// Who is waiting; `None` for somebody whom nobody knows yet (`null` in the request).
    pub patient_id: Option<PatientId>,
    /// Where: the patient's hospital or the asker's where it is left out.
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: TriageStatus,
    /// Whatever else the backend keeps with it.
    pub extra: FreeForm,
}

/// `PUT` and `PATCH /api/triage/{triage_id}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TriageChange {
    /// Who is waiting.
    pub patient_id: Change<PatientId>,
    /// Where.
    pub hospital_id: Option<HospitalId>,
    /// How far the case has come.
    pub status: Option<TriageStatus>,
    /// Whatever else the backend keeps with it, field by field; `null` takes a field away.
    pub extra: FreeForm,
}

/// `GET /api/triage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriageRequest {
    /// Of this hospital.
    pub hospital_id: Option<HospitalId>,
    /// Of this patient.
    pub patient_id: Option<PatientId>,
    /// In this state.
    pub status: Option<TriageStatus>,
    /// At most this many.
    pub limit: usize,
}

/// A triage case was kept and told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriageSaved {
    /// The case as it is now.
    pub case: TriageCase,
    /// The id of the `triage_updated` that told it.
    pub event_id: EventId,
    /// Whether it was opened by this request.
    pub is_new: bool,
}

impl Outcome for TriageSaved {}

/// Triage cases.
#[derive(Clone)]
pub struct Triage(pub(super) Arc<Core>);

impl Triage {
    /// Opens a case; its hospital is told too.
    ///
    /// # Errors
    /// [`WriteError::AlreadyExists`] where there is a case of that id.
    pub async fn open(&self, by: &Identity, case: NewTriage, once: Option<OnceKey>) -> Result<TriageSaved, WriteError> {
        access::check(by, Action::WriteTriage)?;
        match self.insert(&by.reach(), case, once.as_ref()).await {
            // Nothing else can be in the way of a case that expects nothing.
            Err(WriteError::Contended) => Err(WriteError::AlreadyExists),
            outcome => outcome,
        }
    }

    /// Moves a case on, or opens it under this id (`PUT`): then `status` and `patient_id` must be there.
    pub async fn put(&self, by: &Identity, id: TriageId, change: TriageChange) -> Result<TriageSaved, WriteError> {
        access::check(by, Action::WriteTriage)?;
        self.change(by, id, change, true).await
    }

    /// Moves a case on (`PATCH`); one that is not there is not found.
    pub async fn patch(&self, by: &Identity, id: TriageId, change: TriageChange) -> Result<TriageSaved, WriteError> {
        access::check(by, Action::WriteTriage)?;
        self.change(by, id, change, false).await
    }

    async fn change(
        &self,
        by: &Identity,
        id: TriageId,
        change: TriageChange,
        may_open: bool,
    ) -> Result<TriageSaved, WriteError> {
        let reach = by.reach();
        for _ in 0..DECISIONS {
            let decided = match self.0.store.triage_case(&id).await? {
                Some(kept) => self.replace(&reach, kept, change.clone()).await,
                None if may_open => self.insert(&reach, change.clone().into_new(id.clone())?, None).await,
                None => return Err(WriteError::NotFound),
            };
            match decided {
                Err(WriteError::Contended) => {}
                decided => return decided,
            }
        }
        Err(WriteError::Contended)
    }

    async fn insert(&self, reach: &Reach, new: NewTriage, once: Option<&OnceKey>) -> Result<TriageSaved, WriteError> {
        let core = &self.0;
        let (placement, known) = self
            .place(reach, new.patient_id.as_ref(), new.hospital_id.as_ref())
            .await?;
        let now = core.clock.now();
        let case = TriageCase {
            triage_id: match new.triage_id {
                Some(id) => id,
                None => assigned_id()?,
            },
            patient_id: new.patient_id,
            hospital_id: new.hospital_id.or(known).or_else(|| reach.own_hospital().cloned()),
            status: new.status,
            extra: new.extra.without(&TriageCase::RESERVED),
            created_at: now,
            updated_at: now,
        };
        self.save(case, None, placement, once).await
    }

    async fn replace(&self, reach: &Reach, kept: TriageCase, change: TriageChange) -> Result<TriageSaved, WriteError> {
        reach.check_belonging(kept.hospital_id.as_ref())?;
        let patient_id = change.patient_id.clone().over(kept.patient_id);
        // A case of a patient who was transferred meanwhile can still be moved on: only who names the patient or the
        // hospital says something about where the patient belongs.
        let says_where = change.hospital_id.is_some() || change.patient_id != Change::Keep;
        let placed = patient_id.as_ref().filter(|_| says_where);
        let (placement, known) = self.place(reach, placed, change.hospital_id.as_ref()).await?;

        let mut extra = kept.extra;
        extra.merge(change.extra.without(&TriageCase::RESERVED));
        let case = TriageCase {
            triage_id: kept.triage_id,
            patient_id,
            hospital_id: change.hospital_id.or(kept.hospital_id).or(known),
            status: change.status.unwrap_or(kept.status),
            extra,
            created_at: kept.created_at,
            updated_at: self.0.now_after(kept.updated_at),
        };
        self.save(case, Some(kept.updated_at), placement, None).await
    }

    /// Where the patient belongs from now on, and what is known of it.
    async fn place(
        &self,
        reach: &Reach,
        patient: Option<&PatientId>,
        posted: Option<&HospitalId>,
    ) -> Result<(Option<Placement>, Option<HospitalId>), WriteError> {
        if let Some(patient) = patient {
            let placement = self.0.place(reach, patient, posted).await?;
            let known = placement.hospital.clone();
            return Ok((Some(placement), known));
        }
        if let Some(hospital) = posted {
            reach.check_hospital(hospital)?;
        }
        Ok((None, None))
    }

    async fn save(
        &self,
        case: TriageCase,
        expected: Option<Timestamp>,
        placement: Option<Placement>,
        once: Option<&OnceKey>,
    ) -> Result<TriageSaved, WriteError> {
        let is_new = expected.is_none();
        let event_id = EventId::new();
        let mut events = vec![Arc::new(case.updated(event_id)?)];
        if is_new {
            events.extend(case.opened(EventId::new())?.map(Arc::new));
        }
        let moved = placement.as_ref().and_then(Placement::change);
        let saved = StateChange::Triage {
            case: case.clone(),
            expected,
        };
        let append = Append {
            events,
            changes: moved.into_iter().chain([saved]).collect(),
            once: None,
        };
        let settled = self
            .0
            .commit(append, once, TriageSaved { case, event_id, is_new })
            .await?;
        if let (Settled::Now(_), Some(placement)) = (&settled, placement) {
            self.0.settle(placement);
        }
        Ok(settled.into_outcome())
    }

    /// One case. A case that they may not see is not found.
    pub async fn case(&self, by: &Identity, id: &TriageId) -> Result<TriageCase, ReadError> {
        access::check(by, Action::ReadTriage)?;
        let case = self.0.store.triage_case(id).await?.ok_or(ReadError::NotFound)?;
        by.reach()
            .check_belonging(case.hospital_id.as_ref())
            .or(Err(ReadError::NotFound))?;
        Ok(case)
    }

    /// Cases, the one that waits longest first, as far as they may be seen. Without a hospital: the asker's own, and those
    /// that belong to none, which nobody else would see.
    pub async fn list(&self, by: &Identity, request: TriageRequest) -> Result<Vec<TriageCase>, ReadError> {
        access::check(by, Action::ReadTriage)?;
        let reach = by.reach();
        let hospital = match (request.hospital_id, &reach) {
            (_, Reach::Patient(_)) => return Err(Denied::Role.into()),
            (Some(hospital), _) => {
                reach.check_hospital(&hospital)?;
                TriageHospital::Only(hospital)
            }
            (None, Reach::Everything) => TriageHospital::Any,
            (None, Reach::Hospital(own)) => TriageHospital::OrNone(own.clone()),
            (None, Reach::Unassigned) => TriageHospital::None,
        };
        let filter = TriageFilter {
            hospital,
            patient_id: request.patient_id,
            status: request.status,
            limit: request.limit,
        };
        Ok(self.0.store.triage_cases(&filter).await?)
    }
}

impl TriageChange {
    /// The case that this opens, where there is none yet.
    fn into_new(self, id: TriageId) -> Result<NewTriage, WriteError> {
        let mut problems = Vec::new();
        if self.status.is_none() {
            problems.push(Problem::new("status", "is required for a new case"));
        }
        if self.patient_id == Change::Keep {
            problems.push(Problem::new(
                "patient_id",
                "is required for a new case; null if nobody knows who it is",
            ));
        }
        match self.status {
            Some(status) if problems.is_empty() => Ok(NewTriage {
                triage_id: Some(id),
                patient_id: self.patient_id.over(None),
                hospital_id: self.hospital_id,
                status,
                extra: self.extra,
            }),
            Some(_) | None => Err(WriteError::Invalid(problems)),
        }
    }
}

/// A UUIDv7, which sorts by time as events do.
fn assigned_id() -> Result<TriageId, WriteError> {
    let unusable = |_| WriteError::Invalid(vec![Problem::new("triage_id", "could not be assigned; send one")]);
    TriageId::parse(&EventId::new().to_string()).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, doctor, form, hospital, key, patient, patient_id, person, service};
    use super::*;
    use crate::domain::access::Role;

    fn triage_id(id: &str) -> TriageId {
        TriageId::parse(id).unwrap()
    }

    fn new_case(id: &str) -> NewTriage {
        NewTriage {
            triage_id: Some(triage_id(id)),
            patient_id: Some(patient_id("P1")),
            hospital_id: Some(hospital("H1")),
            status: TriageStatus::Pending,
            extra: form(r#"{"urgency":2}"#),
        }
    }

    fn to(status: TriageStatus) -> TriageChange {
        TriageChange {
            status: Some(status),
            ..TriageChange::default()
        }
    }

    #[tokio::test]
    async fn a_new_case_is_told_to_queue_case_patient_and_hospital() {
        let mut stage = Stage::new();

        let saved = stage
            .services
            .triage
            .open(&service(), new_case("T1"), None)
            .await
            .unwrap();

        assert!(saved.is_new);
        let told = stage.told().await;
        assert_eq!(told[0].name, "triage_updated");
        assert_eq!(told[0].rooms, ["triage_T1", "patient_P1", "triage_queue"]);
        assert_eq!(told[0].payload["status"], "pending");
        assert_eq!(told[1].name, "hospital_alert");
        assert_eq!(told[1].rooms, ["hospital_H1"]);
        assert_eq!(told[1].payload["alert_type"], "info");
        assert_eq!(
            stage
                .services
                .triage
                .case(&doctor("H1"), &triage_id("T1"))
                .await
                .unwrap(),
            saved.case
        );
    }

    #[tokio::test]
    async fn a_case_without_an_id_gets_one_and_the_hospital_of_its_patient() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let case = NewTriage {
            triage_id: None,
            hospital_id: None,
            ..new_case("T1")
        };

        let saved = stage.services.triage.open(&service(), case, None).await.unwrap();

        assert_eq!(saved.case.triage_id.as_str().len(), 36);
        assert_eq!(saved.case.hospital_id, Some(hospital("H1")));
    }

    #[tokio::test]
    async fn an_id_that_is_taken_is_refused_and_a_repetition_is_answered() {
        let mut stage = Stage::new();
        let triage = stage.services.triage.clone();
        let first = triage
            .open(&service(), new_case("T1"), Some(key("k", 1)))
            .await
            .unwrap();
        stage.told().await;

        let again = triage
            .open(&service(), new_case("T1"), Some(key("k", 1)))
            .await
            .unwrap();
        let taken = triage.open(&service(), new_case("T1"), None).await;

        assert_eq!(again, first);
        assert!(matches!(taken, Err(WriteError::AlreadyExists)));
        assert!(stage.told().await.is_empty());
    }

    #[tokio::test]
    async fn a_change_leaves_the_rest_as_it_is() {
        let mut stage = Stage::new();
        let triage = stage.services.triage.clone();
        triage.open(&service(), new_case("T1"), None).await.unwrap();
        stage.told().await;
        stage.advance(5);
        let change = TriageChange {
            extra: form(r#"{"room":"3","urgency":null}"#),
            ..to(TriageStatus::Triaged)
        };

        let saved = triage.patch(&doctor("H1"), triage_id("T1"), change).await.unwrap();

        assert!(!saved.is_new);
        assert_eq!(saved.case.status, TriageStatus::Triaged);
        assert_eq!(saved.case.patient_id, Some(patient_id("P1")));
        assert_eq!(saved.case.extra, form(r#"{"room":"3"}"#));
        assert!(saved.case.updated_at > saved.case.created_at);
        assert_eq!(
            stage.told_names().await,
            ["triage_updated"],
            "the hospital hears of new cases only"
        );
    }

    #[tokio::test]
    async fn put_opens_a_case_that_is_not_there_and_patch_does_not() {
        let mut stage = Stage::new();
        let triage = stage.services.triage.clone();
        let whole = TriageChange {
            patient_id: Change::Clear,
            hospital_id: Some(hospital("H1")),
            ..to(TriageStatus::Assigned)
        };

        let patched = triage.patch(&service(), triage_id("T1"), whole.clone()).await;
        let incomplete = triage.put(&service(), triage_id("T1"), TriageChange::default()).await;
        let put = triage.put(&service(), triage_id("T1"), whole).await.unwrap();

        assert!(matches!(patched, Err(WriteError::NotFound)));
        let Err(WriteError::Invalid(problems)) = incomplete else {
            panic!("{incomplete:?}")
        };
        assert_eq!(
            problems
                .iter()
                .map(|problem| problem.field.as_ref())
                .collect::<Vec<_>>(),
            ["status", "patient_id"]
        );
        assert!(put.is_new);
        assert_eq!(stage.told_names().await, ["triage_updated", "hospital_alert"]);
    }

    #[tokio::test]
    async fn changes_at_the_same_instant_lose_nothing() {
        let stage = Stage::new();
        let triage = stage.services.triage.clone();
        triage.open(&service(), new_case("T1"), None).await.unwrap();

        let changes = ["a", "b", "c", "d"].map(|name| {
            let triage = triage.clone();
            let extra = form(&format!(r#"{{"{name}":1}}"#));
            tokio::spawn(async move {
                triage
                    .patch(
                        &service(),
                        triage_id("T1"),
                        TriageChange {
                            extra,
                            ..TriageChange::default()
                        },
                    )
                    .await
            })
        });
        for change in changes {
            change.await.unwrap().unwrap();
        }

        let case = triage.case(&service(), &triage_id("T1")).await.unwrap();
        for name in ["a", "b", "c", "d", "urgency"] {
            assert!(case.extra.field(name).is_some(), "{name}: {:?}", case.extra);
        }
    }

    #[tokio::test]
    async fn fields_of_the_server_cannot_be_smuggled_in() {
        let stage = Stage::new();
        let case = NewTriage {
            extra: form(r#"{"created_at":"x","status":"y","note":1}"#),
            ..new_case("T1")
        };

        let saved = stage.services.triage.open(&service(), case, None).await.unwrap();

        assert_eq!(saved.case.extra, form(r#"{"note":1}"#));
    }

    #[tokio::test]
    async fn lists_show_ones_own_hospital_and_what_belongs_to_none() {
        let stage = Stage::new();
        let triage = stage.services.triage.clone();
        for (id, patient, hospital_id) in [
            ("T1", "P1", Some(hospital("H1"))),
            ("T2", "P2", Some(hospital("H2"))),
            ("T3", "P3", None),
        ] {
            let case = NewTriage {
                patient_id: Some(patient_id(patient)),
                hospital_id,
                ..new_case(id)
            };
            triage.open(&service(), case, None).await.unwrap();
            stage.advance(1);
        }
        let all = || TriageRequest {
            limit: 100,
            ..TriageRequest::default()
        };
        let ids = async |by: &Identity, request| {
            let cases = triage.list(by, request).await?;
            Ok::<_, ReadError>(
                cases
                    .iter()
                    .map(|case| case.triage_id.to_string())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };

        assert_eq!(ids(&service(), all()).await.unwrap(), "T1 T2 T3");
        assert_eq!(ids(&doctor("H1"), all()).await.unwrap(), "T1 T3");
        assert_eq!(ids(&person(Role::Nurse, None), all()).await.unwrap(), "T3");
        let of_other = TriageRequest {
            hospital_id: Some(hospital("H2")),
            ..all()
        };
        assert!(matches!(
            ids(&doctor("H1"), of_other).await,
            Err(ReadError::Denied(Denied::Hospital))
        ));
        assert!(matches!(
            ids(&patient("P1"), all()).await,
            Err(ReadError::Denied(Denied::Role))
        ));
        assert!(matches!(
            triage.case(&doctor("H1"), &triage_id("T2")).await,
            Err(ReadError::NotFound)
        ));
    }

    #[tokio::test]
    async fn who_may_not_write_is_refused() {
        let mut stage = Stage::new();
        let triage = stage.services.triage.clone();
        triage.open(&service(), new_case("T1"), None).await.unwrap();
        stage.told().await;
        let change = || to(TriageStatus::Assigned);

        let refusals = [
            triage.open(&patient("P1"), new_case("T2"), None).await,
            triage.open(&doctor("H2"), new_case("T2"), None).await,
            triage
                .open(
                    &doctor("H2"),
                    NewTriage {
                        hospital_id: None,
                        ..new_case("T2")
                    },
                    None,
                )
                .await,
            triage.patch(&doctor("H2"), triage_id("T1"), change()).await,
            triage.put(&person(Role::Staff, None), triage_id("T1"), change()).await,
            triage.put(&patient("P1"), triage_id("T1"), change()).await,
        ];

        for refusal in refusals {
            assert!(matches!(refusal, Err(WriteError::Denied(_))), "{refusal:?}");
        }
        assert!(stage.told().await.is_empty());
    }
}
