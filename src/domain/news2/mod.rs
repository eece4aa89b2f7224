//! NEWS2: how far vital signs are from normal.
//!
//! Source of every figure, unless it is called ours: Royal College of Physicians, *National Early Warning Score (NEWS) 2:
//! Standardising the assessment of acute-illness severity in the NHS*, London 2017, charts 1 and 2. The College asks to be
//! acknowledged and puts no restriction on the use of the material.
//!
//! It refuses to guess: a vital that is missing or cannot be is named, and nothing is scored.

mod chart;
mod observations;

use serde::{Deserialize, Serialize};

use super::risk::{Probability, RiskLevel};

pub use observations::{Fault, FaultReason, Given, Observations};

/// Level of consciousness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consciousness {
    /// Alert.
    Alert,
    /// New confusion.
    Confusion,
    /// Reacts to voice.
    Voice,
    /// Reacts to pain.
    Pain,
    /// Does not react.
    Unresponsive,
}

/// Which `SpO2` scale is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpO2Scale {
    /// For everybody else.
    One,
    /// For hypercapnic respiratory failure with a prescribed target of 88–92 %.
    Two,
}

/// A complete and plausible set of observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Respirations per minute.
    pub respiratory_rate: i32,
    /// `SpO2`, in percent.
    pub oxygen_saturation: i32,
    /// How `SpO2` is read.
    pub scale: SpO2Scale,
    /// Whether they breathe oxygen.
    pub on_oxygen: bool,
    /// Systolic blood pressure, mmHg.
    pub systolic_bp: i32,
    /// Pulse, beats per minute.
    pub heart_rate: i32,
    /// Level of consciousness.
    pub consciousness: Consciousness,
    /// Tenths of a degree Celsius: 37.0 °C is 370.
    pub temperature_tenths: i32,
}

/// The parameters of the chart, in its order. Each is written as the field that it is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Respirations per minute.
    RespiratoryRate,
    /// `SpO2`, on either scale.
    OxygenSaturation,
    /// Air or oxygen.
    SupplementalOxygen,
    /// Systolic blood pressure.
    SystolicBp,
    /// Pulse.
    HeartRate,
    /// Level of consciousness.
    Consciousness,
    /// Temperature.
    Temperature,
}

/// How many parameters the chart has.
const PARAMETERS: usize = 7;

/// A scored set of observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    points: [(Parameter, u8); PARAMETERS],
    scale: SpO2Scale,
}

/// The published clinical risk, chart 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClinicalRisk {
    /// 0 to 4.
    #[serde(rename = "low")]
    Low,
    /// 3 in a single parameter, less than 5 in all.
    #[serde(rename = "low-medium")]
    LowMedium,
    /// 5 or 6.
    #[serde(rename = "medium")]
    Medium,
    /// 7 or more.
    #[serde(rename = "high")]
    High,
}

impl Score {
    /// The aggregate, 0 to 20.
    pub fn aggregate(&self) -> u8 {
        self.points.iter().map(|(_, points)| points).sum()
    }

    /// The points of each parameter, in the order of the chart.
    pub fn points(&self) -> impl Iterator<Item = (Parameter, u8)> {
        self.points.into_iter()
    }

    /// The published clinical risk, chart 2.
    pub fn clinical_risk(&self) -> ClinicalRisk {
        match self.aggregate() {
            7.. => ClinicalRisk::High,
            5..=6 => ClinicalRisk::Medium,
            0..=4 if self.points.iter().any(|(_, points)| *points == 3) => ClinicalRisk::LowMedium,
            0..=4 => ClinicalRisk::Low,
        }
    }

