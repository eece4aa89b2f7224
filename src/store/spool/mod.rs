//! What a node does while the store is gone: it keeps events on its own disk, as durably, and hands them over afterwards.
//!
//! What can be decided without the store goes on: alerts, risk scores, who is on duty. What only the store can decide (beds,
//! triage cases) is refused until it is back. Everything that was kept here is published like everything else, and moved into
//! the store in order, once by event id, however often the node or the store dies on the way.
//!
//! Alerts prefer twice to never: a limit that the store would know is not applied while it is away, and an idempotency key that
//! another node has used is not known here: the alert is told a second time, under an id of its own, and is in the store once.

mod drain;
mod facts;
mod file;
mod record;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;
use crate::domain::bed::{Bed, BedBoard};
use crate::domain::staff::StaffMember;
use crate::domain::task::Task;
use crate::domain::triage::TriageCase;
use crate::domain::{
    BedId, Event, EventId, Fact, HospitalId, PatientId, Position, RoomName, StaffId, TaskId, TenantId, Timestamp,
    Topic, TriageId, UserId,
};
use crate::ports::{
    AlertRecord, Append, Appended, EventStore, HistoryPage, HistoryQuery, Positioned, Receipt, Retention, SPOOLED,
    Session, SessionChange, SessionStore, StateChange, StateStore, StoreError, Swept, TriageFilter,
};
use crate::store::postgres::PostgresStore;
use crate::telemetry::Metrics;

use drain::Drain;
use file::File;

/// Outcomes and patients that are remembered in case the store goes away.
const MAX_REMEMBERED: u64 = 100_000;
/// For how long an outcome is: whoever sends a request again does so soon.
const OUTCOMES_REMEMBERED: Duration = Duration::from_mins(15);

/// Where the spool is and how large it may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its file, on a disk of this machine, of this node alone.
    pub path: PathBuf,
    /// Beyond this many bytes posts are refused: it is as if the disk were full.
    pub max_bytes: u64,
}

impl Settings {
    /// The usual settings for a spool at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 1 << 30,
        }
    }
}

/// The spool cannot be opened; whatever is there is left as it was found.
#[derive(Debug, thiserror::Error)]
#[error("the spool {} cannot be used: it is held by another process, is no spool, or cannot be written", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: rusqlite::Error,
}

/// PostgreSQL, and this node's own disk while it is gone.
#[derive(Clone)]
pub struct SpoolingStore {
    store: PostgresStore,
    shared: Arc<Shared>,
    /// Ends the task that hands over with the last handle.
    _stop: Arc<DropGuard>,
}

/// What the store's handle and the task that hands over both know.
struct Shared {
    file: File,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    waiting: Mutex<Waiting>,
    something_waits: tokio::sync::Notify,
    /// What was answered lately under idempotency keys.
    outcomes: Cache<(String, String), ([u8; 32], String)>,
    /// Where patients belong, as far as it was asked or said here.
    patients: Cache<PatientId, Option<HospitalId>>,
    /// The last position that this node knows of; `None` before it has ever asked.
    last: Mutex<Option<Position>>,
    stop: CancellationToken,
}

/// Whether appends wait here for the store.
struct Waiting {
    has_some: bool,
    /// How often something was put here: whoever found the spool empty may have looked before that.
    puts: u64,
}

impl SpoolingStore {
    /// Opens the spool and begins to hand over what an earlier run has left in it, as soon as the store is there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        store: PostgresStore,
        settings: Settings,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, OpenError> {
        let path = settings.path.clone();
        let opened = tokio::task::spawn_blocking(move || File::open(&settings)).await;
        let file = opened.unwrap_or_else(|_| {
            Err(OpenError {
                path,
                source: rusqlite::Error::ExecuteReturnedResults,
            })
        })?;
        let remembering = Cache::builder().max_capacity(MAX_REMEMBERED);
        let shared = Arc::new(Shared {
            file,
            clock,
            metrics,
            // An earlier run may have left something.
            waiting: Mutex::new(Waiting {
                has_some: true,
                puts: 0,
            }),
            something_waits: tokio::sync::Notify::new(),
            outcomes: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(OUTCOMES_REMEMBERED)
                .build(),
            patients: remembering.build(),
            last: Mutex::default(),
            stop: CancellationToken::new(),
        });
        shared.something_waits.notify_one();
        tokio::spawn(Drain::new(store.clone(), Arc::clone(&shared)).run());
        let stop = shared.stop.clone().drop_guard();
        Ok(Self {
            store,
            shared,
            _stop: Arc::new(stop),
        })
    }

