//! Chart 1: the points of each parameter, row by row as it is printed.

#![expect(
    clippy::match_same_arms,
    reason = "the cells of a published chart, each where it is printed"
)]

use super::{Consciousness, Parameter, Score, SpO2Scale, Vitals};

impl Vitals {
    /// The score, by chart 1.
    pub fn score(&self) -> Score {
        Score {
            points: [
                (Parameter::RespiratoryRate, respiration_points(self.respiratory_rate)),
                (Parameter::OxygenSaturation, self.saturation_points()),
                (Parameter::SupplementalOxygen, if self.on_oxygen { 2 } else { 0 }),
                (Parameter::SystolicBp, systolic_points(self.systolic_bp)),
                (Parameter::HeartRate, pulse_points(self.heart_rate)),
                (Parameter::Consciousness, consciousness_points(self.consciousness)),
                (Parameter::Temperature, temperature_points(self.temperature_tenths)),
            ],
            scale: self.scale,
        }
    }

    fn saturation_points(&self) -> u8 {
        match (self.scale, self.on_oxygen) {
            (SpO2Scale::One, _) => match self.oxygen_saturation {
                ..=91 => 3,
                92..=93 => 2,
                94..=95 => 1,
                96.. => 0,
            },
            (SpO2Scale::Two, false) => match self.oxygen_saturation {
                ..=83 => 3,
                84..=85 => 2,
                86..=87 => 1,
                88.. => 0,
            },
            (SpO2Scale::Two, true) => match self.oxygen_saturation {
                ..=83 => 3,
                84..=85 => 2,
                86..=87 => 1,
                88..=92 => 0,
                93..=94 => 1,
                95..=96 => 2,
                97.. => 3,
            },
        }
    }
}

fn respiration_points(per_minute: i32) -> u8 {
    match per_minute {
        ..=8 => 3,
        9..=11 => 1,
        12..=20 => 0,
        21..=24 => 2,
        25.. => 3,
    }
}

fn systolic_points(mmhg: i32) -> u8 {
    match mmhg {
        ..=90 => 3,
        91..=100 => 2,
        101..=110 => 1,
        111..=219 => 0,
        220.. => 3,
    }
}

fn pulse_points(per_minute: i32) -> u8 {
    match per_minute {
        ..=40 => 3,
        41..=50 => 1,
        51..=90 => 0,
        91..=110 => 1,
        111..=130 => 2,
        131.. => 3,
    }
}

fn consciousness_points(level: Consciousness) -> u8 {
    match level {
        Consciousness::Alert => 0,
        Consciousness::Confusion | Consciousness::Voice | Consciousness::Pain | Consciousness::Unresponsive => 3,
    }
}

fn temperature_points(tenths: i32) -> u8 {
    match tenths {
        ..=350 => 3,
        351..=360 => 1,
        361..=380 => 0,
        381..=390 => 1,
        391.. => 2,
    }
}

#[cfg(test)]
/// Every vital in the middle of the column of 0.
pub(super) const NORMAL: Vitals = Vitals {
    respiratory_rate: 16,
    oxygen_saturation: 98,
    scale: SpO2Scale::One,
    on_oxygen: false,
    systolic_bp: 120,
    heart_rate: 70,
    consciousness: Consciousness::Alert,
    temperature_tenths: 370,
};

#[cfg(test)]
mod tests {
    use super::*;

    fn points(vitals: Vitals, parameter: Parameter) -> u8 {
        vitals
            .score()
            .points()
            .find(|(scored, _)| *scored == parameter)
            .unwrap()
            .1
    }

    /// One row of chart 1, cell by cell: (from, to, points), both ends included, over the whole plausible range.
    fn holds_to_the_chart(parameter: Parameter, row: &[(i32, i32, u8)], vitals: impl Fn(i32) -> Vitals) {
        for (from, to, expected) in row {
            for value in *from..=*to {
                assert_eq!(points(vitals(value), parameter), *expected, "{parameter:?} {value}");
            }
        }
        for pair in row.windows(2) {
            assert_eq!(pair[0].1 + 1, pair[1].0, "{parameter:?}: the chart has no gaps");
        }
    }

