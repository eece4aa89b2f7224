//! Observations as they come, and what is wrong with them.

use super::{Consciousness, SpO2Scale, Vitals};

/// A field of a set of observations, as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// It is not there.
    #[default]
    Nothing,
    /// It is there and is not of the right kind: a text where a number belongs.
    Unreadable,
    /// A value.
    Value(T),
}

/// A set of observations as it came, unchecked. The fields are the contract's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Respirations per minute.
    pub respiratory_rate: Given<f64>,
    /// `SpO2`, in percent.
    pub oxygen_saturation: Given<f64>,
    /// 1, or 2 for hypercapnic respiratory failure with a prescribed target of 88–92 %. 1 where it is left out.
    pub oxygen_saturation_scale: Given<f64>,
    /// Whether they breathe oxygen. Air where it is left out.
    pub supplemental_oxygen: Given<bool>,
    /// Systolic blood pressure, mmHg.
    pub systolic_bp: Given<f64>,
    /// The same as the first number of `120/80`.
    pub blood_pressure: Given<String>,
    /// Pulse, beats per minute.
    pub heart_rate: Given<f64>,
    /// `A`, `C`, `V`, `P` or `U`.
    pub consciousness: Given<String>,
    /// Degrees Celsius.
    pub temperature: Given<f64>,
    /// Years, where known.
    pub age: Given<f64>,
    /// Whether they are pregnant, where known.
    pub pregnant: Given<bool>,
}

/// What is wrong with one field of a set of observations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, as the contract writes it.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: FaultReason,
}

/// Why a field cannot be scored. Messages are to be read after the field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultReason {
    /// NEWS2 needs it.
    #[error("is required")]
    Missing,
    /// It is no number.
    #[error("must be a number")]
    NotANumber,
    /// It is neither true nor false.
    #[error("must be true or false")]
    NotABool,
    /// It counts something and is not whole.
    #[error("must be a whole number")]
    NotWhole,
    /// No living person has this value.
    #[error("must be {from} to {to} {unit}")]
    Implausible {
        /// The least that is believed.
        from: i32,
        /// The most that is believed.
        to: i32,
        /// Of what.
        unit: &'static str,
    },
    /// No living person has this temperature, in degrees Celsius.
    #[error("must be 25.0 to 45.0 °C; this looks like °F")]
    Fahrenheit,
    /// There are two scales.
    #[error("must be 1 or 2")]
    NoSuchScale,
    /// The published chart has five letters.
    #[error("must be A, C, V, P or U")]
    NoSuchConsciousness,
    /// It is not written `120/80`.
    #[error("must be written like \"120/80\"")]
    NotAPressure,
    /// Both ways of giving it were used, and they differ.
    #[error("differs from systolic_bp")]
    Contradiction,
    /// NEWS2 was not made for children.
    #[error("must be 16 or more: NEWS2 is not for children under 16")]
    Child,
    /// NEWS2 was not made for pregnancy.
    #[error("must not be true: NEWS2 is not for use in pregnancy")]
    Pregnant,
}

impl Observations {
    /// The vitals, if every one that NEWS2 needs is there and possible, and if it may be used at all.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the chart; never empty.
    pub fn check(&self) -> Result<Vitals, Vec<Fault>> {
        let mut faults = Faults::default();
        let respiratory_rate = faults.take("respiratory_rate", count(&self.respiratory_rate, 1, 80, "per minute"));
        let oxygen_saturation = faults.take("oxygen_saturation", count(&self.oxygen_saturation, 30, 100, "%"));
        let scale = faults.take("oxygen_saturation_scale", scale(&self.oxygen_saturation_scale));
        let on_oxygen = faults.take("supplemental_oxygen", flag(self.supplemental_oxygen));
        let systolic_bp = self.systolic(&mut faults);
        let heart_rate = faults.take("heart_rate", count(&self.heart_rate, 10, 300, "per minute"));
        let consciousness = faults.take("consciousness", consciousness(&self.consciousness));
        let temperature_tenths = faults.take("temperature", temperature(&self.temperature));
        faults.take("age", age(&self.age));
        faults.take("pregnant", not_pregnant(self.pregnant));

        let vitals = (|| {
            Some(Vitals {
                respiratory_rate: respiratory_rate?,
                oxygen_saturation: oxygen_saturation?,
                scale: scale?,
                on_oxygen: on_oxygen?,
                systolic_bp: systolic_bp?,
                heart_rate: heart_rate?,
                consciousness: consciousness?,
                temperature_tenths: temperature_tenths?,
            })
        })();
        match vitals {
            Some(vitals) if faults.0.is_empty() => Ok(vitals),
            Some(_) | None => Err(faults.0),
        }
    }