    /// How many appends wait here for the store.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        self.shared.file.count().await
    }

    /// Keeps the batch here.
    async fn spool(&self, batch: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        let shared = &self.shared;
        let mut outcomes: Vec<Option<Appended>> = batch.iter().map(|append| shared.remembered(append)).collect();
        let rest: Vec<Append> = batch
            .into_iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(append, _)| append)
            .collect();
        let kept = shared.file.keep(rest.clone(), shared.clock.now()).await?;
        shared.remember(&rest, &kept);
        {
            let mut waiting = shared.lock_waiting();
            waiting.has_some = true;
            waiting.puts += 1;
        }
        shared.something_waits.notify_one();
        fill(&mut outcomes, kept)
    }

    /// Answers those whose key is here already, while what was kept here has not reached the store.
    async fn answered_here(&self, batch: &[Append]) -> Result<Vec<Option<Appended>>, StoreError> {
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            let found = match &append.once {
                Some(once) => {
                    self.shared
                        .file
                        .outcome_of(once.scope.clone(), once.key.clone())
                        .await?
                }
                None => None,
            };
            answers.push(found.map(|(fingerprint, outcome)| repeated(append, fingerprint, outcome)));
        }
        Ok(answers)
    }
}

impl Shared {
    fn remembered(&self, append: &Append) -> Option<Appended> {
        let once = append.once.as_ref()?;
        let (fingerprint, outcome) = self.outcomes.get(&(once.scope.clone(), once.key.clone()))?;
        Some(repeated(append, fingerprint, outcome))
    }

    /// Remembers what may be asked for while the store is away.
    fn remember(&self, batch: &[Append], outcomes: &[Appended]) {
        for (append, outcome) in batch.iter().zip(outcomes) {
            let numbers = match outcome {
                Appended::Committed(numbers) | Appended::Spooled(numbers) => numbers,
                Appended::Repeated(_) | Appended::KeyReused | Appended::Conflict => continue,
            };
            if let Some(number) = numbers.last().copied().filter(|number| *number < SPOOLED) {
                self.reach(Position::from_sequence(number));
            }
            if let Some(once) = &append.once {
                let answer = (once.fingerprint, once.outcome.clone());
                self.outcomes.insert((once.scope.clone(), once.key.clone()), answer);
            }
            for change in &append.changes {
                if let StateChange::PatientHospital(patient, hospital) = change {
                    self.patients.insert(patient.clone(), Some(hospital.clone()));
                }
            }
        }
    }

    fn reach(&self, position: Position) {
        let mut last = self.last();
        *last = Some(last.map_or(position, |last| last.max(position)));
    }

    fn last(&self) -> MutexGuard<'_, Option<Position>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_waiting(&self) -> bool {
        self.lock_waiting().has_some
    }

    fn lock_waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn repeated(append: &Append, fingerprint: [u8; 32], outcome: String) -> Appended {
    if append.once.as_ref().is_some_and(|once| once.fingerprint == fingerprint) {
        Appended::Repeated(outcome)
    } else {
        Appended::KeyReused
    }
}

/// Puts the outcomes of the rest in the places that are empty.
fn fill(outcomes: &mut [Option<Appended>], rest: Vec<Appended>) -> Result<Vec<Appended>, StoreError> {
    let mut rest = rest.into_iter();
    let mut all = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        let outcome = outcome.take().or_else(|| rest.next());
        all.push(outcome.ok_or_else(|| StoreError::Damaged("an append was not answered".into()))?);
    }
    Ok(all)
}

