//! Modes, keys and secrets: which hold together, and where they may come from.

use super::*;

#[test]
fn without_anything_it_listens_on_this_machine_in_open_mode() {
    let config = load([]).unwrap();

    assert_eq!(config.server.address().to_string(), "127.0.0.1:5000");
    assert_eq!(config.auth.mode, Mode::Open);
    assert_eq!(config.store.database.to_string(), "data/wardbell.db");
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
fn the_jwt_secret_wins_over_the_secret_of_flask() {
    let config = load([
        ("SECRET_KEY", "the secret of sessions, which is another one"),
        ("JWT_SECRET_KEY", GOOD_SECRET),
    ]);

    assert_eq!(config.unwrap().auth.secret.unwrap().expose_secret(), GOOD_SECRET);
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
    let production: Table = include_str!("../../../config/production.toml").parse().unwrap();

    for (section, keys) in &production {
        for (key, value) in keys.as_table().unwrap() {
            assert_ne!(defaults[section].get(key), Some(value), "{section}.{key}");
            assert_ne!((section.as_str(), key.as_str()), ("auth", "secret"));
        }
    }
}