    /// The published response, chart 4: how often to observe, and what to do.
    pub fn response(&self) -> &'static str {
        match (self.clinical_risk(), self.aggregate()) {
            (ClinicalRisk::Low, 0) => "observe at least every 12 hours",
            (ClinicalRisk::Low, _) => "observe every 4 to 6 hours; ward-based response",
            (ClinicalRisk::LowMedium, _) => "observe at least every hour; urgent ward-based response",
            (ClinicalRisk::Medium, _) => "observe at least every hour; urgent response within 1 hour",
            (ClinicalRisk::High, _) => "observe continuously; emergency response within 30 minutes",
        }
    }

    /// Our level for the published clinical risk (contract A, NEWS2).
    pub fn risk_level(&self) -> RiskLevel {
        match self.clinical_risk() {
            ClinicalRisk::Low => RiskLevel::Low,
            ClinicalRisk::LowMedium => RiskLevel::Medium,
            ClinicalRisk::Medium => RiskLevel::High,
            ClinicalRisk::High => RiskLevel::Critical,
        }
    }

    /// Our score from 0 to 1, to four decimals. Not a probability of anything: it fits the aggregate to the contract's
    /// thresholds, so that screens which know only scores put these patients in the right order.
    pub fn risk_score(&self) -> Probability {
        let aggregate = f64::from(self.aggregate());
        let score = match self.clinical_risk() {
            ClinicalRisk::Low => 0.07 * aggregate,
            ClinicalRisk::LowMedium => 0.45,
            ClinicalRisk::Medium => 0.65 + 0.10 * (aggregate - 5.0),
            ClinicalRisk::High => 0.81 + 0.19 * (aggregate - 7.0) / 13.0,
        };
        Probability::clamped((score * 10_000.0).round() / 10_000.0)
    }

    /// What clinicians read. `not_scored` are the fields that were sent and play no part.
    pub fn explanation(&self, not_scored: Vec<String>) -> Explanation {
        let mut top_features = self.points.map(|(feature, impact)| Feature { feature, impact });
        // Stable: what weighs the same stays in the order of the chart.
        top_features.sort_by_key(|feature| std::cmp::Reverse(feature.impact));
        Explanation {
            method: "NEWS2",
            aggregate: self.aggregate(),
            top_features,
            clinical_risk: self.clinical_risk(),
            response: self.response(),
            oxygen_saturation_scale: match self.scale {
                SpO2Scale::One => 1,
                SpO2Scale::Two => 2,
            },
            not_scored,
            source: "Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017",
        }
    }
}

/// Why the risk is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `NEWS2`.
    pub method: &'static str,
    /// 0 to 20.
    pub aggregate: u8,
    /// The points of each parameter, largest first.
    pub top_features: [Feature; PARAMETERS],
    /// The published clinical risk.
    pub clinical_risk: ClinicalRisk,
    /// The published response.
    pub response: &'static str,
    /// Which `SpO2` scale was used.
    pub oxygen_saturation_scale: u8,
    /// Fields that were sent and play no part in NEWS2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_scored: Vec<String>,
    /// Whose figures these are.
    pub source: &'static str,
}

/// How much one parameter adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Which one.
    pub feature: Parameter,
    /// Its points, 0 to 3.
    pub impact: u8,
}

#[cfg(test)]
mod tests {
    use super::chart::NORMAL;
    use super::*;

    /// Vitals whose points add up to each aggregate from 0 to 20; none of 1 to 4 has a 3.
    fn with_aggregate(aggregate: u8) -> Vitals {
        let mut vitals = NORMAL;
        let mut left = aggregate;
        let mut spend = |points: u8| {
            let affordable = left >= points;
            left -= if affordable { points } else { 0 };
            affordable
        };
        if aggregate > 4 {
            if spend(3) {
                vitals.respiratory_rate = 25;
            }
            if spend(3) {
                vitals.oxygen_saturation = 91;
            }
            if spend(3) {
                vitals.systolic_bp = 90;
            }
            if spend(3) {
                vitals.consciousness = Consciousness::Voice;
            }
        }
        if vitals.respiratory_rate == 16 && spend(2) {
            vitals.respiratory_rate = 21;
        }
        if spend(2) {
            vitals.on_oxygen = true;
        }
        if aggregate > 4 && spend(3) {
            vitals.heart_rate = 131;
        } else if spend(2) {
            vitals.heart_rate = 111;
        } else if spend(1) {
            vitals.heart_rate = 91;
        }
        if spend(3) {
            vitals.temperature_tenths = 350;
        } else if spend(2) {
            vitals.temperature_tenths = 391;
        } else if spend(1) {
            vitals.temperature_tenths = 381;
        }
        vitals
    }

