//! Layers, and everything that is refused.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
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

#[test]
fn without_anything_it_listens_on_this_machine_in_open_mode() {
    let config = load([]).unwrap();

    assert_eq!(config.server.address().to_string(), "127.0.0.1:5000");
    assert_eq!(config.auth.mode, Mode::Open);
    assert_eq!(config.store.file, PathBuf::from("data/wardbell.db"));
    assert_eq!(
        (
            config.socket.ping_interval.as_secs(),
            config.socket.ping_timeout.as_secs()
        ),
        (25, 60)
    );
    assert_eq!(config.socket.transports, [Transport::Polling, Transport::Websocket]);
    assert!(!config.socket.cors_origins.iter().any(|origin| origin == "*"));
    assert_eq!(config.notes, []);
}

#[test]
fn every_default_says_why() {
    let keys = DEFAULTS
        .lines()
        .filter(|line| line.contains(" = ") && !line.starts_with('#'));

    for line in keys {
        assert!(line.contains('#'), "{line}");
    }
}

#[test]
fn every_key_can_be_set_from_the_environment() {
    let defaults: Table = DEFAULTS.parse().unwrap();
    let environment: Environment = defaults
        .iter()
        .flat_map(|(section, keys)| {
            keys.as_table()
                .unwrap()
                .iter()
                .map(move |(key, value)| (section, key, value))
        })
        .map(|(section, key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().unwrap())
                    .collect::<Vec<_>>()
                    .join(","),
                Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
                Value::Datetime(_) | Value::Table(_) => panic!("{section}.{key} has a type of its own"),
            };
            (
                format!("WARDBELL__{}__{}", section.to_uppercase(), key.to_uppercase()),
                text,
            )
        })
        .collect();

    let config = Config::load(None, &environment).unwrap();

    assert_eq!(format!("{config:?}"), format!("{:?}", load([]).unwrap()));
}

