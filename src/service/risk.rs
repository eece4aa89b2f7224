//! Risk: a score is given or made from vitals, told, and alerts where it is high.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::Settled;
use super::patients::Placement;
use super::{Core, OnceKey, Problem, WriteError, vitals};
use crate::domain::access::{self, Action, Identity};
use crate::domain::alert::PatientAlert;
use crate::domain::limiter::Admission;
use crate::domain::news2::Score;
use crate::domain::risk::{Probability, RiskLevel, RiskPolicy, RiskUpdate};
use crate::domain::task::{Task, TaskStatus};
use crate::domain::{EventId, FreeForm, FreeValue, HospitalId, PatientId, Timestamp};
use crate::ports::{Append, StateChange};

/// `POST /api/risk/predict` and `/api/risk/predict-async`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predict {
    /// Whom it is about.
    pub patient_id: PatientId,
    /// The hospital that they belong to from now on, where it was said.
    pub hospital_id: Option<HospitalId>,
    /// What the risk is known from.
    pub assessment: Assessment,
}

/// What a risk is known from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assessment {
    /// A service has predicted.
    Predicted {
        /// Its score.
        risk_score: Probability,
        /// Its own level, kept as it is; by our thresholds where it gave none.
        risk_level: Option<RiskLevel>,
        /// Its explanation, passed on unread.
        explanation: Option<FreeValue>,
        /// How sure it is.
        confidence: Option<Probability>,
    },
    /// Vital signs, to be scored by NEWS2 here. Problems name the vital (`heart_rate`), not the object around it.
    Vitals(FreeForm),
}

/// A risk was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskAssessed {
    /// Whom it is about.
    pub patient_id: PatientId,
    /// 0 to 1.
    pub risk_score: Probability,
    /// In words.
    pub risk_level: RiskLevel,
    /// How sure the predicting service was; `null` where it did not say, and for NEWS2, which has no such notion.
    pub confidence: Option<Probability>,
    /// Why.
    pub explanation: FreeValue,
    /// When it was told, by our clock.
    pub timestamp: Timestamp,
    /// The alert that followed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_id: Option<EventId>,
    /// The alert that followed was over the limit: it is in the history and nobody was told. Left out where it was told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suppressed: bool,
}

/// Risk predictions, answered at once.
#[derive(Clone)]
pub struct Risk(pub(super) Arc<Core>);

impl Risk {
    /// Tells a patient's risk, and alerts where the level asks for it.
    ///
    /// The alert is limited like any other; the risk itself is always told.
    pub async fn predict(
        &self,
        by: &Identity,
        request: Predict,
        once: Option<OnceKey>,
    ) -> Result<RiskAssessed, WriteError> {
        let core = &self.0;
        access::check(by, Action::Predict)?;
        let judgement = request
            .assessment
            .judge(&core.settings.risk)
            .map_err(WriteError::Invalid)?;
        let reach = by.reach();
        let placement = core
            .place(&reach, &request.patient_id, request.hospital_id.as_ref())
            .await?;
        let telling = Telling {
            patient_id: request.patient_id,
            hospital_id: placement.hospital.clone().or_else(|| reach.own_hospital().cloned()),
            judgement,
            placement: Some(placement),
            task: None,
        };
        core.tell_risk(telling, once.as_ref()).await.map(Settled::into_outcome)
    }
}

/// What an [`Assessment`] comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    score: Probability,
    level: RiskLevel,
    confidence: Option<Probability>,
    explanation: FreeValue,
    /// What the panel shows, should it alert.
    message: String,
}

impl Assessment {
    /// The score, the level and the reasons.
    ///
    /// # Errors
    /// Every vital that is missing or cannot be.
    pub(super) fn judge(&self, policy: &RiskPolicy) -> Result<Judgement, Vec<Problem>> {
        match self {
            Self::Predicted {
                risk_score,
                risk_level,
                explanation,
                confidence,
            } => {
                let level = risk_level.unwrap_or_else(|| policy.level(*risk_score));
                Ok(Judgement {
                    score: *risk_score,
                    level,
                    confidence: *confidence,
                    explanation: explanation.clone().unwrap_or_else(|| FreeForm::default().into()),
                    message: format!("{} risk: {:.0} %", in_words(level), risk_score.as_f64() * 100.0),
                })
            }
            Self::Vitals(vitals) => {
                let readings = vitals::read(vitals)?;
                judge_score(readings.vitals.score(), readings.not_scored)
            }
        }
    }
}

