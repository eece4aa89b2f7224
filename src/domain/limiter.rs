//! How many alerts a patient's watchers are shown: a sliding window for each patient.
//!
//! `critical` is never held back and takes nothing from what others may use. Nor is an alert held back that is more severe
//! than the last one that was emitted inside the window: somebody got worse. It refuses to know where past alerts are kept;
//! who sees a patient for the first time [seeds](AlertLimiter::seed) the window.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::alert::PatientAlertType;
use super::{PatientId, Timestamp};

/// How many alerts of one patient are emitted in how long a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertLimit {
    /// That many.
    pub alerts: u32,
    /// In any window of this length.
    pub window: Duration,
}

impl Default for AlertLimit {
    /// The contract's figures: 10 a minute.
    fn default() -> Self {
        Self {
            alerts: 10,
            window: Duration::from_mins(1),
        }
    }
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is emitted, and counted from now on.
    Emit(Admission),
    /// It is over the limit: kept, not emitted.
    Suppress,
    /// This patient was not seen lately: [`AlertLimiter::seed`] first, then ask again.
    Unseen,
}

/// What admitting an alert did to its patient's window, so that it can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    at: Timestamp,
    severity: PatientAlertType,
    is_counted: bool,
    previous: Option<(Timestamp, PatientAlertType)>,
}

/// The windows of all patients who were alerted lately.
#[derive(Debug)]
pub struct AlertLimiter {
    limit: AlertLimit,
    windows: HashMap<PatientId, Window>,
    /// When windows that have run out were last thrown away.
    swept_at: Timestamp,
}

#[derive(Debug)]
struct Window {
    /// When the alerts that count were emitted, oldest first; never more than the limit.
    counted: VecDeque<Timestamp>,
    /// The last alert that was emitted, counted or not.
    last: Option<(Timestamp, PatientAlertType)>,
    /// When this patient was last asked about.
    touched_at: Timestamp,
}

impl AlertLimiter {
    /// A limiter that has seen nobody.
    pub fn new(limit: AlertLimit) -> Self {
        Self {
            limit,
            windows: HashMap::new(),
            swept_at: Timestamp::from_micros(i64::MIN),
        }
    }

    /// How long a window is.
    pub const fn window(&self) -> Duration {
        self.limit.window
    }

    /// Puts in what was emitted before we knew this patient, oldest first. A patient who is known already is left as they are:
    /// what is here is newer than what was read.
    pub fn seed(&mut self, patient: PatientId, emitted: &[(Timestamp, PatientAlertType)], now: Timestamp) {
        self.sweep(now);
        let at_most = usize::try_from(self.limit.alerts).unwrap_or(usize::MAX);
        self.windows.entry(patient).or_insert_with(|| {
            let counted: Vec<_> = emitted
                .iter()
                .filter(|(_, severity)| *severity != PatientAlertType::Critical)
                .map(|(at, _)| *at)
                .collect();
            Window {
                counted: counted.into_iter().rev().take(at_most).rev().collect(),
                last: emitted.last().copied(),
                touched_at: now,
            }
        });
    }

    /// Whether an alert of this severity is emitted now.
    pub fn admit(&mut self, patient: &PatientId, severity: PatientAlertType, now: Timestamp) -> Verdict {
        let begins = now.minus(self.limit.window);
        let at_most = usize::try_from(self.limit.alerts).unwrap_or(usize::MAX);
        let Some(window) = self.windows.get_mut(patient) else {
            return Verdict::Unseen;
        };
        window.touched_at = window.touched_at.max(now);
        while window.counted.front().is_some_and(|at| *at <= begins) {
            window.counted.pop_front();
        }
        let is_rise = window.last.is_some_and(|(at, last)| at > begins && severity > last);
        let has_room = window.counted.len() < at_most;
        let is_exempt = severity == PatientAlertType::Critical || (is_rise && !has_room);
        if !has_room && !is_exempt {
            return Verdict::Suppress;
        }
        let admission = Admission {
            at: now,
            severity,
            is_counted: !is_exempt,
            previous: window.last,
        };
        if admission.is_counted {
            window.counted.push_back(now);
        }
        window.last = Some((now, severity));
        Verdict::Emit(admission)
    }

    /// Takes an admission back: the alert could not be kept, so nobody was told.
    pub fn retract(&mut self, patient: &PatientId, admission: Admission) {
        let Some(window) = self.windows.get_mut(patient) else {
            return;
        };
        if admission.is_counted
            && let Some(index) = window.counted.iter().rposition(|at| *at == admission.at)
        {
            window.counted.remove(index);
        }
        // Unless another was emitted since: then that one is the last.
        if window.last == Some((admission.at, admission.severity)) {
            window.last = admission.previous;
        }
    }

    /// How many patients are kept in memory.
    pub fn patients(&self) -> usize {
        self.windows.len()
    }

    /// Forgets whoever has been quiet for a whole window, once a window: memory holds the patients of two windows at most.
    fn sweep(&mut self, now: Timestamp) {
        if now < self.swept_at.plus(self.limit.window) {
            return;
        }
        self.swept_at = now;
        let begins = now.minus(self.limit.window);
        self.windows.retain(|_, window| window.touched_at > begins);
    }
}

#[cfg(test)]
mod tests {
    use super::PatientAlertType::{Critical, Info, Warning};
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    fn patient(id: &str) -> PatientId {
        PatientId::parse(id).unwrap()
    }

    fn limiter(alerts: u32) -> AlertLimiter {
        let mut limiter = AlertLimiter::new(AlertLimit {
            alerts,
            window: Duration::from_mins(1),
        });
        limiter.seed(patient("P1"), &[], START);
        limiter
    }