/// Whether the store cannot be asked now, as opposed to having said something.
fn is_away(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::Uncertain(_) => true,
        StoreError::Damaged(_) => false,
    }
}

#[async_trait]
impl EventStore for SpoolingStore {
    async fn commit(&self, batch: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        let mut outcomes = if self.shared.has_waiting() {
            self.answered_here(&batch).await?
        } else {
            vec![None; batch.len()]
        };
        let rest: Vec<Append> = batch
            .into_iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(append, _)| append)
            .collect();
        if rest.is_empty() {
            return fill(&mut outcomes, Vec::new());
        }
        let kept = match self.store.commit(rest.clone()).await {
            Ok(kept) => {
                self.shared.remember(&rest, &kept);
                kept
            }
            // Whatever the reason: an alert that can be kept here reaches people. What the store will never take is put aside
            // when it is handed over.
            Err(error) => {
                if !is_away(&error) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the store refused a batch; spooling it"
                    );
                }
                self.spool(rest).await?
            }
        };
        fill(&mut outcomes, kept)
    }

    async fn outcome_of(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], String)>, StoreError> {
        if self.shared.has_waiting()
            && let Some(found) = self.shared.file.outcome_of(scope.to_owned(), key.to_owned()).await?
        {
            return Ok(Some(found));
        }
        match self.store.outcome_of(scope, key).await {
            // As far as this node knows, nobody has asked before.
            Err(error) if is_away(&error) => Ok(self.shared.outcomes.get(&(scope.to_owned(), key.to_owned()))),
            outcome => outcome,
        }
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_spooling(&self) -> bool {
        self.store.is_down()
    }

    async fn unpublished(&self, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        if !self.shared.has_waiting() {
            return Ok(Vec::new());
        }
        self.shared.file.unpublished(limit).await
    }

    async fn mark_published(&self, published: Vec<(u64, Position)>, at: Timestamp) -> Result<(), StoreError> {
        let (spooled, committed): (Vec<_>, Vec<_>) = published.into_iter().partition(|(number, _)| *number >= SPOOLED);
        if !spooled.is_empty() {
            self.shared.file.note(spooled, at).await?;
            self.shared.something_waits.notify_one();
        }
        self.store.mark_published(committed, at).await
    }

    async fn published_in(
        &self,
        rooms: &[RoomName],
        after: Position,
        through: Position,
        limit: usize,
    ) -> Result<Vec<Positioned>, StoreError> {
        self.store.published_in(rooms, after, through, limit).await
    }

    async fn published_after(&self, after: Position, limit: usize) -> Result<Vec<Positioned>, StoreError> {
        let page = self.store.published_after(after, limit).await?;
        if let Some(last) = page.last() {
            self.shared.reach(last.position);
        }
        Ok(page)
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        match self.store.last_position().await {
            Ok(position) => {
                self.shared.reach(position);
                Ok(position)
            }
            // Where this node stands is as far as anybody can read meanwhile.
            Err(error) => self.shared.last().filter(|_| is_away(&error)).ok_or(error),
        }
    }

    async fn horizon(&self) -> Result<Position, StoreError> {
        self.store.horizon().await
    }

    async fn position_of(&self, event: EventId) -> Result<Option<Position>, StoreError> {
        let found = self.store.position_of(event).await;
        if matches!(found, Ok(Some(_))) || !self.shared.has_waiting() {
            return found;
        }
        let here = self.shared.file.event(event).await?;
        match here.and_then(|(_, _, published)| published) {
            Some((position, _)) => Ok(Some(position)),
            None => found,
        }
    }

    async fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.store.history(query).await
    }

    async fn alert(&self, id: EventId) -> Result<Option<AlertRecord>, StoreError> {
        let found = self.store.alert(id).await;
        if matches!(found, Ok(Some(_))) || !self.shared.has_waiting() {
            return found;
        }
        let Some((event, stored_at, published)) = self.shared.file.event(id).await? else {
            return found;
        };
        let Some(scope) = event.alert.as_ref().map(|alert| alert.scope) else {
            return found;
        };
        Ok(Some(AlertRecord {
            event,
            scope,
            stored_at,
            published_at: published.map(|(_, at)| at),
            delivered: 0,
            recovered: 0,
        }))
    }

    async fn recent_alerts(
        &self,
        patient: &PatientId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        match self.store.recent_alerts(patient, since).await {
            // The limit begins anew: rather one alert too many.
            Err(error) if is_away(&error) => Ok(Vec::new()),
            outcome => outcome,
        }
    }

    async fn add_receipts(&self, receipts: Vec<Receipt>) -> Result<(), StoreError> {
        self.store.add_receipts(receipts).await
    }

    async fn sweep(&self, retention: Retention) -> Result<Swept, StoreError> {
        self.store.sweep(retention).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn close(&self) {
        self.shared.stop.cancel();
        self.store.close().await;
    }
}

