//! Which appends of a batch are kept: each decided alone, in order, on what the database held when its rows were locked.
//!
//! Refuses to know SQL: it is given what was found and says what shall be written.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::domain::bed::{Bed, CapacityScope};
use crate::domain::staff::StaffMember;
use crate::domain::task::Task;
use crate::domain::triage::TriageCase;
use crate::domain::{
    BedId, Event, Fact, HospitalId, PatientId, StaffId, TaskId, TenantId, Timestamp, Topic, TriageId, UserId,
};
use crate::ports::{Append, MessageFor, Once, StateChange};

/// SHA-256 of an idempotency key and its scope.
pub(super) type KeyDigest = [u8; 32];

/// What the database held of what the batch is about.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Keys that were used before: the fingerprint and outcome of then.
    pub(super) outcomes: HashMap<KeyDigest, ([u8; 32], String)>,
    /// When the triage cases last changed.
    pub(super) cases: HashMap<TriageId, Timestamp>,
    /// The revisions of the bed boards.
    pub(super) boards: HashMap<HospitalId, u64>,
    /// Events that are there already.
    pub(super) events: HashSet<Uuid>,
}

/// What becomes of one append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Kept,
    Repeated(String),
    KeyReused,
    Conflict,
}

/// A bed board as it shall be.
#[derive(Debug)]
pub(super) struct Board<'b> {
    pub(super) revision: u64,
    pub(super) raised: &'b [CapacityScope],
}

/// What shall be written. Maps are ordered, so that all nodes lock rows in one order.
#[derive(Debug, Default)]
pub(super) struct Plan<'b> {
    pub(super) verdicts: Vec<Verdict>,
    /// How many events each append has that is kept.
    pub(super) counts: Vec<usize>,
    pub(super) outcomes: BTreeMap<KeyDigest, &'b Once>,
    pub(super) patients: BTreeMap<&'b PatientId, &'b HospitalId>,
    pub(super) boards: BTreeMap<&'b HospitalId, Board<'b>>,
    pub(super) beds: BTreeMap<(&'b HospitalId, &'b BedId), &'b Bed>,
    /// And whether the case is new.
    pub(super) cases: BTreeMap<&'b TriageId, (&'b TriageCase, bool)>,
    pub(super) staff: BTreeMap<(&'b HospitalId, &'b StaffId), &'b StaffMember>,
    pub(super) tasks: BTreeMap<TaskId, &'b Task>,
    pub(super) facts: BTreeMap<(&'b TenantId, Topic, &'b str), &'b Fact>,
    /// When each was sent or read, and whether it was read.
    pub(super) letters: BTreeMap<(&'b TenantId, &'b UserId, &'b str), (Timestamp, bool)>,
    pub(super) events: Vec<&'b Event>,
}

/// Where the database would stand after the append that is looked at.
#[derive(Default)]
struct Trial<'b> {
    cases: HashMap<&'b TriageId, Timestamp>,
    boards: HashMap<&'b HospitalId, u64>,
}

impl<'b> Plan<'b> {
    /// Decides the batch.
    pub(super) fn new(batch: &'b [Append], mut found: Found) -> Self {
        let mut plan = Self::default();
        for append in batch {
            let verdict = verdict(append, &mut found, &mut plan);
            plan.verdicts.push(verdict);
        }
        plan
    }

