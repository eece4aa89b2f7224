//! Risk scores and levels, and which alert follows from them (contract A §6).
//!
//! It refuses to know how a score came about: a model's and NEWS2's are the same here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::alert::PatientAlertType;
use super::{Event, EventId, EventName, FreeValue, PatientId, Payload, Room, RoomName, Timestamp};

/// How likely harm is, in words. Ordered: `Low` is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Nothing asks for attention.
    Low,
    /// Worth a look.
    Medium,
    /// Asks for somebody soon.
    High,
    /// Asks for somebody now.
    Critical,
}

impl RiskLevel {
    /// The level as the wire writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for RiskLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no risk level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be low, medium, high or critical")]
pub struct UnknownRiskLevel;

impl FromStr for RiskLevel {
    type Err = UnknownRiskLevel;

    /// Reads a predicting service's own level: upper or lower case, `moderate` being `medium`.
    fn from_str(text: &str) -> Result<Self, UnknownRiskLevel> {
        match text.to_ascii_lowercase().as_str() {
            "low" => Ok(Self::Low),
            "medium" | "moderate" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            "critical" => Ok(Self::Critical),
            _ => Err(UnknownRiskLevel),
        }
    }
}

/// A probability, 0 to 1: a risk score or a model's confidence in it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

/// The number is no probability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 1")]
pub struct InvalidProbability;

impl Probability {
    /// Takes `value` if it is from 0 to 1.
    pub fn new(value: f64) -> Result<Self, InvalidProbability> {
        // Adding zero turns -0.0, which JSON can carry, into 0.0.
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value + 0.0))
        } else {
            Err(InvalidProbability)
        }
    }

    /// The nearest probability to `value`; 0 for what is no number.
    pub fn clamped(value: f64) -> Self {
        Self(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    /// The number.
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = InvalidProbability;
    fn try_from(value: f64) -> Result<Self, InvalidProbability> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(value: Probability) -> Self {
        value.0
    }
}

/// From which score on a level begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// `critical` is above this one.
    pub critical_above: f64,
    /// `high` is from this one.
    pub high_from: f64,
    /// `medium` is from this one.
    pub medium_from: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            critical_above: 0.8,
            high_from: 0.6,
            medium_from: 0.3,
        }
    }
}

/// What becomes of a risk score: the level that it means, and whether somebody is alerted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RiskPolicy {
    thresholds: Thresholds,
    alert_from: RiskLevel,
}

/// The thresholds contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("risk thresholds must satisfy 0 < medium < high < critical < 1")]
pub struct InvalidThresholds;

impl RiskPolicy {
    /// A policy. Every level must be reachable: 0 < medium < high < critical < 1.
    pub fn new(thresholds: Thresholds, alert_from: RiskLevel) -> Result<Self, InvalidThresholds> {
        let Thresholds {
            critical_above,
            high_from,
            medium_from,
        } = thresholds;
        let rises = 0.0 < medium_from && medium_from < high_from && high_from < critical_above && critical_above < 1.0;
        if rises {
            Ok(Self { thresholds, alert_from })
        } else {
            Err(InvalidThresholds)
        }
    }

    /// The level that a score means.
    pub fn level(&self, score: Probability) -> RiskLevel {
        let score = score.as_f64();
        if score > self.thresholds.critical_above {
            RiskLevel::Critical
        } else if score >= self.thresholds.high_from {
            RiskLevel::High
        } else if score >= self.thresholds.medium_from {
            RiskLevel::Medium
        } else {
            RiskLevel::Low
        }
    }

    /// The alert that a level asks for; none under the floor.
    ///
    /// Should the floor be `low`, a low risk is told as `info`.
    pub fn alert(&self, level: RiskLevel) -> Option<PatientAlertType> {
        (level >= self.alert_from).then_some(match level {
            RiskLevel::Low => PatientAlertType::Info,
            RiskLevel::Medium | RiskLevel::High => PatientAlertType::Warning,
            RiskLevel::Critical => PatientAlertType::Critical,
        })
    }
}

impl Default for RiskPolicy {
    /// The contract's figures: alerts from `medium`.
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            alert_from: RiskLevel::Medium,
        }
    }
}

/// A patient's risk, about to be told.
#[derive(Clone, Debug)]
pub struct RiskUpdate<'a> {
    /// The event's id.
    pub id: EventId,
    /// Whom it is about.
    pub patient_id: &'a PatientId,
    /// How likely harm is.
    pub score: Probability,
    /// The same in words.
    pub level: RiskLevel,
    /// Why.
    pub explanation: &'a FreeValue,
    /// When it became known.
    pub at: Timestamp,
}