#[test]
fn the_file_replaces_defaults_and_the_environment_replaces_the_file() {
    let file = "[server]\nport = 6000\nshutdown_grace = \"3s\"\n[alerts]\nper_minute = 20\n";

    let config = load_file(file, [("WARDBELL__SERVER__PORT", "7000")]).unwrap();

    assert_eq!(config.server.port, 7000);
    assert_eq!(config.server.shutdown_grace, Duration::from_secs(3));
    assert_eq!(config.alerts.per_minute, 20);
    assert_eq!(config.server.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

#[test]
fn the_variables_of_existing_deployments_keep_working() {
    let config = load([
        ("HOST", "0.0.0.0"),
        ("PORT", "5001"),
        ("SECRET_KEY", GOOD_SECRET),
        ("SOCKET_IO_CORS_ORIGINS", "https://ward.example, http://localhost:3000"),
        ("SOCKET_IO_PING_TIMEOUT", "60"),
        ("SOCKET_IO_PING_INTERVAL", "12.5"),
        ("SOCKET_IO_LOGGER", "True"),
        ("LOG_LEVEL", "WARNING"),
        ("LOG_FORMAT", "json"),
        ("DATABASE_URL", "sqlite:///var/lib/wardbell.db"),
    ])
    .unwrap();

    assert_eq!(config.server.address().to_string(), "0.0.0.0:5001");
    assert_eq!(config.auth.mode, Mode::Token);
    assert_eq!(config.auth.secret.unwrap().expose_secret(), GOOD_SECRET);
    assert_eq!(
        config.socket.cors_origins,
        ["https://ward.example", "http://localhost:3000"]
    );
    assert_eq!(config.socket.ping_timeout, Duration::from_mins(1));
    assert_eq!(config.socket.ping_interval, Duration::from_millis(12_500));
    assert!(config.socket.log_events);
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn", Format::Json));
    assert_eq!(config.store.file, PathBuf::from("/var/lib/wardbell.db"));
}

#[test]
fn our_own_variable_wins_over_the_short_one() {
    let config = load([("PORT", "6000"), ("WARDBELL__SERVER__PORT", "7000")]).unwrap();

    assert_eq!(config.server.port, 7000);
}

#[test]
fn the_jwt_secret_wins_over_the_secret_of_flask() {
    let config = load([
        ("SECRET_KEY", "the secret of sessions, which is another one"),
        ("JWT_SECRET_KEY", GOOD_SECRET),
    ]);

    assert_eq!(config.unwrap().auth.secret.unwrap().expose_secret(), GOOD_SECRET);
}

#[test]
fn what_only_flask_knew_is_ignored_and_said_so_once_each() {
    let config = load([
        ("FLASK_ENV", "production"),
        ("FLASK_DEBUG", "1"),
        ("SOCKET_IO_ASYNC_MODE", "eventlet"),
        ("MONGO_URI", "mongodb://user:hunter2@db/hospital"),
        ("MODEL_PATH", "/models/risk.pkl"),
    ])
    .unwrap();

    assert_eq!(config.notes.len(), 5);
    assert!(config.notes.iter().all(|note| !note.is_warning));
    assert!(!notes(&config).contains("hunter2"));
    assert!(notes(&config).contains("MODEL_PATH is ignored: no model runs in this server"));
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let config = load([("JWT_SECRET_KEY", ""), ("PORT", " "), ("REDIS_URL", "")]).unwrap();

    assert_eq!((config.auth.mode, config.server.port), (Mode::Open, 5000));
}

#[test]
fn everything_that_is_wrong_is_found_in_one_go_each_with_its_key_and_source() {
    let file = "[server]\nport = 70000\ncolour = \"red\"\n[socket]\nmax_rooms = 0\n[sockets]\nx = 1\n";
    let wrong = load_file(
        file,
        [
            ("LOG_FORMAT", "xml"),
            ("SOCKET_IO_PING_TIMEOUT", "soon"),
            ("WARDBELL__RISK__HIGH_FROM", "1.5"),
            ("WARDBELL__API__DOCS", "perhaps"),
            ("WARDBELL__API__DOGS", "true"),
            ("WARDBELL__ZOO__DOGS", "true"),
            ("WARDBELL__PORT", "1"),
        ],
    );

    let all = problems(wrong);
    let source_of = |key: &str| {
        let problem = all
            .iter()
            .find(|problem| problem.key == key)
            .unwrap_or_else(|| panic!("{key} in {all:#?}"));
        problem.source.clone().unwrap_or_default()
    };

    for key in ["server.port", "server.colour", "socket.max_rooms", "sockets"] {
        assert!(source_of(key).ends_with("wardbell.toml"), "{key}");
    }
    assert_eq!(source_of("log.format"), "LOG_FORMAT");
    assert_eq!(source_of("socket.ping_timeout"), "SOCKET_IO_PING_TIMEOUT");
    assert_eq!(source_of("risk.high_from"), "WARDBELL__RISK__HIGH_FROM");
    assert_eq!(source_of("api.docs"), "WARDBELL__API__DOCS");
    for variable in ["WARDBELL__API__DOGS", "WARDBELL__ZOO__DOGS", "WARDBELL__PORT"] {
        assert_eq!(source_of(variable), "", "a variable is its own source");
    }
    // The risk is wrong twice: out of range, and above what comes after it.
    assert_eq!(all.len(), 12, "{all:#?}");
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_named_with_its_line() {
    let missing = Config::load(Some(Path::new("/nowhere/wardbell.toml")), &Environment::default());
    assert_only_problem(missing, "/nowhere/wardbell.toml", "cannot be read");

    let broken = problems(load_file("[server]\nport = = 1\n", []));
    assert!(broken[0].message.starts_with("line 2: "), "{broken:?}");
}

#[test]
fn a_secret_in_the_file_is_refused() {
    let wrong = load_file("[auth]\nsecret = \"hunter2\"\n", []);

    assert!(!format!("{wrong:?}").contains("hunter2"));
    assert_only_problem(wrong, "auth.secret", "does not belong in this file");
}

#[test]
fn a_secret_may_come_from_a_file_that_the_environment_names() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwt");
    std::fs::write(&file, format!("{GOOD_SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();

    for variable in ["SECRET_KEY_FILE", "JWT_SECRET_KEY_FILE", "WARDBELL__AUTH__SECRET_FILE"] {
        let config = load([(variable, path)]).unwrap();

        assert_eq!(config.auth.secret.unwrap().expose_secret(), GOOD_SECRET, "{variable}");
    }
}

#[test]
fn a_secret_file_that_is_empty_missing_or_beside_the_secret_itself_is_refused() {
    let folder = TempDir::new().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let empty = empty.to_str().unwrap();

    assert_only_problem(
        load([("JWT_SECRET_KEY_FILE", empty)]),
        "JWT_SECRET_KEY_FILE",
        "is empty",
    );
    assert_only_problem(
        load([("JWT_SECRET_KEY_FILE", "/nowhere")]),
        "JWT_SECRET_KEY_FILE",
        "cannot be read",
    );
    assert_only_problem(
        load([("JWT_SECRET_KEY_FILE", empty), ("JWT_SECRET_KEY", GOOD_SECRET)]),
        "JWT_SECRET_KEY",
        "which one counts",
    );
    assert_only_problem(
        load([
            ("WARDBELL__AUTH__SECRET_FILE", empty),
            ("WARDBELL__AUTH__SECRET", GOOD_SECRET),
        ]),
        "WARDBELL__AUTH__SECRET",
        "which one counts",
    );
}

#[test]
fn only_what_may_be_secret_can_come_from_a_file() {
    assert_only_problem(
        load([("WARDBELL__SERVER__PORT_FILE", "/x")]),
        "WARDBELL__SERVER__PORT_FILE",
        "unknown key",
    );
}

#[test]
fn no_secret_is_ever_printed() {
    let environment = Environment::from([("JWT_SECRET_KEY", GOOD_SECRET)]);

    let config = Config::load(None, &environment).unwrap();

    assert!(!format!("{config:?} {environment:?}").contains("years"));
}

#[test]
fn open_mode_refuses_every_address_but_loopback() {
    for host in ["0.0.0.0", "::", "10.0.0.5", "192.168.1.1"] {
        assert_only_problem(load([("HOST", host)]), "auth.mode", "refuses any address but loopback");
        assert_only_problem(
            load([("HOST", host), ("AUTH_MODE", "open"), ("SECRET_KEY", GOOD_SECRET)]),
            "auth.mode",
            "refuses any address but loopback",
        );
    }
    for host in ["127.0.0.1", "127.1.2.3", "::1", "localhost"] {
        assert_eq!(load([("HOST", host)]).unwrap().auth.mode, Mode::Open, "{host}");
    }
}

#[test]
fn modes_that_ask_for_tokens_need_something_to_verify_them_with() {
    for mode in ["token", "legacy"] {
        assert_only_problem(
            load([("AUTH_MODE", mode)]),
            "auth.mode",
            "set JWT_SECRET_KEY or SECRET_KEY",
        );
    }
    assert_only_problem(load([("AUTH_MODE", "closed")]), "auth.mode", "unknown variant");
}

#[test]
fn legacy_mode_is_warned_of() {
    let config = load([("AUTH_MODE", "legacy"), ("JWT_SECRET_KEY", GOOD_SECRET)]).unwrap();

    assert_eq!(config.auth.mode, Mode::Legacy);
    assert!(
        config
            .notes
            .iter()
            .any(|note| note.is_warning && note.message.contains("LEGACY MODE"))
    );
}

#[test]
fn a_short_secret_works_and_is_warned_of() {
    let short = load([
        ("JWT_SECRET_KEY", "thirty-one bytes, which is less"),
        ("HOST", "0.0.0.0"),
    ])
    .unwrap();
    let enough = load([
        ("JWT_SECRET_KEY", "thirty-two bytes, which is right"),
        ("HOST", "0.0.0.0"),
    ])
    .unwrap();

    assert!(
        short
            .notes
            .iter()
            .any(|note| note.is_warning && note.message.contains("31 bytes"))
    );
    assert_eq!(enough.notes, []);
}

#[test]
fn a_placeholder_for_a_secret_is_refused_outside_of_this_machine() {
    for placeholder in [
        "change-me",
        "your-secret-key",
        "dev-secret-key",
        "Your_Secret_Key",
        "CHANGEME",
        "secret",
    ] {
        assert_only_problem(
            load([("SECRET_KEY", placeholder), ("HOST", "0.0.0.0")]),
            "auth.secret",
            "is a placeholder",
        );
        let here = load([("SECRET_KEY", placeholder)]).unwrap();
        assert!(notes(&here).contains("SECRET_KEY is a placeholder"), "{placeholder}");
    }
}

#[test]
fn a_public_key_is_read_and_turns_token_mode_on() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwt.pem");
    std::fs::write(&file, "PEM").unwrap();

    let config = load([
        ("WARDBELL__AUTH__ALGORITHM", "RS256"),
        ("WARDBELL__AUTH__PUBLIC_KEY_FILE", file.to_str().unwrap()),
        ("HOST", "0.0.0.0"),
    ])
    .unwrap();

    assert_eq!(
        (config.auth.mode, config.auth.public_key_pem.as_deref()),
        (Mode::Token, Some(&b"PEM"[..]))
    );
}

#[test]
fn a_key_that_does_not_fit_the_algorithm_is_refused() {
    let (algorithm, key) = ("WARDBELL__AUTH__ALGORITHM", "WARDBELL__AUTH__PUBLIC_KEY_FILE");

    assert_only_problem(
        load([(key, "/x.pem")]),
        "auth.public_key_file",
        "set auth.algorithm as well",
    );
    assert_only_problem(
        load([(algorithm, "RS256"), (key, "/x.pem")]),
        "auth.public_key_file",
        "cannot be read",
    );
    assert_only_problem(
        load([(algorithm, "RS256")]),
        "auth.public_key_file",
        "need the public key",
    );
    assert_only_problem(load([(algorithm, "none")]), "auth.algorithm", "unknown variant");
    assert_only_problem(load([(algorithm, "HS512")]), "auth.algorithm", "unknown variant");
}

#[test]
fn what_this_version_does_not_have_is_refused_and_not_ignored() {
    assert_only_problem(
        load([("REDIS_URL", "redis://:hunter2@redis:6379/0")]),
        "redis.url",
        "not available in this version",
    );
    for url in [
        "postgres://wardbell:hunter2@db/wardbell",
        "postgresql://wardbell:hunter2@db/wardbell",
    ] {
        let wrong = load([("DATABASE_URL", url)]);

        assert!(!format!("{wrong:?}").contains("hunter2"));
        assert_only_problem(wrong, "store.url", "not available in this version");
    }
}

#[test]
fn a_store_that_would_forget_is_refused() {
    assert_only_problem(load([("DATABASE_URL", "sqlite://")]), "store.url", "must name a file");
    assert_only_problem(
        load([("DATABASE_URL", "sqlite://:memory:")]),
        "store.url",
        "must name a file",
    );
    assert_only_problem(
        load([("DATABASE_URL", "sqlite://x?mode=memory")]),
        "store.url",
        "without parameters",
    );
    assert_only_problem(
        load([("DATABASE_URL", "mysql://u:hunter2@db")]),
        "store.url",
        "must be sqlite://",
    );
    assert_only_problem(
        load([("WARDBELL__STORE__KEEP_ALERTS", "12h")]),
        "store.keep_alerts",
        "store.keep_events",
    );
}

#[test]
fn origins_are_scheme_and_host_and_every_page_only_if_written() {
    let any = load([("SOCKET_IO_CORS_ORIGINS", "*")]).unwrap();
    assert_eq!(any.socket.cors_origins, ["*"]);

    for wrong in [
        "ward.example",
        "https://ward.example/app",
        "ftp://ward.example",
        "https://*.example/",
        "null",
    ] {
        assert_only_problem(
            load([("SOCKET_IO_CORS_ORIGINS", wrong)]),
            "socket.cors_origins",
            "is no origin",
        );
    }
}

#[test]
fn values_that_make_no_sense_together_are_refused() {
    for (variable, value, key) in [
        ("WARDBELL__RISK__MEDIUM_FROM", "0.7", "risk.high_from"),
        ("WARDBELL__RISK__HIGH_FROM", "0.9", "risk.critical_above"),
        ("WARDBELL__RISK__ALERT_FROM", "moderate", "risk.alert_from"),
        ("WARDBELL__CAPACITY__CLEAR_BELOW", "0.95", "capacity.clear_below"),
        ("WARDBELL__CAPACITY__RAISE_AT", "nan", "capacity.raise_at"),
        ("WARDBELL__ALERTS__PER_MINUTE", "0", "alerts.per_minute"),
        ("WARDBELL__SOCKET__TRANSPORTS", ",", "socket.transports"),
        ("WARDBELL__SOCKET__TRANSPORTS", "webtransport", "socket.transports"),
        ("WARDBELL__SOCKET__EVENTS_BURST", "10", "socket.events_burst"),
        (
            "WARDBELL__SOCKET__SLOW_CLIENT_BYTES",
            "1000",
            "socket.slow_client_bytes",
        ),
        ("WARDBELL__SOCKET__BACKLOG_BYTES", "3000000", "socket.backlog_bytes"),
        ("WARDBELL__SOCKET__PING_INTERVAL", "0s", "socket.ping_interval"),
        ("WARDBELL__AUTH__LEEWAY", "1h", "auth.leeway"),
        ("SOCKET_IO_PING_TIMEOUT", "-1", "socket.ping_timeout"),
        ("PORT", "http", "server.port"),
        ("HOST", "ward.example", "server.host"),
        ("LOG_LEVEL", "verbose", "log.level"),
    ] {
        let all = problems(load([(variable, value)]));

        assert!(
            all.iter().any(|problem| problem.key == key),
            "{variable}={value}: {all:#?}"
        );
    }
}

#[test]
fn the_production_file_needs_a_secret_and_nothing_else() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml"));

    let without = Config::load(Some(file), &Environment::default());
    let with = Config::load(Some(file), &Environment::from([("JWT_SECRET_KEY", GOOD_SECRET)])).unwrap();

    assert_only_problem(without, "auth.mode", "token mode needs");
    assert_eq!((with.auth.mode, with.log.format), (Mode::Token, Format::Json));
    assert_eq!(with.notes, []);
}

#[test]
fn the_production_file_repeats_no_default_and_holds_no_secret() {
    let defaults: Table = DEFAULTS.parse().unwrap();
    let production: Table = include_str!("../../config/production.toml").parse().unwrap();

    for (section, keys) in &production {
        for (key, value) in keys.as_table().unwrap() {
            assert_ne!(defaults[section].get(key), Some(value), "{section}.{key}");
            assert_ne!((section.as_str(), key.as_str()), ("auth", "secret"));
        }
    }
}

#[test]
fn problems_are_told_one_a_line() {
    let invalid = load([("PORT", "http"), ("HOST", "0.0.0.0")]).unwrap_err();

    assert_eq!(
        invalid.to_string(),
        "the configuration has 2 problems:\n  \
         server.port: must be a whole number (from PORT)\n  \
         auth.mode: open mode asks nobody for a token, so it refuses any address but loopback: \
         set JWT_SECRET_KEY to what the backends sign with, or HOST=127.0.0.1"
    );
}
