//! The environment: `WARDBELL__SECTION__KEY` for every key, the variables that existing deployments set, and `*_FILE` for
//! what may be secret.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::layers::{Given, Key, listed};
use super::problem::Findings;

/// Environment variables, handed in.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Those that are no Unicode are not ours.
    pub fn of_this_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    /// A variable that is set to something: `docker-compose` passes on unset ones as empty texts.
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.trim().is_empty())
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Environment {
    fn from(variables: [(K, V); N]) -> Self {
        variables.into_iter().collect()
    }
}

/// How a variable's text is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    /// As the default's type.
    Key,
    /// A number of seconds, for a duration.
    Seconds,
}

/// Variables that set a key, later ones winning over earlier ones.
const NAMED: [(&str, &str, &str, As); 16] = [
    ("HOST", "server", "host", As::Key),
    ("PORT", "server", "port", As::Key),
    ("AUTH_MODE", "auth", "mode", As::Key),
    // Flask-JWT-Extended signs with JWT_SECRET_KEY, and with Flask's SECRET_KEY where there is none.
    ("SECRET_KEY", "auth", "secret", As::Key),
    ("JWT_SECRET_KEY", "auth", "secret", As::Key),
    ("SOCKET_IO_CORS_ORIGINS", "socket", "cors_origins", As::Key),
    ("SOCKET_IO_PING_INTERVAL", "socket", "ping_interval", As::Seconds),
    ("SOCKET_IO_PING_TIMEOUT", "socket", "ping_timeout", As::Seconds),
    ("SOCKET_IO_LOGGER", "socket", "log_events", As::Key),
    ("DATABASE_URL", "store", "url", As::Key),
    ("DATABASE_PASSWORD", "store", "password", As::Key),
    ("REDIS_URL", "redis", "url", As::Key),
    ("REDIS_PASSWORD", "redis", "password", As::Key),
    // The EHR's own: another secret than JWT_SECRET_KEY.
    ("JWT_SECRET", "ehr", "secret", As::Key),
    ("LOG_LEVEL", "log", "level", As::Key),
    ("LOG_FORMAT", "log", "format", As::Key),
];

/// Keys that may be secret, or carry one: a variable `…_FILE` names a file that holds the value.
const SECRET: [(&str, &str); 6] = [
    ("auth", "secret"),
    ("store", "url"),
    ("store", "password"),
    ("redis", "url"),
    ("redis", "password"),
    ("ehr", "secret"),
];

/// Variables of the Flask server that mean nothing here.
const IGNORED: [(&str, &str); 5] = [
    ("FLASK_ENV", "there is no Flask here"),
    ("FLASK_DEBUG", "there is no Flask here; LOG_LEVEL=debug tells more"),
    ("SOCKET_IO_ASYNC_MODE", "this server has one way to run"),
    ("MONGO_URI", "this server keeps its own store (DATABASE_URL)"),
    (
        "MODEL_PATH",
        "no model runs in this server: predictions are the scores that services POST, or NEWS2 computed from vitals",
    ),
];

const PREFIX: &str = "WARDBELL__";

/// Puts what the environment gives on top of `given`.
pub(super) fn read(
    environment: &Environment,
    defaults: &Table,
    given: &mut BTreeMap<Key, Given>,
    findings: &mut Findings,
) {
    for (name, why) in IGNORED {
        if environment.get(name).is_some() {
            findings.inform(format!("{name} is ignored: {why}"));
        }
    }
    for (name, section, key, how) in NAMED {
        set(environment, name, section, key, how, defaults, given, findings);
    }
    for name in environment.0.keys() {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = path.to_ascii_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            findings.problem(name, None, format!("unknown variable; write {PREFIX}SECTION__KEY"));
            continue;
        };
        let Some(known) = defaults.get(section).and_then(Value::as_table) else {
            findings.problem(
                name,
                None,
                format!("unknown section {section}; there are {}", listed(defaults)),
            );
            continue;
        };
        // `…__URL_FILE` is read with `…__URL`; where that is not there, here.
        let of_file = key
            .strip_suffix("_file")
            .filter(|key| SECRET.contains(&(section, *key)));
        match of_file {
            Some(key) => {
                let plain = name.get(..name.len() - "_FILE".len()).unwrap_or(name);
                set(environment, plain, section, key, As::Key, defaults, given, findings);
            }
            None if known.contains_key(key) => {
                // A pair is handled once, with its file.
                if environment.get(&format!("{name}_FILE")).is_none() {
                    set(environment, name, section, key, As::Key, defaults, given, findings);
                }
            }
            None => findings.problem(
                name,
                None,
                format!("unknown key {key}; [{section}] has {}", listed(known)),
            ),
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one row of the table above, and where it is from and goes"
)]
fn set(
    environment: &Environment,
    name: &str,
    section: &str,
    key: &str,
    how: As,
    defaults: &Table,
    given: &mut BTreeMap<Key, Given>,
    findings: &mut Findings,
) {
    let file_variable = format!("{name}_FILE");
    let file = environment
        .get(&file_variable)
        .filter(|_| SECRET.contains(&(section, key)));
    let (text, source) = match (environment.get(name), file) {
        (None, None) => return,
        (Some(_), Some(_)) => {
            return findings.problem(
                name,
                None,
                format!("is set, and {file_variable} as well: which one counts?"),
            );
        }
        (Some(text), None) => (text.to_owned(), name.to_owned()),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) if text.trim().is_empty() => {
                return findings.problem(file_variable, None, format!("{path} is empty"));
            }
            // Editors and `echo` end files with a line break that is no part of the secret.
            Ok(text) => (text.trim_end_matches(['\r', '\n']).to_owned(), file_variable),
            Err(error) => return findings.problem(file_variable, None, format!("{path} cannot be read: {error}")),
        },
    };
    let default = defaults.get(section).and_then(|section| section.get(key));
    match typed(&text, default, how) {
        Ok(value) => {
            given.insert((section.to_owned(), key.to_owned()), Given { value, source });
        }
        Err(message) => findings.problem(format!("{section}.{key}"), Some(source), message),
    }
}

/// The text as a value of the default's type.
fn typed(text: &str, default: Option<&Value>, how: As) -> Result<Value, &'static str> {
    if how == As::Seconds {
        // Plain numbers are seconds, as Flask-SocketIO reads them; our own notation is understood as well.
        return Ok(Value::String(match text.trim().parse::<f64>() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded by the guard"
            )]
            Ok(seconds) if (0.0..1e9).contains(&seconds) => format!("{}ms", (seconds * 1000.0).round() as u64),
            Ok(_) => return Err("must be a number of seconds"),
            Err(_) => text.to_owned(),
        }));
    }
    let trimmed = text.trim();
    match default {
        Some(Value::Integer(_)) => trimmed.parse().map(Value::Integer).or(Err("must be a whole number")),
        Some(Value::Float(_)) => trimmed.parse().map(Value::Float).or(Err("must be a number")),
        Some(Value::Boolean(_)) => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" | "off" => Ok(Value::Boolean(false)),
            _ => Err("must be true or false"),
        },
        Some(Value::Array(_)) => Ok(Value::Array(
            trimmed
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        )),
        Some(Value::String(_) | Value::Datetime(_) | Value::Table(_)) | None => Ok(Value::String(text.to_owned())),
    }
}
