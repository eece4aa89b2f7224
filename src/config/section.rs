//! What all sections have in common.

use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer};

/// A section of the configuration: one table of `default.toml`.
///
/// Every field is a key that has its default there, and no key is unknown: implementors deny unknown fields.
pub(super) trait Section: DeserializeOwned {
    /// Checks what the types cannot. One problem for each key that is wrong, without the section's name.
    fn validate(&self) -> Vec<(&'static str, String)>;
}

/// A check on one key of a section.
#[derive(Default)]
pub(super) struct Checks(Vec<(&'static str, String)>);

impl Checks {
    /// `key` is wrong unless `is_right`.
    pub(super) fn require(mut self, key: &'static str, is_right: bool, message: impl Into<String>) -> Self {
        if !is_right {
            self.0.push((key, message.into()));
        }
        self
    }

    /// `key` is wrong unless it is between `least` and `most`.
    pub(super) fn duration(self, key: &'static str, is: Duration, least: Duration, most: Duration) -> Self {
        let (from, to) = (
            humantime_serde::re::humantime::format_duration(least),
            humantime_serde::re::humantime::format_duration(most),
        );
        self.require(
            key,
            (least..=most).contains(&is),
            format!("must be between {from} and {to}"),
        )
    }

    /// What is wrong.
    pub(super) fn done(self) -> Vec<(&'static str, String)> {
        self.0
    }
}

/// A secret, if there is one.
pub(super) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
