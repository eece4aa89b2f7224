//! Predictions that are accepted now and worked on later, restarts included.
//!
//! A prediction is a row before it is answered `202`. What it tells and that it is done are one append under a key of its
//! own, so that no restart and no second worker tells it twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::once::{Durable, Outcome, Settled};
use super::risk::Telling;
use super::{Core, OnceKey, Predict, ReadError, RiskAssessed, WriteError};
use crate::domain::access::{self, Action, Identity, Reach};
use crate::domain::task::{Task, TaskStatus};
use crate::domain::{TaskId, Timestamp};
use crate::ports::{Append, StateChange, StoreError};

/// Predictions that are handed from their acceptance to the worker. What is beyond is found in the store a little later.
const MAX_WAITING: usize = 4_096;
/// Predictions that are worked on at once.
const MAX_AT_ONCE: usize = 32;
/// How often the store is asked for what nobody works on.
const RESCAN: Duration = Duration::from_secs(5);
/// For how long a prediction must not have moved before it is taken up again while the node runs.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// The scope of the keys that predictions are told under. No request's scope is a single word.
const ONCE_SCOPE: &str = "task";

/// A prediction was accepted: it will be worked on, whatever happens to this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAccepted {
    /// What to ask for later.
    pub task_id: TaskId,
    /// `PENDING`.
    pub status: TaskStatus,
    /// For people.
    pub message: String,
    /// Set where it is kept on this node's own disk, because the store is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable: Option<Durable>,
}

impl Outcome for TaskAccepted {
    fn note_spooled(&mut self) {
        self.durable = Some(Durable::Spooled);
    }
}

/// How far a prediction has come.
#[derive(Clone, Debug, Serialize)]
pub struct TaskState {
    /// Which one.
    pub task_id: TaskId,
    /// How far.
    pub status: TaskStatus,
    /// With `SUCCESS`: what `POST /api/risk/predict` would have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// With `FAILURE`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Risk predictions, answered later.
#[derive(Clone)]
pub struct Predictions {
    core: Arc<Core>,
    accepted: mpsc::Sender<TaskId>,
}

impl Predictions {
    pub(super) fn new(core: Arc<Core>) -> (Self, PredictionWorker) {
        let (accepted, waiting) = mpsc::channel(MAX_WAITING);
        (
            Self {
                core: core.clone(),
                accepted,
            },
            PredictionWorker {
                core,
                accepted: waiting,
            },
        )
    }

    /// Accepts a prediction. Everything that can be said against it is said now, and the patient is placed now.
    pub async fn accept(
        &self,
        by: &Identity,
        request: Predict,
        once: Option<OnceKey>,
    ) -> Result<TaskAccepted, WriteError> {
        let core = &self.core;
        access::check(by, Action::Predict)?;
        request
            .assessment
            .judge(&core.settings.risk)
            .map_err(WriteError::Invalid)?;
        let reach = by.reach();
        let placement = core
            .place(&reach, &request.patient_id, request.hospital_id.as_ref())
            .await?;

        let now = core.clock.now();
        let task_id = TaskId::new();
        let task = Task {
            id: task_id,
            status: TaskStatus::Pending,
            request: serde_json::to_string(&request)?,
            requested_by: by.user_id.clone(),
            hospital_id: placement.hospital.clone().or_else(|| reach.own_hospital().cloned()),
            result: None,
            error: None,
            created_at: now,
            updated_at: now,
        };
        let append = Append {
            changes: placement
                .change()
                .into_iter()
                .chain([StateChange::Task(task)])
                .collect(),
            ..Append::default()
        };
        let outcome = TaskAccepted {
            task_id,
            status: TaskStatus::Pending,
            message: "The prediction was accepted".to_owned(),
            durable: None,
        };
        let settled = core.commit(append, once.as_ref(), outcome).await?;
        if let Settled::Now(_) = settled {
            core.settle(placement);
            // A full queue, or a worker that is gone, loses nothing: the row is found by the next scan or start.
            if let Err(error) = self.accepted.try_send(task_id) {
                tracing::debug!(task.id = %task_id, reason = %error, "prediction is left to the next scan");
            }
        }
        Ok(settled.into_outcome())
    }

