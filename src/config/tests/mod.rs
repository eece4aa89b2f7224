//! Layers, and everything that is refused.

mod ehr;
mod layers;
mod secrets;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use toml::{Table, Value};

use super::*;

const GOOD_SECRET: &str = "what the backends have signed with for years";

fn load<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, Invalid> {
    Config::load(None, &Environment::from(variables))
}

fn load_file<const N: usize>(text: &str, variables: [(&str, &str); N]) -> Result<Config, Invalid> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("wardbell.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &Environment::from(variables))
}

/// The keys that are wrong, and what is said about them.
#[track_caller]
fn problems(loaded: Result<Config, Invalid>) -> Vec<Problem> {
    loaded.expect_err("there is something wrong with it").0
}

#[track_caller]
fn assert_only_problem(loaded: Result<Config, Invalid>, key: &str, message: &str) {
    let all = problems(loaded);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(all[0].key, key, "{all:#?}");
    assert!(all[0].message.contains(message), "{all:#?}");
}

fn notes(config: &Config) -> String {
    config
        .notes
        .iter()
        .map(|note| note.message.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}