fn judge_score(score: Score, not_scored: Vec<String>) -> Result<Judgement, Vec<Problem>> {
    let level = score.risk_level();
    let explanation = FreeForm::of(&score.explanation(not_scored))
        .map_err(|_not_json| vec![Problem::new("vitals", "cannot be explained as JSON")])?;
    Ok(Judgement {
        score: score.risk_score(),
        level,
        confidence: None,
        explanation: explanation.into(),
        message: format!(
            "{} risk: NEWS2 {}, {}",
            in_words(level),
            score.aggregate(),
            score.response()
        ),
    })
}

fn in_words(level: RiskLevel) -> &'static str {
    match level {
        RiskLevel::Low => "Low",
        RiskLevel::Medium => "Medium",
        RiskLevel::High => "High",
        RiskLevel::Critical => "Critical",
    }
}

/// A risk, about to be told.
pub(super) struct Telling {
    pub(super) patient_id: PatientId,
    /// The hospital that the alert is found by.
    pub(super) hospital_id: Option<HospitalId>,
    pub(super) judgement: Judgement,
    /// Where the patient is placed with it, if they are.
    pub(super) placement: Option<Placement>,
    /// The task that is finished by it, if it is one.
    pub(super) task: Option<Task>,
}

/// What the spread part of a predicted alert carries.
#[derive(Serialize)]
struct AlertData<'a> {
    message: &'a str,
    risk_score: Probability,
    risk_level: RiskLevel,
    explanation: &'a FreeValue,
}

impl Core {
    /// Tells the risk, its alert if it asks for one, and finishes the task, all in one append.
    pub(super) async fn tell_risk(
        &self,
        telling: Telling,
        once: Option<&OnceKey>,
    ) -> Result<Settled<RiskAssessed>, WriteError> {
        let Telling {
            patient_id,
            hospital_id,
            judgement,
            placement,
            task,
        } = telling;
        let now = self.clock.now();
        let update = RiskUpdate {
            id: EventId::new(),
            patient_id: &patient_id,
            score: judgement.score,
            level: judgement.level,
            explanation: &judgement.explanation,
            at: now,
        };
        let mut append = Append {
            events: vec![Arc::new(update.event()?)],
            ..Append::default()
        };

        let mut outcome = RiskAssessed {
            patient_id: patient_id.clone(),
            risk_score: judgement.score,
            risk_level: judgement.level,
            confidence: judgement.confidence,
            explanation: judgement.explanation.clone(),
            timestamp: now,
            alert_id: None,
            suppressed: false,
        };
        // `Some(None)`: there is an alert, and it is over the limit.
        let mut admission: Option<Option<Admission>> = None;
        if let Some(alert_type) = self.settings.risk.alert(judgement.level) {
            let admitted = self.admit(&patient_id, alert_type, now).await?;
            let alert_id = EventId::new();
            let alert = PatientAlert {
                id: alert_id,
                patient_id: &patient_id,
                hospital_id,
                alert_type,
                data: &judgement.alert_data()?,
                at: now,
                is_suppressed: admitted.is_none(),
            };
            append.events.push(Arc::new(alert.event()?));
            outcome.alert_id = Some(alert_id);
            outcome.suppressed = admitted.is_none();
            admission = Some(admitted);
        }
        append.changes.extend(placement.as_ref().and_then(Placement::change));
        if let Some(task) = task {
            let result = Some(serde_json::to_string(&outcome)?);
            append.changes.push(StateChange::Task(Task {
                status: TaskStatus::Success,
                result,
                updated_at: now,
                ..task
            }));
        }

        let settled = self.commit(append, once, outcome).await;
        if let Some(admission) = admission {
            self.close_admission(&patient_id, admission, &settled);
        }
        let settled = settled?;
        if let (Settled::Now(_), Some(placement)) = (&settled, placement) {
            self.settle(placement);
        }
        Ok(settled)
    }
}

impl Judgement {
    fn alert_data(&self) -> Result<FreeForm, serde_json::Error> {
        FreeForm::of(&AlertData {
            message: &self.message,
            risk_score: self.score,
            risk_level: self.level,
            explanation: &self.explanation,
        })
    }
}