#[async_trait]
impl StateStore for SpoolingStore {
    async fn hospital_of(&self, patient: &PatientId) -> Result<Option<HospitalId>, StoreError> {
        match self.store.hospital_of(patient).await {
            Ok(hospital) => {
                // While what was said here is on its way to the store, that is newer.
                if !self.shared.has_waiting() {
                    self.shared.patients.insert(patient.clone(), hospital.clone());
                    return Ok(hospital);
                }
                Ok(self.shared.patients.get(patient).flatten().or(hospital))
            }
            // Who may see what depends on it: nothing is guessed.
            Err(error) if is_away(&error) => self.shared.patients.get(patient).ok_or(error),
            Err(error) => Err(error),
        }
    }

    async fn triage_case(&self, id: &TriageId) -> Result<Option<TriageCase>, StoreError> {
        self.store.triage_case(id).await
    }

    async fn triage_cases(&self, filter: &TriageFilter) -> Result<Vec<TriageCase>, StoreError> {
        self.store.triage_cases(filter).await
    }

    async fn available_staff(&self, hospital: &HospitalId) -> Result<Vec<StaffMember>, StoreError> {
        self.store.available_staff(hospital).await
    }

    async fn staff_member(&self, hospital: &HospitalId, id: &StaffId) -> Result<Option<StaffMember>, StoreError> {
        self.store.staff_member(hospital, id).await
    }

    async fn beds(&self, hospital: &HospitalId) -> Result<Vec<Bed>, StoreError> {
        self.store.beds(hospital).await
    }

    async fn beds_named(&self, id: &BedId) -> Result<Vec<Bed>, StoreError> {
        self.store.beds_named(id).await
    }

    async fn bed_board(&self, hospital: &HospitalId) -> Result<BedBoard, StoreError> {
        self.store.bed_board(hospital).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        self.store.task(id).await
    }

    async fn unfinished_tasks(&self) -> Result<Vec<Task>, StoreError> {
        self.store.unfinished_tasks().await
    }

    async fn fact(&self, tenant: &TenantId, topic: Topic, id: &str) -> Result<Option<Fact>, StoreError> {
        // Here first: what is moved meanwhile is in the store by then.
        let here = if self.shared.has_waiting() {
            let file = &self.shared.file;
            file.fact(tenant.clone(), topic, id.to_owned()).await?
        } else {
            None
        };
        match (self.store.fact(tenant, topic, id).await, here) {
            // Another node was told later: what waits here will not be taken over.
            (Ok(Some(there)), Some(here)) if there.at > here.at => Ok(Some(there)),
            (Ok(_), Some(here)) => Ok(Some(here)),
            (Err(error), Some(here)) if is_away(&error) => Ok(Some(here)),
            (outcome, _) => outcome,
        }
    }

    async fn unread(&self, tenant: &TenantId, user: &UserId) -> Result<u64, StoreError> {
        self.store.unread(tenant, user).await
    }
}

#[async_trait]
impl SessionStore for SpoolingStore {
    async fn save(&self, changes: Vec<SessionChange>) -> Result<(), StoreError> {
        self.store.save(changes).await
    }

    async fn session(&self, pid: &str) -> Result<Option<Session>, StoreError> {
        self.store.session(pid).await
    }
}

impl std::fmt::Debug for SpoolingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolingStore")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