    /// How far a prediction has come. One that they may not see is not found: it is seen by who asked for it and by who
    /// reaches its hospital.
    pub async fn state(&self, by: &Identity, id: TaskId) -> Result<TaskState, ReadError> {
        access::check(by, Action::ReadTask)?;
        let task = self.core.store.task(id).await?.ok_or(ReadError::NotFound)?;
        let is_theirs = task.requested_by == by.user_id;
        let is_within_reach = match (by.reach(), &task.hospital_id) {
            (Reach::Everything, _) => true,
            (Reach::Hospital(own), Some(hospital)) => own == *hospital,
            (Reach::Hospital(_), None) | (Reach::Unassigned | Reach::Patient(_), _) => false,
        };
        if !is_theirs && !is_within_reach {
            return Err(ReadError::NotFound);
        }
        Ok(TaskState {
            task_id: task.id,
            status: task.status,
            result: task.result.map(RawValue::from_string).transpose()?,
            error: task.error,
        })
    }
}

/// Works on what [`Predictions`] accepted.
pub struct PredictionWorker {
    core: Arc<Core>,
    accepted: mpsc::Receiver<TaskId>,
}

impl PredictionWorker {
    /// Works until `stop` is cancelled and what was begun is done; what is left is done after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut hands = Hands::default();
        let mut rescan = tokio::time::interval(RESCAN);
        rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_first_scan = true;
        loop {
            hands.begin(&self.core);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = hands.working.join_next_with_id() => hands.done(&done),
                _ = rescan.tick() => {
                    // On the first scan nothing is anybody's: this node has just started.
                    let before = self.core.clock.now().minus(if is_first_scan { Duration::ZERO } else { LEFT_ALONE });
                    match self.leftovers(before).await {
                        Ok(leftovers) => {
                            is_first_scan = false;
                            hands.take(leftovers);
                        }
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "could not look for unfinished predictions; trying again");
                        }
                    }
                }
                Some(accepted) = self.accepted.recv(), if hands.has_room() => hands.take([accepted]),
            }
        }
        while let Some(done) = hands.working.join_next_with_id().await {
            hands.done(&done);
        }
    }

    /// Predictions that are not done and have not moved since `before`.
    async fn leftovers(&self, before: Timestamp) -> Result<Vec<TaskId>, StoreError> {
        let unfinished = self.core.store.unfinished_tasks().await?;
        Ok(unfinished
            .into_iter()
            .filter(|task| task.updated_at <= before)
            .map(|task| task.id)
            .collect())
    }
}

/// What the worker has in hand: each prediction once.
#[derive(Default)]
struct Hands {
    known: HashSet<TaskId>,
    waiting: VecDeque<TaskId>,
    working: JoinSet<()>,
    begun: HashMap<tokio::task::Id, TaskId>,
}

impl Hands {
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, tasks: impl IntoIterator<Item = TaskId>) {
        for task in tasks {
            if self.known.insert(task) {
                self.waiting.push_back(task);
            }
        }
    }

    fn begin(&mut self, core: &Arc<Core>) {
        while self.working.len() < MAX_AT_ONCE
            && let Some(task) = self.waiting.pop_front()
        {
            let core = core.clone();
            let handle = self.working.spawn(async move { core.work_on(task).await });
            self.begun.insert(handle.id(), task);
        }
    }

    fn done(&mut self, done: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match done {
            Ok((id, ())) => *id,
            Err(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "a prediction was not finished");
                error.id()
            }
        };
        if let Some(task) = self.begun.remove(&id) {
            self.known.remove(&task);
        }
    }
}

