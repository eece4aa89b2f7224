//! Contract B: off without a secret, and with one of its own.

use super::*;

const EHR_SECRET: &str = "what the EHR has signed with for ages";

#[test]
fn contract_b_is_off_without_a_secret() {
    assert!(load([]).unwrap().ehr.secret.is_none());
    assert!(load([("JWT_SECRET_KEY", GOOD_SECRET)]).unwrap().ehr.secret.is_none());
}

#[test]
fn its_secret_is_jwt_secret_in_the_environment_or_a_file_that_it_names() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ehr");
    std::fs::write(&file, format!("{EHR_SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();

    for (variable, value) in [
        ("JWT_SECRET", EHR_SECRET),
        ("JWT_SECRET_FILE", path),
        ("WARDBELL__EHR__SECRET", EHR_SECRET),
        ("WARDBELL__EHR__SECRET_FILE", path),
    ] {
        let config = load([(variable, value)]).unwrap();

        assert_eq!(
            config.ehr.secret.as_ref().unwrap().expose_secret(),
            EHR_SECRET,
            "{variable}"
        );
        assert!(config.auth.secret.is_none(), "{variable}");
        assert!(!format!("{config:?}").contains("ages"), "never printed");
    }
    let written = load_file("[ehr]\nsecret = \"hunter2\"\n", []);
    assert_only_problem(written, "ehr.secret", "set JWT_SECRET, or JWT_SECRET_FILE");
}

#[test]
fn its_secret_must_be_another_one_than_that_of_contract_a() {
    let both = load([("JWT_SECRET_KEY", GOOD_SECRET), ("JWT_SECRET", GOOD_SECRET)]);

    assert_only_problem(both, "ehr.secret", "is that of auth.secret as well");
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_outside_of_this_machine_and_warned_of_here() {
    let abroad = load([
        ("HOST", "0.0.0.0"),
        ("JWT_SECRET_KEY", GOOD_SECRET),
        ("JWT_SECRET", "change_me"),
    ]);
    assert_only_problem(abroad, "ehr.secret", "placeholder");
    assert!(notes(&load([("JWT_SECRET", "short")]).unwrap()).contains("IS SHORT"));
}

#[test]
fn its_numbers_have_bounds() {
    for (variable, key) in [
        ("WARDBELL__EHR__PRESENCE_GRACE", "ehr.presence_grace"),
        ("WARDBELL__EHR__TYPING_EVERY", "ehr.typing_every"),
    ] {
        assert_only_problem(load([(variable, "1ms")]), key, "must be between");
        assert_only_problem(load([(variable, "1h")]), key, "must be between");
    }
    assert_only_problem(load([("WARDBELL__EHR__COOKIE", "a b")]), "ehr.cookie", "letters");
    let none = load([("WARDBELL__EHR__TENANT_EVENTS_PER_SECOND", "0")]);
    assert_only_problem(none, "ehr.tenant_events_per_second", "must be between");
}
