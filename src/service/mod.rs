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
mod workers;

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

pub(crate) use locks::KeyedLocks;
use patients::Patients;

pub use alerts::{AlertRaised, Alerts, HistoryRequest, HospitalAlert, PatientAlert};
pub use beds::{BedChange, BedSaved, Beds};
pub use error::{Problem, ReadError, WriteError};
pub use once::{Durable, OnceKey};
pub use predictions::{PredictionWorker, Predictions, TaskAccepted, TaskState};
pub use risk::{Assessment, Predict, Risk, RiskAssessed};
pub use rooms::Rooms;
pub use staff::{Availability, Staff, StaffSaved};
pub use triage::{NewTriage, Triage, TriageChange, TriageRequest, TriageSaved};
pub use workers::Workers;

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
    /// What workers publish through Redis.
    pub workers: Workers,
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
            rooms: Rooms(core.clone()),
            workers: Workers { core, unknown: None },
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

/// The real store, emitter and bus, and people to act with.
#[cfg(test)]
mod stage {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::Value;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::{HospitalAlert, OnceKey, PatientAlert, PredictionWorker, Services, Settings};
    use crate::bus::local::LocalBus;
    use crate::clock::ManualClock;
    use crate::domain::access::{Identity, Proof, Role};
    use crate::domain::alert::{HospitalAlertType, PatientAlertType};
    use crate::domain::{FreeForm, HospitalId, PatientId, StaffId, UserId};
    use crate::emitter::Emitter;
    use crate::ports::{Bus, Positioned, Store};
    use crate::store::sqlite::{self, SqliteStore};
    use crate::telemetry::Metrics;

    pub(super) struct Stage {
        pub(super) services: Services,
        pub(super) store: Arc<dyn Store>,
        pub(super) clock: ManualClock,
        pub(super) metrics: Metrics,
        pub(super) worker: Option<PredictionWorker>,
        pub(super) stop: CancellationToken,
        heard: mpsc::Receiver<Positioned>,
        folder: Arc<tempfile::TempDir>,
    }

    /// An event as a socket would get it.
    #[derive(Debug)]
    pub(super) struct Told {
        pub(super) name: String,
        pub(super) rooms: Vec<String>,
        pub(super) payload: Value,
    }

    impl Stage {
        pub(super) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::starting_at("2026-02-15T10:30:00.123456Z".parse().unwrap());
            let settings = sqlite::Settings::at(folder.path().join("wardbell.db"));
            let store = Arc::new(SqliteStore::open(settings, Arc::new(clock.clone())).unwrap());
            Self::over(store, clock, Arc::new(folder))
        }

        /// The same store under services that have forgotten everything else.
        pub(super) fn restarted(self) -> Self {
            self.stop.cancel();
            Self::over(self.store, self.clock, self.folder)
        }

        fn over(store: Arc<dyn Store>, clock: ManualClock, folder: Arc<tempfile::TempDir>) -> Self {
            let bus = Arc::new(LocalBus::new());
            let heard = bus.subscribe();
            let metrics = Metrics::new();
            let shared = Arc::new(clock.clone());
            let (emitter, task) = Emitter::new(store.clone(), bus, shared.clone(), metrics.clone());
            let stop = CancellationToken::new();
            tokio::spawn(task.run(stop.clone()));
            let (services, worker) =
                Services::new(store.clone(), emitter, shared, metrics.clone(), Settings::default());
            Self {
                services,
                store,
                clock,
                metrics,
                worker: Some(worker),
                stop,
                heard,
                folder,
            }
        }

        pub(super) fn advance(&self, seconds: u64) {
            self.clock.advance(Duration::from_secs(seconds));
        }

        /// The next event.
        pub(super) async fn next(&mut self) -> Told {
            let event = self.heard.recv().await.unwrap().event;
            Told {
                name: event.name.to_string(),
                rooms: event.rooms.iter().map(ToString::to_string).collect(),
                payload: serde_json::from_str(event.payload.as_json()).unwrap(),
            }
        }

        /// Everything that was told since it was last asked, and nothing that comes later: a marker goes the same way.
        pub(super) async fn told(&mut self) -> Vec<Told> {
            let marker = HospitalAlert {
                hospital_id: hospital("marker"),
                alert_type: HospitalAlertType::System,
                message: None,
                alert_data: FreeForm::default(),
            };
            let marker = self
                .services
                .alerts
                .raise_for_hospital(&service(), marker, None)
                .await
                .unwrap()
                .alert_id;
            let mut told = Vec::new();
            loop {
                let next = self.next().await;
                if next.payload["event_id"] == marker.to_string() {
                    return told;
                }
                told.push(next);
            }
        }

        /// The names of everything that was told since it was last asked.
        pub(super) async fn told_names(&mut self) -> Vec<String> {
            self.told().await.into_iter().map(|told| told.name).collect()
        }

        /// Says that a patient belongs to a hospital, as a backend that is bound to none does.
        pub(super) async fn place(&mut self, patient_id: &str, hospital_id: &str) {
            let alert = PatientAlert {
                hospital_id: Some(hospital(hospital_id)),
                ..alert(patient_id, PatientAlertType::Critical)
            };
            self.services
                .alerts
                .raise_for_patient(&service(), alert, None)
                .await
                .unwrap();
            self.told().await;
        }
    }

    pub(super) fn person(role: Role, hospital_id: Option<&str>) -> Identity {
        Identity {
            user_id: UserId::parse(&format!("{role}-1")).unwrap(),
            role,
            hospital_id: hospital_id.map(hospital),
            staff_id: None,
            patient_id: None,
            name: None,
            proof: Proof::Token,
        }
    }

    /// A backend that is bound to no hospital.
    pub(super) fn service() -> Identity {
        person(Role::Service, None)
    }

    pub(super) fn doctor(hospital_id: &str) -> Identity {
        Identity {
            staff_id: Some(StaffId::parse("S1").unwrap()),
            ..person(Role::Doctor, Some(hospital_id))
        }
    }

    pub(super) fn patient(id: &str) -> Identity {
        Identity {
            patient_id: Some(patient_id(id)),
            ..person(Role::Patient, None)
        }
    }

    pub(super) fn patient_id(id: &str) -> PatientId {
        PatientId::parse(id).unwrap()
    }

    pub(super) fn hospital(id: &str) -> HospitalId {
        HospitalId::parse(id).unwrap()
    }

    pub(super) fn form(json: &str) -> FreeForm {
        serde_json::from_str(json).unwrap()
    }

    pub(super) fn alert(patient: &str, alert_type: PatientAlertType) -> PatientAlert {
        PatientAlert {
            patient_id: patient_id(patient),
            hospital_id: None,
            alert_type,
            alert_data: FreeForm::default(),
        }
    }

    pub(super) fn key(key: &str, body: u8) -> OnceKey {
        OnceKey {
            scope: "service-1 POST /x".to_owned(),
            key: key.to_owned(),
            fingerprint: [body; 32],
        }
    }
}