    fn systolic(&self, faults: &mut Faults) -> Option<i32> {
        let paired = match &self.blood_pressure {
            Given::Nothing => None,
            Given::Unreadable => faults.take("blood_pressure", Err(FaultReason::NotAPressure)),
            Given::Value(text) => faults.take("blood_pressure", pressure(text)),
        };
        match (&self.systolic_bp, &self.blood_pressure) {
            (Given::Nothing, Given::Unreadable | Given::Value(_)) => paired,
            (Given::Nothing | Given::Unreadable | Given::Value(_), _) => {
                let alone = faults.take("systolic_bp", count(&self.systolic_bp, 30, 300, "mmHg"));
                if let (Some(alone), Some(paired)) = (alone, paired)
                    && alone != paired
                {
                    faults.take::<i32>("blood_pressure", Err(FaultReason::Contradiction));
                }
                alone
            }
        }
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn take<T>(&mut self, field: &'static str, value: Result<T, FaultReason>) -> Option<T> {
        value.map_err(|reason| self.0.push(Fault { field, reason })).ok()
    }
}

fn number(given: &Given<f64>) -> Result<f64, FaultReason> {
    match given {
        Given::Nothing => Err(FaultReason::Missing),
        Given::Unreadable => Err(FaultReason::NotANumber),
        Given::Value(value) => Ok(*value),
    }
}

fn count(given: &Given<f64>, from: i32, to: i32, unit: &'static str) -> Result<i32, FaultReason> {
    plausible(number(given)?, from, to, unit)
}

/// The number, if it is whole and from `from` to `to`.
fn plausible(value: f64, from: i32, to: i32, unit: &'static str) -> Result<i32, FaultReason> {
    if !(f64::from(from)..=f64::from(to)).contains(&value) {
        return Err(FaultReason::Implausible { from, to, unit });
    }
    if value.fract() != 0.0 {
        return Err(FaultReason::NotWhole);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and inside the range of two i32")]
    Ok(value as i32)
}

fn scale(given: &Given<f64>) -> Result<SpO2Scale, FaultReason> {
    match given {
        Given::Nothing | Given::Value(1.0) => Ok(SpO2Scale::One),
        Given::Value(2.0) => Ok(SpO2Scale::Two),
        Given::Unreadable | Given::Value(_) => Err(FaultReason::NoSuchScale),
    }
}

fn flag(given: Given<bool>) -> Result<bool, FaultReason> {
    match given {
        Given::Nothing => Ok(false),
        Given::Unreadable => Err(FaultReason::NotABool),
        Given::Value(value) => Ok(value),
    }
}

/// The systolic pressure of `120/80`. The diastolic one is not scored; it must be a lower number all the same.
fn pressure(text: &str) -> Result<i32, FaultReason> {
    let digits = |text: &str| {
        let text = text.trim();
        // `parse` alone would take a sign.
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u16>().ok())
            .flatten()
    };
    let (systolic, diastolic) = text.split_once('/').ok_or(FaultReason::NotAPressure)?;
    let (Some(systolic), Some(diastolic)) = (digits(systolic), digits(diastolic)) else {
        return Err(FaultReason::NotAPressure);
    };
    if diastolic > systolic {
        return Err(FaultReason::NotAPressure);
    }
    plausible(f64::from(systolic), 30, 300, "mmHg")
}

fn consciousness(given: &Given<String>) -> Result<Consciousness, FaultReason> {
    match given {
        Given::Nothing => Err(FaultReason::Missing),
        Given::Unreadable => Err(FaultReason::NoSuchConsciousness),
        Given::Value(letter) => match letter.as_str() {
            "A" | "a" => Ok(Consciousness::Alert),
            "C" | "c" => Ok(Consciousness::Confusion),
            "V" | "v" => Ok(Consciousness::Voice),
            "P" | "p" => Ok(Consciousness::Pain),
            "U" | "u" => Ok(Consciousness::Unresponsive),
            _ => Err(FaultReason::NoSuchConsciousness),
        },
    }
}

/// Tenths of a degree, rounded half up as it is written: 38.05 is 38.1.
fn temperature(given: &Given<f64>) -> Result<i32, FaultReason> {
    let celsius = number(given)?;
    if (77.0..=113.0).contains(&celsius) {
        return Err(FaultReason::Fahrenheit);
    }
    if !(24.0..=46.0).contains(&celsius) {
        return Err(FaultReason::Implausible {
            from: 25,
            to: 45,
            unit: "°C",
        });
    }
    // By way of millionths: 38.05 has no exact binary form, and times ten may land on either side of the half.
    #[expect(clippy::cast_possible_truncation, reason = "at most 46 million")]
    let millionths = (celsius * 1_000_000.0).round() as i32;
    let tenths = (millionths + 50_000).div_euclid(100_000);
    if (250..=450).contains(&tenths) {
        Ok(tenths)
    } else {
        Err(FaultReason::Implausible {
            from: 25,
            to: 45,
            unit: "°C",
        })
    }
}

fn age(given: &Given<f64>) -> Result<(), FaultReason> {
    match given {
        Given::Unreadable => Err(FaultReason::NotANumber),
        Given::Value(years) if !(0.0..=150.0).contains(years) => Err(FaultReason::Implausible {
            from: 0,
            to: 150,
            unit: "years",
        }),
        Given::Value(years) if *years < 16.0 => Err(FaultReason::Child),
        Given::Nothing | Given::Value(_) => Ok(()),
    }
}

fn not_pregnant(given: Given<bool>) -> Result<(), FaultReason> {
    if flag(given)? {
        Err(FaultReason::Pregnant)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::chart::NORMAL;
    use super::*;

    fn normal() -> Observations {
        Observations {
            respiratory_rate: Given::Value(16.0),
            oxygen_saturation: Given::Value(98.0),
            systolic_bp: Given::Value(120.0),
            heart_rate: Given::Value(70.0),
            consciousness: Given::Value("A".to_owned()),
            temperature: Given::Value(37.0),
            ..Observations::default()
        }
    }

    #[test]
    fn normal_observations_are_on_air_and_scale_1() {
        assert_eq!(normal().check(), Ok(NORMAL));
    }

    #[test]
    fn nothing_at_all_names_every_vital_that_is_needed() {
        let faults = Observations::default().check().unwrap_err();

        let missing: Vec<_> = faults.iter().map(|fault| (fault.field, fault.reason.clone())).collect();
        assert_eq!(
            missing,
            [
                "respiratory_rate",
                "oxygen_saturation",
                "systolic_bp",
                "heart_rate",
                "consciousness",
                "temperature"
            ]
            .map(|field| (field, FaultReason::Missing))
        );
    }

    /// The fault of the only field that is wrong.
    fn only_fault(observations: Observations) -> (&'static str, FaultReason) {
        let faults = observations.check().unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        (faults[0].field, faults[0].reason.clone())
    }

    #[test]
    fn each_count_is_believed_inside_its_range_only() {
        type Set = fn(&mut Observations, f64);
        let fields: [(&str, f64, f64, Set); 4] = [
            ("respiratory_rate", 1.0, 80.0, |o, v| {
                o.respiratory_rate = Given::Value(v);
            }),
            ("oxygen_saturation", 30.0, 100.0, |o, v| {
                o.oxygen_saturation = Given::Value(v);
            }),
            ("systolic_bp", 30.0, 300.0, |o, v| o.systolic_bp = Given::Value(v)),
            ("heart_rate", 10.0, 300.0, |o, v| o.heart_rate = Given::Value(v)),
        ];

        for (field, from, to, set) in fields {
            let with = |value: f64| {
                let mut observations = normal();
                set(&mut observations, value);
                observations
            };
            assert!(with(from).check().is_ok(), "{field} {from}");
            assert!(with(to).check().is_ok(), "{field} {to}");
            for value in [from - 1.0, to + 1.0, 0.0, -1.0, f64::NAN, f64::INFINITY] {
                let (named, reason) = only_fault(with(value));
                assert_eq!(named, field);
                assert!(
                    matches!(reason, FaultReason::Implausible { .. }),
                    "{field} {value}: {reason:?}"
                );
            }
            assert_eq!(only_fault(with(from + 0.5)), (field, FaultReason::NotWhole));
        }
    }

    #[test]
    fn a_temperature_in_fahrenheit_is_recognised() {
        for (celsius, is_fahrenheit) in [(77.0, true), (98.6, true), (113.0, true), (76.9, false), (113.1, false)] {
            let (field, reason) = only_fault(Observations {
                temperature: Given::Value(celsius),
                ..normal()
            });

            assert_eq!(field, "temperature");
            assert_eq!(reason == FaultReason::Fahrenheit, is_fahrenheit, "{celsius}");
        }
    }

    #[test]
    fn the_systolic_pressure_is_the_first_number_of_a_pair() {
        let paired = |text: &str| Observations {
            systolic_bp: Given::Nothing,
            blood_pressure: Given::Value(text.to_owned()),
            ..normal()
        };

        assert_eq!(paired("120/80").check(), Ok(NORMAL));
        assert_eq!(paired(" 120 / 80 ").check(), Ok(NORMAL));
        for text in [
            "120",
            "120/",
            "/80",
            "120/80/60",
            "-120/80",
            "+120/80",
            "80/120",
            "a/b",
            "12e1/80",
            "",
        ] {
            assert_eq!(
                only_fault(paired(text)),
                ("blood_pressure", FaultReason::NotAPressure),
                "{text:?}"
            );
        }
        for text in ["29/10", "301/80"] {
            assert_eq!(only_fault(paired(text)).0, "blood_pressure", "{text:?}");
        }
    }

    #[test]
    fn two_systolic_pressures_must_agree() {
        let both = |text: &str| Observations {
            blood_pressure: Given::Value(text.to_owned()),
            ..normal()
        };

        assert_eq!(both("120/80").check(), Ok(NORMAL));
        assert_eq!(
            only_fault(both("121/80")),
            ("blood_pressure", FaultReason::Contradiction)
        );
    }

    #[test]
    fn what_is_of_the_wrong_kind_is_named() {
        let faults = Observations {
            respiratory_rate: Given::Unreadable,
            oxygen_saturation: Given::Unreadable,
            oxygen_saturation_scale: Given::Unreadable,
            supplemental_oxygen: Given::Unreadable,
            systolic_bp: Given::Nothing,
            blood_pressure: Given::Unreadable,
            heart_rate: Given::Unreadable,
            consciousness: Given::Unreadable,
            temperature: Given::Unreadable,
            age: Given::Unreadable,
            pregnant: Given::Unreadable,
        }
        .check()
        .unwrap_err();

        assert_eq!(faults.len(), 10);
        assert!(faults.iter().all(|fault| fault.reason != FaultReason::Missing));
    }

    #[test]
    fn there_are_two_scales_and_five_letters() {
        for value in [0.0, 1.5, 3.0] {
            let given = Observations {
                oxygen_saturation_scale: Given::Value(value),
                ..normal()
            };
            assert_eq!(only_fault(given), ("oxygen_saturation_scale", FaultReason::NoSuchScale));
        }
        for letter in ["", "X", "AV", "alert"] {
            let given = Observations {
                consciousness: Given::Value(letter.to_owned()),
                ..normal()
            };
            assert_eq!(only_fault(given), ("consciousness", FaultReason::NoSuchConsciousness));
        }
        for letter in ["A", "C", "V", "P", "U", "u"] {
            let given = Observations {
                consciousness: Given::Value(letter.to_owned()),
                ..normal()
            };
            assert!(given.check().is_ok(), "{letter}");
        }
    }

    #[test]
    fn children_and_pregnancy_are_refused() {
        let aged = |age: f64| Observations {
            age: Given::Value(age),
            ..normal()
        };

        assert_eq!(only_fault(aged(15.9)), ("age", FaultReason::Child));
        assert_eq!(only_fault(aged(0.0)), ("age", FaultReason::Child));
        assert!(aged(16.0).check().is_ok());
        assert_eq!(only_fault(aged(-1.0)).0, "age");
        assert_eq!(
            only_fault(Observations {
                pregnant: Given::Value(true),
                ..normal()
            }),
            ("pregnant", FaultReason::Pregnant)
        );
        assert!(
            Observations {
                pregnant: Given::Value(false),
                ..normal()
            }
            .check()
            .is_ok()
        );
    }

    #[test]
    fn temperature_is_rounded_to_one_decimal_before_it_is_looked_up() {
        for (celsius, tenths) in [
            (35.04, 350),
            (35.05, 351),
            (36.04, 360),
            (36.05, 361),
            (38.04, 380),
            (38.05, 381),
            (39.04, 390),
            (39.05, 391),
            (24.95, 250),
            (45.04, 450),
        ] {
            assert_eq!(temperature(&Given::Value(celsius)), Ok(tenths), "{celsius}");
        }
        for celsius in [24.94, 45.05] {
            assert!(temperature(&Given::Value(celsius)).is_err(), "{celsius}");
        }
    }
}