    fn is_emitted(limiter: &mut AlertLimiter, severity: PatientAlertType, seconds: u64) -> bool {
        match limiter.admit(&patient("P1"), severity, at(seconds)) {
            Verdict::Emit(_) => true,
            Verdict::Suppress => false,
            Verdict::Unseen => panic!("P1 was seeded"),
        }
    }

    #[test]
    fn what_is_over_the_limit_is_suppressed_until_the_window_has_moved_on() {
        let mut limiter = limiter(10);

        for second in 0..10 {
            assert!(is_emitted(&mut limiter, Warning, second), "{second}");
        }
        assert!(!is_emitted(&mut limiter, Warning, 10));
        assert!(!is_emitted(&mut limiter, Warning, 59));
        assert!(is_emitted(&mut limiter, Warning, 60), "the first has left the window");
        assert!(!is_emitted(&mut limiter, Warning, 60), "the second has not");
        assert!(is_emitted(&mut limiter, Warning, 61));
    }

    #[test]
    fn critical_is_never_suppressed_and_uses_nothing_up() {
        let mut limiter = limiter(2);

        for second in 0..50 {
            assert!(is_emitted(&mut limiter, Critical, second));
        }
        assert!(is_emitted(&mut limiter, Warning, 50));
        assert!(is_emitted(&mut limiter, Warning, 50));
        assert!(!is_emitted(&mut limiter, Warning, 50));
        assert!(is_emitted(&mut limiter, Critical, 50));
    }

    #[test]
    fn a_rise_over_the_last_emitted_is_not_suppressed_and_a_repetition_of_it_is() {
        let mut limiter = limiter(2);
        assert!(is_emitted(&mut limiter, Info, 0));
        assert!(is_emitted(&mut limiter, Info, 1));
        assert!(!is_emitted(&mut limiter, Info, 2));

        assert!(is_emitted(&mut limiter, Warning, 3));

        assert!(!is_emitted(&mut limiter, Warning, 4), "no rise");
        assert!(!is_emitted(&mut limiter, Info, 5), "a fall");
        assert!(
            !is_emitted(&mut limiter, Warning, 6),
            "the suppressed fall was nobody's last alert"
        );
    }

    #[test]
    fn a_fall_and_rise_again_after_critical_is_no_rise() {
        let mut limiter = limiter(1);
        assert!(is_emitted(&mut limiter, Info, 0));
        assert!(is_emitted(&mut limiter, Critical, 1));

        assert!(!is_emitted(&mut limiter, Warning, 2), "the last emitted was critical");
    }

    #[test]
    fn patients_do_not_share_a_window() {
        let mut limiter = limiter(1);
        limiter.seed(patient("P2"), &[], START);
        assert!(is_emitted(&mut limiter, Warning, 0));

        assert!(matches!(
            limiter.admit(&patient("P2"), Warning, at(0)),
            Verdict::Emit(_)
        ));
    }

    #[test]
    fn a_patient_who_was_never_seen_is_asked_about_first() {
        let mut limiter = limiter(1);

        assert_eq!(limiter.admit(&patient("P2"), Warning, at(0)), Verdict::Unseen);
    }

    #[test]
    fn a_window_goes_on_from_what_was_emitted_before_a_restart() {
        let mut limiter = AlertLimiter::new(AlertLimit {
            alerts: 2,
            window: Duration::from_mins(1),
        });
        limiter.seed(
            patient("P1"),
            &[(at(0), Info), (at(1), Critical), (at(30), Info)],
            at(40),
        );

        assert!(!is_emitted(&mut limiter, Info, 41));
        assert!(is_emitted(&mut limiter, Warning, 42), "a rise over the last emitted");
        assert!(is_emitted(&mut limiter, Info, 60), "the first has left the window");
    }

    #[test]
    fn seeding_a_patient_who_is_known_changes_nothing() {
        let mut limiter = limiter(1);
        assert!(is_emitted(&mut limiter, Warning, 0));

        limiter.seed(patient("P1"), &[], at(1));

        assert!(!is_emitted(&mut limiter, Warning, 2));
    }

    #[test]
    fn what_could_not_be_kept_is_not_counted() {
        let mut limiter = limiter(1);
        assert!(is_emitted(&mut limiter, Info, 0));
        let Verdict::Emit(admission) = limiter.admit(&patient("P1"), Warning, at(1)) else {
            panic!("a rise")
        };

        limiter.retract(&patient("P1"), admission);

        assert!(is_emitted(&mut limiter, Warning, 2), "still a rise over info");
    }

    #[test]
    fn patients_who_have_been_quiet_for_a_window_are_forgotten() {
        let mut limiter = limiter(1);
        for second in 0..600 {
            limiter.seed(patient(&format!("P{second}")), &[], at(second));
        }

        assert!(limiter.patients() <= 120, "{} patients", limiter.patients());
        assert!(matches!(
            limiter.admit(&patient("P599"), Warning, at(600)),
            Verdict::Emit(_)
        ));
    }

    mod property {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn no_window_ever_holds_more_of_one_severity_than_the_limit(
                gaps in prop::collection::vec(0_u64..20, 1..200),
                alerts in 1_u32..5,
            ) {
                let mut limiter = limiter(alerts);
                let mut emitted = Vec::new();
                let mut now = 0;
                for gap in gaps {
                    now += gap;
                    if is_emitted(&mut limiter, Warning, now) {
                        emitted.push(now);
                    }
                }

                for from in &emitted {
                    let inside = emitted.iter().filter(|at| (*from..from + 60).contains(*at)).count();
                    prop_assert!(inside <= alerts as usize, "{inside} from {from}");
                }
            }
        }
    }
}