impl RiskUpdate<'_> {
    /// The `risk_updated` that tells it.
    ///
    /// # Errors
    /// If the payload cannot be JSON.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        let payload = Payload::encode(&Updated {
            event_type: "risk_update",
            patient_id: self.patient_id,
            risk_score: self.score,
            risk_level: self.level,
            explanation: self.explanation,
            timestamp: self.at,
            event_id: self.id,
        })?;
        Ok(Event {
            id: self.id,
            name: EventName::RISK_UPDATED,
            rooms: vec![RoomName::from(Room::Patient(self.patient_id.clone()))],
            payload,
            raised_at: self.at,
            alert: None,
        })
    }
}

#[derive(Serialize)]
struct Updated<'a> {
    event_type: &'static str,
    patient_id: &'a PatientId,
    risk_score: Probability,
    risk_level: RiskLevel,
    explanation: &'a FreeValue,
    timestamp: Timestamp,
    event_id: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn levels_begin_where_the_contract_says() {
        let policy = RiskPolicy::default();
        let table = [
            (0.0, RiskLevel::Low),
            (0.299_999, RiskLevel::Low),
            (0.3, RiskLevel::Medium),
            (0.599_999, RiskLevel::Medium),
            (0.6, RiskLevel::High),
            (0.8, RiskLevel::High),
            (0.800_001, RiskLevel::Critical),
            (1.0, RiskLevel::Critical),
        ];

        for (value, level) in table {
            assert_eq!(policy.level(score(value)), level, "{value}");
        }
    }

    #[test]
    fn alerts_follow_from_the_level() {
        let policy = RiskPolicy::default();

        assert_eq!(policy.alert(RiskLevel::Low), None);
        assert_eq!(policy.alert(RiskLevel::Medium), Some(PatientAlertType::Warning));
        assert_eq!(policy.alert(RiskLevel::High), Some(PatientAlertType::Warning));
        assert_eq!(policy.alert(RiskLevel::Critical), Some(PatientAlertType::Critical));
    }

    #[test]
    fn the_floor_moves_which_levels_alert() {
        let only_critical = RiskPolicy::new(Thresholds::default(), RiskLevel::Critical).unwrap();
        let all = RiskPolicy::new(Thresholds::default(), RiskLevel::Low).unwrap();

        assert_eq!(only_critical.alert(RiskLevel::High), None);
        assert_eq!(
            only_critical.alert(RiskLevel::Critical),
            Some(PatientAlertType::Critical)
        );
        assert_eq!(all.alert(RiskLevel::Low), Some(PatientAlertType::Info));
    }

    #[test]
    fn thresholds_that_leave_a_level_unreachable_are_refused() {
        for (medium_from, high_from, critical_above) in [
            (0.0, 0.6, 0.8),
            (0.6, 0.6, 0.8),
            (0.3, 0.8, 0.8),
            (0.7, 0.6, 0.8),
            (0.3, 0.6, 1.0),
            (f64::NAN, 0.6, 0.8),
        ] {
            let thresholds = Thresholds {
                critical_above,
                high_from,
                medium_from,
            };

            assert_eq!(
                RiskPolicy::new(thresholds, RiskLevel::Medium),
                Err(InvalidThresholds),
                "{thresholds:?}"
            );
        }
    }

    #[test]
    fn a_level_is_read_in_any_case_and_moderate_is_medium() {
        for (text, level) in [
            ("low", RiskLevel::Low),
            ("MEDIUM", RiskLevel::Medium),
            ("Moderate", RiskLevel::Medium),
            ("High", RiskLevel::High),
            ("CRITICAL", RiskLevel::Critical),
        ] {
            assert_eq!(text.parse(), Ok(level), "{text}");
        }
        for text in ["", "severe", " low", "критический"] {
            assert_eq!(text.parse::<RiskLevel>(), Err(UnknownRiskLevel), "{text:?}");
        }
    }

    #[test]
    fn a_probability_is_from_0_to_1() {
        assert_eq!(Probability::new(-0.0).map(|p| p.as_f64().is_sign_positive()), Ok(true));
        for value in [-0.000_001, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Probability::new(value), Err(InvalidProbability), "{value}");
        }
    }

    #[test]
    fn an_update_is_told_as_the_contract_writes_it() {
        let id = EventId::new();
        let event = RiskUpdate {
            id,
            patient_id: &PatientId::parse("PAT-1A2B3C4D").unwrap(),
            score: score(0.92),
            level: RiskLevel::Critical,
            explanation: &serde_json::from_str(r#"{"top_features":[{"feature":"heart_rate","impact":0.4}]}"#).unwrap(),
            at: "2026-02-15T10:30:00.123456Z".parse().unwrap(),
        }
        .event()
        .unwrap();

        assert_eq!(event.rooms, [RoomName::from("patient_PAT-1A2B3C4D")]);
        assert_eq!(
            event.payload.as_json(),
            format!(
                r#"{{"event_type":"risk_update","patient_id":"PAT-1A2B3C4D","risk_score":0.92,"risk_level":"critical","explanation":{{"top_features":[{{"feature":"heart_rate","impact":0.4}}]}},"timestamp":"2026-02-15T10:30:00.123456+00:00","event_id":"{id}"}}"#
            )
        );
    }
}