    #[test]
    fn respirations_are_scored_by_the_chart() {
        let row = [(1, 8, 3), (9, 11, 1), (12, 20, 0), (21, 24, 2), (25, 80, 3)];

        holds_to_the_chart(Parameter::RespiratoryRate, &row, |respiratory_rate| Vitals {
            respiratory_rate,
            ..NORMAL
        });
    }

    #[test]
    fn saturation_on_scale_1_is_scored_by_the_chart_on_air_and_on_oxygen() {
        let row = [(30, 91, 3), (92, 93, 2), (94, 95, 1), (96, 100, 0)];

        for on_oxygen in [false, true] {
            holds_to_the_chart(Parameter::OxygenSaturation, &row, |oxygen_saturation| Vitals {
                oxygen_saturation,
                on_oxygen,
                ..NORMAL
            });
        }
    }

    #[test]
    fn saturation_on_scale_2_on_air_is_scored_by_the_chart() {
        let row = [(30, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 100, 0)];

        holds_to_the_chart(Parameter::OxygenSaturation, &row, |oxygen_saturation| Vitals {
            oxygen_saturation,
            scale: SpO2Scale::Two,
            ..NORMAL
        });
    }

    #[test]
    fn saturation_on_scale_2_on_oxygen_is_scored_by_the_chart() {
        let row = [
            (30, 83, 3),
            (84, 85, 2),
            (86, 87, 1),
            (88, 92, 0),
            (93, 94, 1),
            (95, 96, 2),
            (97, 100, 3),
        ];

        holds_to_the_chart(Parameter::OxygenSaturation, &row, |oxygen_saturation| Vitals {
            oxygen_saturation,
            scale: SpO2Scale::Two,
            on_oxygen: true,
            ..NORMAL
        });
    }

    #[test]
    fn oxygen_is_2_and_air_is_0() {
        assert_eq!(
            points(
                Vitals {
                    on_oxygen: true,
                    ..NORMAL
                },
                Parameter::SupplementalOxygen
            ),
            2
        );
        assert_eq!(
            points(
                Vitals {
                    on_oxygen: false,
                    ..NORMAL
                },
                Parameter::SupplementalOxygen
            ),
            0
        );
    }

    #[test]
    fn systolic_pressure_is_scored_by_the_chart() {
        let row = [(30, 90, 3), (91, 100, 2), (101, 110, 1), (111, 219, 0), (220, 300, 3)];

        holds_to_the_chart(Parameter::SystolicBp, &row, |systolic_bp| Vitals {
            systolic_bp,
            ..NORMAL
        });
    }

    #[test]
    fn pulse_is_scored_by_the_chart() {
        let row = [
            (10, 40, 3),
            (41, 50, 1),
            (51, 90, 0),
            (91, 110, 1),
            (111, 130, 2),
            (131, 300, 3),
        ];

        holds_to_the_chart(Parameter::HeartRate, &row, |heart_rate| Vitals { heart_rate, ..NORMAL });
    }

    #[test]
    fn consciousness_other_than_alert_is_3() {
        for (consciousness, expected) in [
            (Consciousness::Alert, 0),
            (Consciousness::Confusion, 3),
            (Consciousness::Voice, 3),
            (Consciousness::Pain, 3),
            (Consciousness::Unresponsive, 3),
        ] {
            assert_eq!(
                points(
                    Vitals {
                        consciousness,
                        ..NORMAL
                    },
                    Parameter::Consciousness
                ),
                expected
            );
        }
    }

    #[test]
    fn temperature_is_scored_by_the_chart_tenth_by_tenth() {
        let row = [
            (250, 350, 3),
            (351, 360, 1),
            (361, 380, 0),
            (381, 390, 1),
            (391, 450, 2),
        ];

        holds_to_the_chart(Parameter::Temperature, &row, |temperature_tenths| Vitals {
            temperature_tenths,
            ..NORMAL
        });
    }
}
