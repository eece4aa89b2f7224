//! The use cases: who may, what follows, and that all of it is kept or nothing.
//!
//! Each takes who asks and what they want in the domain's own types, asks `domain::access`, decides which events follow and
//! hands them to the emitter together with the state that changes. What it answers has been committed. It refuses to know
//! HTTP, sockets and databases.

mod alerts;
mod beds;
mod error;
mod locks;
mod once;
mod patients;
mod predictions;
mod risk;
mod rooms;
mod staff;
mod triage;
mod vitals;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::bed::CapacityPolicy;
use crate::domain::limiter::{AlertLimit, AlertLimiter};
use crate::domain::risk::RiskPolicy;
use crate::domain::{HospitalId, Timestamp};
use crate::emitter::Emitter;
use crate::ports::Store;
use crate::telemetry::Metrics;

use locks::KeyedLocks;
use patients::Patients;

pub use alerts::{AlertRaised, Alerts, HistoryRequest, HospitalAlert, PatientAlert};
pub use beds::{BedChange, BedSaved, Beds};
pub use error::{Problem, ReadError, WriteError};
pub use once::OnceKey;
pub use predictions::{PredictionWorker, Predictions, TaskAccepted, TaskState};
pub use risk::{Assessment, Predict, Risk, RiskAssessed};
pub use rooms::Rooms;
pub use staff::{Availability, Staff, StaffSaved};
pub use triage::{NewTriage, Triage, TriageChange, TriageRequest, TriageSaved};

/// What the use cases can be tuned by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Levels, and which of them alert.
    pub risk: RiskPolicy,
    /// How many alerts of one patient are emitted.
    pub alert_limit: AlertLimit,
    /// When a hospital or ward is full.
    pub capacity: CapacityPolicy,
    /// Of how many patients the hospital is kept in memory.
    pub patients_cached: u64,
    /// For how long. Another node's change is seen that late.
    pub patients_cached_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            risk: RiskPolicy::default(),
            alert_limit: AlertLimit::default(),
            capacity: CapacityPolicy::default(),
            patients_cached: 100_000,
            patients_cached_for: Duration::from_mins(1),
        }
    }
}

/// All use cases. Clones share everything.
#[derive(Clone)]
pub struct Services {
    /// Alerts: raising them, their history, one alert's timeline.
    pub alerts: Alerts,
    /// Risk predictions, answered at once.
    pub risk: Risk,
    /// Risk predictions, answered later.
    pub predictions: Predictions,
    /// Triage cases.
    pub triage: Triage,
    /// Who is on duty.
    pub staff: Staff,
    /// Beds and capacity.
    pub beds: Beds,
    /// Who may join which room.
    pub rooms: Rooms,
}

impl Services {
    /// The use cases, and the worker that answers asynchronous predictions once its `run` is polled.
    pub fn new(
        store: Arc<dyn Store>,
        emitter: Emitter,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        settings: Settings,
    ) -> (Self, PredictionWorker) {
        let core = Arc::new(Core {
            patients: Patients::new(settings.patients_cached, settings.patients_cached_for),
            limiter: Mutex::new(AlertLimiter::new(settings.alert_limit)),
            boards: KeyedLocks::new(),
            store,
            emitter,
            clock,
            metrics,
            settings,
        });
        let (predictions, worker) = Predictions::new(core.clone());
        let services = Self {
            alerts: Alerts(core.clone()),
            risk: Risk(core.clone()),
            predictions,
            triage: Triage(core.clone()),
            staff: Staff(core.clone()),
            beds: Beds(core.clone()),
            rooms: Rooms(core),
        };
        (services, worker)
    }
}

/// What every use case works with.
struct Core {
    store: Arc<dyn Store>,
    emitter: Emitter,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    settings: Settings,
    patients: Patients,
    limiter: Mutex<AlertLimiter>,
    /// Held while a hospital's beds change: on one node nobody has to decide twice.
    boards: KeyedLocks<HospitalId>,
}

/// How often a decision is made again because somebody else changed what it was made on.
const DECISIONS: usize = 8;

impl Core {
    fn limiter(&self) -> MutexGuard<'_, AlertLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present, later than `previous` by at least a microsecond: what replaces it must be told apart from it.
    fn now_after(&self, previous: Timestamp) -> Timestamp {
        self.clock.now().max(previous.plus(Duration::from_micros(1)))
    }
}

/// What a request does to a field that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It is not in the request: what is kept stays.
    #[default]
    Keep,
    /// It is `null`: what is kept goes.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Change<T> {
    /// What is kept from now on.
    pub fn over(self, kept: Option<T>) -> Option<T> {
        match self {
            Self::Keep => kept,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}