    #[test]
    fn every_aggregate_has_its_band_level_and_score() {
        let table = [
            (0, ClinicalRisk::Low, RiskLevel::Low, 0.0),
            (1, ClinicalRisk::Low, RiskLevel::Low, 0.07),
            (2, ClinicalRisk::Low, RiskLevel::Low, 0.14),
            (3, ClinicalRisk::Low, RiskLevel::Low, 0.21),
            (4, ClinicalRisk::Low, RiskLevel::Low, 0.28),
            (5, ClinicalRisk::Medium, RiskLevel::High, 0.65),
            (6, ClinicalRisk::Medium, RiskLevel::High, 0.75),
            (7, ClinicalRisk::High, RiskLevel::Critical, 0.81),
            (8, ClinicalRisk::High, RiskLevel::Critical, 0.8246),
            (13, ClinicalRisk::High, RiskLevel::Critical, 0.8977),
            (19, ClinicalRisk::High, RiskLevel::Critical, 0.9854),
            (20, ClinicalRisk::High, RiskLevel::Critical, 1.0),
        ];

        for (aggregate, clinical_risk, level, risk_score) in table {
            let score = with_aggregate(aggregate).score();

            assert_eq!(score.aggregate(), aggregate);
            assert_eq!(score.clinical_risk(), clinical_risk, "{aggregate}");
            assert_eq!(score.risk_level(), level, "{aggregate}");
            assert_eq!(score.risk_score(), Probability::new(risk_score).unwrap(), "{aggregate}");
        }
    }

    #[test]
    fn three_in_a_single_parameter_raises_a_low_aggregate_to_low_medium() {
        let three = Vitals {
            heart_rate: 40,
            ..NORMAL
        }
        .score();
        let four = Vitals {
            heart_rate: 40,
            temperature_tenths: 381,
            ..NORMAL
        }
        .score();
        let five = Vitals {
            heart_rate: 40,
            on_oxygen: true,
            ..NORMAL
        }
        .score();

        for score in [three, four] {
            assert_eq!(score.clinical_risk(), ClinicalRisk::LowMedium);
            assert_eq!(score.risk_level(), RiskLevel::Medium);
            assert_eq!(score.risk_score(), Probability::new(0.45).unwrap());
        }
        assert_eq!(five.clinical_risk(), ClinicalRisk::Medium);
    }

    #[test]
    fn each_band_names_the_published_response() {
        let response = |vitals: Vitals| vitals.score().response();

        assert!(response(with_aggregate(0)).contains("12 hours"));
        assert!(response(with_aggregate(1)).contains("4 to 6 hours"));
        assert!(response(with_aggregate(4)).contains("4 to 6 hours"));
        assert!(
            response(Vitals {
                heart_rate: 40,
                ..NORMAL
            })
            .contains("urgent ward-based")
        );
        assert!(response(with_aggregate(6)).contains("within 1 hour"));
        assert!(response(with_aggregate(7)).contains("within 30 minutes"));
    }

    #[test]
    fn the_explanation_lists_every_parameter_largest_first() {
        let vitals = Vitals {
            consciousness: Consciousness::Confusion,
            on_oxygen: true,
            heart_rate: 95,
            ..NORMAL
        };

        let explanation = vitals.score().explanation(vec!["glucose".to_owned()]);

        let listed: Vec<_> = explanation.top_features.iter().map(|f| (f.feature, f.impact)).collect();
        assert_eq!(
            listed,
            [
                (Parameter::Consciousness, 3),
                (Parameter::SupplementalOxygen, 2),
                (Parameter::HeartRate, 1),
                (Parameter::RespiratoryRate, 0),
                (Parameter::OxygenSaturation, 0),
                (Parameter::SystolicBp, 0),
                (Parameter::Temperature, 0),
            ]
        );
        assert_eq!(explanation.aggregate, 6);
        assert_eq!(explanation.not_scored, ["glucose"]);
    }
}