    /// Takes everything as it is: the batch was answered for.
    pub(super) fn of_all(batch: impl IntoIterator<Item = &'b Append>) -> Self {
        let mut plan = Self::default();
        for append in batch {
            plan.keep(append, |_| true);
        }
        plan
    }

    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        !self.verdicts.contains(&Verdict::Kept)
    }

    fn keep(&mut self, append: &'b Append, is_new: impl Fn(&TriageId) -> bool) {
        for change in &append.changes {
            match change {
                StateChange::PatientHospital(patient, hospital) => {
                    self.patients.insert(patient, hospital);
                }
                StateChange::Triage { case, .. } => {
                    let id = &case.triage_id;
                    let is_new = self.cases.get(id).map_or_else(|| is_new(id), |(_, is_new)| *is_new);
                    self.cases.insert(id, (case, is_new));
                }
                StateChange::Staff(member) => {
                    self.staff.insert((&member.hospital_id, &member.staff_id), member);
                }
                StateChange::Bed { bed, expected, raised } => {
                    self.boards.insert(
                        &bed.hospital_id,
                        Board {
                            revision: expected + 1,
                            raised,
                        },
                    );
                    self.beds.insert((&bed.hospital_id, &bed.bed_id), bed);
                }
                StateChange::Task(task) => {
                    self.tasks.insert(task.id, task);
                }
                StateChange::Fact(fact) => {
                    self.facts.insert((&fact.tenant, fact.topic, &fact.id), fact);
                }
                StateChange::Unread(letter) => self.keep_letter(letter, false),
                StateChange::Read(letter) => self.keep_letter(letter, true),
            }
        }
        self.counts.push(append.events.len());
        self.events.extend(append.events.iter().map(|event| &**event));
    }

    fn keep_letter(&mut self, letter: &'b MessageFor, is_read: bool) {
        let key = (&letter.tenant, &letter.user, letter.message.as_str());
        let kept = self.letters.entry(key).or_insert((letter.at, is_read));
        kept.1 |= is_read;
    }
}

fn verdict<'b>(append: &'b Append, found: &mut Found, plan: &mut Plan<'b>) -> Verdict {
    let digest = append
        .once
        .as_ref()
        .map(|once| (key_digest(&once.scope, &once.key), once));
    if let Some((digest, once)) = &digest
        && let Some((fingerprint, outcome)) = found.outcomes.get(digest)
    {
        return if *fingerprint == once.fingerprint {
            Verdict::Repeated(outcome.clone())
        } else {
            Verdict::KeyReused
        };
    }
    let Some(trial) = trial(append, found) else {
        return Verdict::Conflict;
    };
    let mut own = HashSet::new();
    let is_new = |event: &Event| !found.events.contains(&event.id.as_uuid());
    if !append
        .events
        .iter()
        .all(|event| is_new(event) && own.insert(event.id.as_uuid()))
    {
        return Verdict::Conflict;
    }
    plan.keep(append, |case| !found.cases.contains_key(case));
    found.events.extend(own);
    found.boards.extend(
        trial
            .boards
            .into_iter()
            .map(|(hospital, revision)| (hospital.clone(), revision)),
    );
    found
        .cases
        .extend(trial.cases.into_iter().map(|(case, at)| (case.clone(), at)));
    if let Some((digest, once)) = digest {
        found.outcomes.insert(digest, (once.fingerprint, once.outcome.clone()));
        plan.outcomes.insert(digest, once);
    }
    Verdict::Kept
}

/// `None`: something that the append was decided on has changed.
fn trial<'b>(append: &'b Append, found: &Found) -> Option<Trial<'b>> {
    let mut trial = Trial::default();
    for change in &append.changes {
        match change {
            StateChange::Triage { case, expected } => {
                let id = &case.triage_id;
                if trial.cases.get(id).or_else(|| found.cases.get(id)).copied() != *expected {
                    return None;
                }
                trial.cases.insert(id, case.updated_at);
            }
            StateChange::Bed { bed, expected, .. } => {
                let hospital = &bed.hospital_id;
                let revision = trial.boards.get(hospital).or_else(|| found.boards.get(hospital));
                if revision.copied().unwrap_or_default() != *expected {
                    return None;
                }
                trial.boards.insert(hospital, expected + 1);
            }
            StateChange::PatientHospital(..)
            | StateChange::Staff(_)
            | StateChange::Task(_)
            | StateChange::Fact(_)
            | StateChange::Unread(_)
            | StateChange::Read(_) => {}
        }
    }
    Some(trial)
}

/// What a key is found by: keys of different callers or routes never meet, and none is too long for an index.
pub(super) fn key_digest(scope: &str, key: &str) -> KeyDigest {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new();
    digest.update(u64::try_from(scope.len()).unwrap_or(u64::MAX).to_le_bytes());
    digest.update(scope.as_bytes());
    digest.update(key.as_bytes());
    digest.finalize().into()
}
