//! Risk: a score is given or made from vitals, told, and alerts where it is high.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::once::{Durable, Outcome, Settled};
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
    /// Set where it is kept on this node's own disk, because the store is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable: Option<Durable>,
}

impl Outcome for RiskAssessed {
    fn note_spooled(&mut self) {
        self.durable = Some(Durable::Spooled);
    }
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
            durable: None,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::stage::{Stage, doctor, form, hospital, patient, patient_id, service};
    use super::*;
    use crate::domain::access::Denied;

    fn predicted(score: f64, level: Option<RiskLevel>) -> Predict {
        Predict {
            patient_id: patient_id("P1"),
            hospital_id: None,
            assessment: Assessment::Predicted {
                risk_score: Probability::new(score).unwrap(),
                risk_level: level,
                explanation: Some(FreeValue(json!({"top_features": [{"feature": "age", "impact": 0.3}]}))),
                confidence: Some(Probability::new(0.9).unwrap()),
            },
        }
    }

    fn vitals(json: &str) -> Predict {
        Predict {
            patient_id: patient_id("P1"),
            hospital_id: None,
            assessment: Assessment::Vitals(form(json)),
        }
    }

    #[tokio::test]
    async fn a_critical_risk_is_told_and_then_alerts() {
        let mut stage = Stage::new();

        let outcome = stage
            .services
            .risk
            .predict(&service(), predicted(0.92, None), None)
            .await
            .unwrap();

        let told = stage.told().await;
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].name, "risk_updated");
        assert_eq!(told[0].payload["risk_score"], 0.92);
        assert_eq!(told[0].payload["risk_level"], "critical");
        assert_eq!(told[0].payload["explanation"]["top_features"][0]["feature"], "age");
        assert_eq!(told[1].name, "patient_alert");
        assert_eq!(told[1].rooms, ["patient_P1"]);
        assert_eq!(told[1].payload["alert_type"], "critical");
        assert_eq!(told[1].payload["message"], "Critical risk: 92 %");
        assert_eq!(told[1].payload["risk_score"], 0.92);
        assert_eq!(outcome.alert_id.unwrap().to_string(), told[1].payload["alert_id"]);
        assert_eq!(
            serde_json::to_value(&outcome).unwrap(),
            json!({
                "patient_id": "P1",
                "risk_score": 0.92,
                "risk_level": "critical",
                "confidence": 0.9,
                "explanation": {"top_features": [{"feature": "age", "impact": 0.3}]},
                "timestamp": "2026-02-15T10:30:00.123456+00:00",
                "alert_id": outcome.alert_id,
            })
        );
    }

    #[tokio::test]
    async fn a_low_risk_is_told_and_alerts_nobody() {
        let mut stage = Stage::new();

        let outcome = stage
            .services
            .risk
            .predict(&service(), predicted(0.1, None), None)
            .await
            .unwrap();

        assert_eq!(stage.told_names().await, ["risk_updated"]);
        assert_eq!(outcome.alert_id, None);
    }

    #[tokio::test]
    async fn the_predicting_services_own_level_decides() {
        let mut stage = Stage::new();

        let outcome = stage
            .services
            .risk
            .predict(&service(), predicted(0.95, Some(RiskLevel::Medium)), None)
            .await
            .unwrap();

        assert_eq!(outcome.risk_level, RiskLevel::Medium);
        assert_eq!(stage.told().await[1].payload["alert_type"], "warning");
    }

    #[tokio::test]
    async fn vitals_are_scored_and_explained() {
        let mut stage = Stage::new();
        let request = vitals(
            r#"{"respiratory_rate":26,"oxygen_saturation":90,"supplemental_oxygen":true,"blood_pressure":"95/60",
                "heart_rate":118,"consciousness":"C","temperature":38.6,"glucose":7}"#,
        );

        let outcome = stage.services.risk.predict(&service(), request, None).await.unwrap();

        let told = stage.told().await;
        let explanation = &told[0].payload["explanation"];
        assert_eq!(explanation["aggregate"], 16);
        assert_eq!(
            explanation["top_features"][0],
            json!({"feature": "respiratory_rate", "impact": 3})
        );
        assert_eq!(explanation["clinical_risk"], "high");
        assert_eq!(explanation["not_scored"], json!(["glucose"]));
        assert_eq!(told[0].payload["risk_score"], 0.9415);
        assert_eq!(
            told[1].payload["message"],
            "Critical risk: NEWS2 16, observe continuously; emergency response within 30 minutes"
        );
        assert_eq!(outcome.confidence, None);
    }

    #[tokio::test]
    async fn vitals_that_cannot_be_scored_are_named_and_nobody_is_told() {
        let mut stage = Stage::new();

        let refused = stage
            .services
            .risk
            .predict(&service(), vitals(r#"{"temperature":98.6}"#), None)
            .await;

        let Err(WriteError::Invalid(problems)) = refused else {
            panic!("{refused:?}")
        };
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_ref()).collect();
        assert_eq!(
            fields,
            [
                "respiratory_rate",
                "oxygen_saturation",
                "systolic_bp",
                "heart_rate",
                "consciousness",
                "temperature"
            ]
        );
        assert!(stage.told().await.is_empty());
    }

    #[tokio::test]
    async fn a_prediction_over_the_limit_is_told_and_its_alert_is_not() {
        let mut stage = Stage::new();
        for _ in 0..10 {
            stage
                .services
                .risk
                .predict(&service(), predicted(0.7, None), None)
                .await
                .unwrap();
        }
        stage.told().await;

        let outcome = stage
            .services
            .risk
            .predict(&service(), predicted(0.7, None), None)
            .await
            .unwrap();

        assert!(outcome.suppressed);
        assert!(outcome.alert_id.is_some());
        assert_eq!(stage.told_names().await, ["risk_updated"]);
        assert_eq!(stage.metrics.suppressed.get(), 1);
    }

    #[tokio::test]
    async fn who_may_not_predict_is_refused() {
        let mut stage = Stage::new();
        stage.place("P1", "H1").await;
        let risk = stage.services.risk.clone();
        let elsewhere = Predict {
            hospital_id: Some(hospital("H2")),
            ..predicted(0.9, None)
        };

        let by_patient = risk.predict(&patient("P1"), predicted(0.9, None), None).await;
        let by_other = risk.predict(&doctor("H2"), predicted(0.9, None), None).await;
        let moving = risk.predict(&doctor("H1"), elsewhere, None).await;

        assert!(matches!(by_patient, Err(WriteError::Denied(Denied::Role))));
        assert!(matches!(by_other, Err(WriteError::Denied(Denied::Hospital))));
        assert!(matches!(moving, Err(WriteError::Denied(Denied::Hospital))));
        assert!(stage.told().await.is_empty());
    }
}