impl Core {
    /// Works on one prediction. One that cannot be finished now stays unfinished and is taken up again.
    async fn work_on(&self, id: TaskId) {
        match self.finish(id).await {
            Ok(()) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(task.id = %id, error, "could not finish a prediction; trying again");
            }
        }
    }

    async fn finish(&self, id: TaskId) -> Result<(), WriteError> {
        let Some(task) = self.store.task(id).await? else {
            return Ok(());
        };
        match task.status {
            TaskStatus::Success | TaskStatus::Failure => return Ok(()),
            TaskStatus::Pending | TaskStatus::Started => {}
        }
        let task = Task {
            status: TaskStatus::Started,
            updated_at: self.clock.now(),
            ..task
        };
        self.keep(task.clone()).await?;

        let judged = serde_json::from_str::<Predict>(&task.request).map_err(|_unreadable| "the request cannot be read");
        let judged = judged.and_then(|request| {
            // It was checked when it was accepted: this is a request that an older version of us took.
            let judgement = request.assessment.judge(&self.settings.risk);
            judgement
                .map(|judgement| (request.patient_id, judgement))
                .map_err(|_refused| "a vital cannot be scored")
        });
        let (patient_id, judgement) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let error = Some(reason.to_owned());
                let updated_at = self.clock.now();
                return self
                    .keep(Task {
                        status: TaskStatus::Failure,
                        error,
                        updated_at,
                        ..task
                    })
                    .await;
            }
        };
        let once = OnceKey {
            scope: ONCE_SCOPE.to_owned(),
            key: id.to_string(),
            fingerprint: [0; 32],
        };
        let known = self.hospital_of(&patient_id).await?;
        let telling = Telling {
            patient_id,
            hospital_id: known.or_else(|| task.hospital_id.clone()),
            judgement,
            placement: None,
            task: Some(task.clone()),
        };
        match self.tell_risk(telling, Some(&once)).await? {
            Settled::Now(_) => Ok(()),
            // It was told by an attempt whose answer was lost; `STARTED` above may have been written over its `SUCCESS`.
            Settled::Before(outcome) => self.keep_success(task, &outcome).await,
        }
    }

    async fn keep_success(&self, task: Task, outcome: &RiskAssessed) -> Result<(), WriteError> {
        let result = Some(serde_json::to_string(outcome)?);
        let updated_at = self.clock.now();
        self.keep(Task {
            status: TaskStatus::Success,
            result,
            updated_at,
            ..task
        })
        .await
    }

    async fn keep(&self, task: Task) -> Result<(), WriteError> {
        let append = Append {
            changes: vec![StateChange::Task(task)],
            ..Append::default()
        };
        self.commit(append, None, ()).await.map(Settled::into_outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Stage, doctor, form, hospital, key, patient, patient_id, person, service};
    use super::super::{Assessment, Predict};
    use super::*;
    use crate::domain::UserId;
    use crate::domain::access::Role;
    use crate::domain::risk::Probability;

    fn prediction() -> Predict {
        Predict {
            patient_id: patient_id("P1"),
            hospital_id: Some(hospital("H1")),
            assessment: Assessment::Predicted {
                risk_score: Probability::new(0.92).unwrap(),
                risk_level: None,
                explanation: None,
                confidence: None,
            },
        }
    }

    async fn status(stage: &Stage, id: TaskId) -> TaskStatus {
        stage.services.predictions.state(&service(), id).await.unwrap().status
    }

    #[tokio::test]
    async fn a_prediction_is_kept_before_it_is_answered_and_told_by_the_worker() {
        let mut stage = Stage::new();

        let accepted = stage
            .services
            .predictions
            .accept(&doctor("H1"), prediction(), None)
            .await
            .unwrap();

        assert_eq!(accepted.status, TaskStatus::Pending);
        assert_eq!(status(&stage, accepted.task_id).await, TaskStatus::Pending);
        assert!(stage.told().await.is_empty());
        let worker = tokio::spawn(stage.worker.take().unwrap().run(stage.stop.clone()));
        assert_eq!(stage.next().await.name, "risk_updated");
        assert_eq!(stage.next().await.name, "patient_alert");
        let found = stage
            .services
            .predictions
            .state(&doctor("H1"), accepted.task_id)
            .await
            .unwrap();
        assert_eq!(found.status, TaskStatus::Success);
        let result: RiskAssessed = serde_json::from_str(found.result.unwrap().get()).unwrap();
        assert_eq!(result.risk_score, Probability::new(0.92).unwrap());
        assert!(result.alert_id.is_some());
        stage.stop.cancel();
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn what_a_restart_interrupts_goes_on_and_is_told_once() {
        let stage = Stage::new();
        let predictions = stage.services.predictions.clone();
        let pending = predictions
            .accept(&service(), prediction(), None)
            .await
            .unwrap()
            .task_id;
        let started = predictions
            .accept(&service(), prediction(), None)
            .await
            .unwrap()
            .task_id;
        let task = stage.store.task(started).await.unwrap().unwrap();
        predictions
            .core
            .keep(Task {
                status: TaskStatus::Started,
                ..task
            })
            .await
            .unwrap();

        let mut stage = stage.restarted();
        let worker = tokio::spawn(stage.worker.take().unwrap().run(stage.stop.clone()));

        for _ in 0..4 {
            stage.next().await;
        }
        assert!(
            stage.told().await.is_empty(),
            "two risks and two alerts, and nothing else"
        );
        assert_eq!(status(&stage, pending).await, TaskStatus::Success);
        assert_eq!(status(&stage, started).await, TaskStatus::Success);
        stage.stop.cancel();
        worker.await.unwrap();
    }

    #[tokio::test]
    async fn a_second_worker_tells_nothing_twice_and_leaves_it_done() {
        let mut stage = Stage::new();
        let predictions = stage.services.predictions.clone();
        let id = predictions
            .accept(&service(), prediction(), None)
            .await
            .unwrap()
            .task_id;
        let before = stage.store.task(id).await.unwrap().unwrap();
        predictions.core.work_on(id).await;
        assert_eq!(stage.told_names().await, ["risk_updated", "patient_alert"]);
        let done = predictions.state(&service(), id).await.unwrap().result.unwrap();

        // A worker that had read the row before it was done writes STARTED over it and tries again.
        predictions.core.keep(before).await.unwrap();
        predictions.core.work_on(id).await;

        assert!(stage.told().await.is_empty());
        let found = predictions.state(&service(), id).await.unwrap();
        assert_eq!(found.status, TaskStatus::Success);
        assert_eq!(found.result.unwrap().get(), done.get());
    }

    #[tokio::test]
    async fn what_cannot_be_read_any_more_fails_and_says_why() {
        let mut stage = Stage::new();
        let predictions = stage.services.predictions.clone();
        let id = predictions
            .accept(&service(), prediction(), None)
            .await
            .unwrap()
            .task_id;
        let task = stage.store.task(id).await.unwrap().unwrap();
        predictions
            .core
            .keep(Task {
                request: "{}".to_owned(),
                ..task
            })
            .await
            .unwrap();

        predictions.core.work_on(id).await;

        let found = predictions.state(&service(), id).await.unwrap();
        assert_eq!(found.status, TaskStatus::Failure);
        assert_eq!(found.error.as_deref(), Some("the request cannot be read"));
        assert!(stage.told().await.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_scored_is_refused_at_once() {
        let stage = Stage::new();
        let request = Predict {
            assessment: Assessment::Vitals(form("{}")),
            ..prediction()
        };

        let refused = stage.services.predictions.accept(&service(), request, None).await;

        assert!(matches!(refused, Err(WriteError::Invalid(problems)) if problems.len() == 6));
    }

    #[tokio::test]
    async fn the_same_key_is_accepted_once() {
        let stage = Stage::new();
        let predictions = &stage.services.predictions;

        let first = predictions
            .accept(&service(), prediction(), Some(key("k", 1)))
            .await
            .unwrap();
        let second = predictions
            .accept(&service(), prediction(), Some(key("k", 1)))
            .await
            .unwrap();

        assert_eq!(first, second);
        assert_eq!(stage.store.unfinished_tasks().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_task_is_found_by_who_asked_for_it_and_by_its_hospital() {
        let stage = Stage::new();
        let predictions = &stage.services.predictions;
        let nurse = person(Role::Nurse, Some("H1"));
        let id = predictions.accept(&nurse, prediction(), None).await.unwrap().task_id;
        let namesake = Identity {
            user_id: UserId::parse("nurse-2").unwrap(),
            ..person(Role::Nurse, None)
        };

        for by in [service(), nurse, doctor("H1"), person(Role::Admin, Some("H1"))] {
            assert!(predictions.state(&by, id).await.is_ok(), "{by:?}");
        }
        for by in [doctor("H2"), namesake, person(Role::Service, Some("H2"))] {
            assert!(
                matches!(predictions.state(&by, id).await, Err(ReadError::NotFound)),
                "{by:?}"
            );
        }
        assert!(matches!(
            predictions.state(&patient("P1"), id).await,
            Err(ReadError::Denied(_))
        ));
        assert!(matches!(
            predictions.state(&service(), TaskId::new()).await,
            Err(ReadError::NotFound)
        ));
    }
}
