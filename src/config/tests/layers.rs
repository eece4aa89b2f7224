//! What comes from where, and what is refused.

use super::*;

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
    assert_eq!(config.store.database.to_string(), "/var/lib/wardbell.db");
}

#[test]
fn our_own_variable_wins_over_the_short_one() {
    let config = load([("PORT", "6000"), ("WARDBELL__SERVER__PORT", "7000")]).unwrap();

    assert_eq!(config.server.port, 7000);
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
fn redis_may_have_its_password_beside_its_url_and_shows_neither() {
    let config = load([
        ("REDIS_URL", "redis://:hunter2@redis:6379/0"),
        ("REDIS_PASSWORD", "sesame"),
    ])
    .unwrap();

    assert_eq!(config.redis.password.as_ref().unwrap().expose_secret(), "sesame");
    assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("sesame"));
}

#[test]
fn what_cannot_be_a_stream_is_refused_by_key() {
    for (variable, value, key, message) in [
        ("WARDBELL__REDIS__PREFIX", "a b", "redis.prefix", "letters, digits"),
        (
            "WARDBELL__REDIS__STREAM_EVENTS",
            "10",
            "redis.stream_events",
            "between 1000",
        ),
        ("WARDBELL__REDIS__STREAM_AGE", "1s", "redis.stream_age", "between 10s"),
        (
            "WARDBELL__REDIS__CA_FILE",
            "/nowhere",
            "redis.ca_file",
            "cannot be read",
        ),
    ] {
        assert_only_problem(load([(variable, value)]), key, message);
    }
}

#[test]
fn bridges_need_a_redis_and_channels_that_are_told_apart() {
    const ON: (&str, &str) = ("WARDBELL__BRIDGES__ENABLED", "true");
    const URL: (&str, &str) = ("REDIS_URL", "redis://cache");

    assert!(load([ON, URL]).unwrap().bridges.enabled);
    assert_only_problem(load([ON]), "bridges.enabled", "needs redis.url");
    for (variable, value, key, message) in [
        ("PYTHON", "socket.io#/#r1", "bridges.python", "no channel of an emitter"),
        ("NODE", "a#b", "bridges.node", "must not contain #"),
        ("NODE", &"x".repeat(300), "bridges.node", "1 to 256 bytes"),
        ("PYTHON_DIALECT", "pickle", "bridges.python_dialect", "unknown variant"),
        ("MAX_MESSAGE_BYTES", "10", "bridges.max_message_bytes", "between 1024"),
    ] {
        let variable = format!("WARDBELL__BRIDGES__{variable}");
        assert_only_problem(load([ON, URL, (&variable, value)]), key, message);
    }
    let silent = [
        ON,
        URL,
        ("WARDBELL__BRIDGES__NODE", ","),
        ("WARDBELL__BRIDGES__PYTHON", ","),
    ];
    assert_only_problem(load(silent), "bridges.node", "must name something");
}

#[test]
fn a_database_that_is_named_with_its_password_does_not_show_it() {
    for url in [
        "postgres://wardbell:hunter2@db/wardbell",
        "postgresql://wardbell:hunter2@db/wardbell",
    ] {
        let config = load([("DATABASE_URL", url)]).unwrap();

        assert!(!format!("{config:?}").contains("hunter2"));
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
fn a_node_may_have_a_name() {
    let name = "Ward-3-of-32-characters-is-taken";
    assert_eq!(name.len(), 32);

    assert_eq!(load([("WARDBELL__SERVER__NODE", name)]).unwrap().server.node, name);
    assert_eq!(load([]).unwrap().server.node, "");
}

#[test]
fn a_node_among_others_is_warned_that_polls_would_not_find_it_without_a_name() {
    let many = [
        ("DATABASE_URL", "postgres://wardbell@db/wardbell"),
        ("REDIS_URL", "redis://cache"),
    ];
    let with = |variable| load([many[0], many[1], variable]).unwrap();

    assert!(notes(&with(("LOG_LEVEL", "info"))).contains("server.node is empty"));
    for config in [
        with(("WARDBELL__SERVER__NODE", "a")),
        with(("WARDBELL__SOCKET__TRANSPORTS", "websocket")),
        load([many[0]]).unwrap(),
        load([many[1]]).unwrap(),
    ] {
        assert!(!notes(&config).contains("server.node"), "{}", notes(&config));
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
        ("WARDBELL__SERVER__NODE", "a.b", "server.node"),
        ("WARDBELL__SERVER__NODE", "ward 3", "server.node"),
        ("WARDBELL__SERVER__NODE", "\u{fc}ber", "server.node"),
        (
            "WARDBELL__SERVER__NODE",
            "a-name-with-33-characters-is-long",
            "server.node",
        ),
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
