//! Defaults, file and environment, put on top of each other key by key.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::problem::Findings;
use super::section::Section;
use super::variables::{self, Environment};

/// A value that somebody gave for a key.
pub(super) struct Given {
    pub(super) value: Value,
    /// The variable or file that it came from.
    pub(super) source: String,
}

/// The key of a value: section and key.
pub(super) type Key = (String, String);

/// All layers.
pub(super) struct Layers {
    defaults: Table,
    given: BTreeMap<Key, Given>,
}

impl Layers {
    /// Reads every layer. What names no key that `defaults` has is reported.
    pub(super) fn read(
        defaults: &str,
        file: Option<&Path>,
        environment: &Environment,
        findings: &mut Findings,
    ) -> Self {
        let defaults = defaults.parse::<Table>().unwrap_or_else(|error| {
            findings.problem("config/default.toml", None, error.message());
            Table::new()
        });
        let mut given = BTreeMap::new();
        if let Some(file) = file {
            read_file(file, &defaults, &mut given, findings);
        }
        variables::read(environment, &defaults, &mut given, findings);
        Self { defaults, given }
    }

    /// A section with everything that was given for it; `None` if it is wrong, after having said why.
    ///
    /// Each given value is tried by itself on top of the defaults: so every wrong one is found, each with its source.
    pub(super) fn section<S: Section>(&self, name: &str, findings: &mut Findings) -> Option<S> {
        let defaults = self
            .defaults
            .get(name)
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        let mut merged = defaults.clone();
        for ((_, key), given) in self.given.iter().filter(|((section, _), _)| section == name) {
            let mut alone = defaults.clone();
            alone.insert(key.clone(), given.value.clone());
            match alone.try_into::<S>() {
                Ok(_) => {
                    merged.insert(key.clone(), given.value.clone());
                }
                Err(error) => findings.problem(format!("{name}.{key}"), Some(given.source.clone()), error.message()),
            }
        }
        match merged.try_into::<S>() {
            Ok(section) => {
                let wrong = section.validate();
                let is_right = wrong.is_empty();
                for (key, message) in wrong {
                    findings.problem(format!("{name}.{key}"), self.source_of(name, key), message);
                }
                is_right.then_some(section)
            }
            Err(error) => {
                findings.problem(name, None, error.message());
                None
            }
        }
    }

    /// Where the value of a key came from; `None` for a default.
    pub(super) fn source_of(&self, section: &str, key: &str) -> Option<String> {
        self.given
            .get(&(section.to_owned(), key.to_owned()))
            .map(|given| given.source.clone())
    }
}

fn read_file(file: &Path, defaults: &Table, given: &mut BTreeMap<Key, Given>, findings: &mut Findings) {
    let source = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return findings.problem(source, None, format!("cannot be read: {error}")),
    };
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => return findings.problem(source, None, located(&text, &error)),
    };
    for (section, keys) in table {
        let Some(known) = defaults.get(&section).and_then(Value::as_table) else {
            findings.problem(
                section,
                Some(source.clone()),
                format!("unknown section; there are {}", listed(defaults)),
            );
            continue;
        };
        let Value::Table(keys) = keys else {
            findings.problem(section, Some(source.clone()), "must be a section");
            continue;
        };
        for (key, value) in keys {
            if !known.contains_key(&key) {
                let name = format!("{section}.{key}");
                findings.problem(
                    name,
                    Some(source.clone()),
                    format!("unknown key; [{section}] has {}", listed(known)),
                );
            } else if let Some(variable) = secret_variable(&section, &key).filter(|_| value.as_str() != Some("")) {
                let message = format!(
                    "a secret does not belong in this file: set {variable}, or {variable}_FILE to a file with it"
                );
                findings.problem(format!("{section}.{key}"), Some(source.clone()), message);
            } else {
                given.insert(
                    (section.clone(), key),
                    Given {
                        value,
                        source: source.clone(),
                    },
                );
            }
        }
    }
}

/// The variable that a secret comes from instead.
fn secret_variable(section: &str, key: &str) -> Option<&'static str> {
    match (section, key) {
        ("auth", "secret") => Some("JWT_SECRET_KEY"),
        ("ehr", "secret") => Some("JWT_SECRET"),
        _ => None,
    }
}

/// The names in a table, for messages.
pub(super) fn listed(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What is wrong, and in which line. The line itself is not repeated: it may hold a secret.
fn located(text: &str, error: &toml::de::Error) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}
