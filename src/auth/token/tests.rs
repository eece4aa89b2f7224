//! Every refusal, and the tokens that Flask-JWT-Extended issues.

use serde_json::{Value, json};

use super::*;
use crate::domain::access::{Proof, Role};
use crate::domain::{HospitalId, StaffId, UserId};

const SECRET: &str = "a secret that the hospital's backends have had for years";
const RSA_PUBLIC: &str = include_str!("../testdata/rsa_public.pem");
const EC_PUBLIC: &str = include_str!("../testdata/ec_public.pem");
const ACCESS_HS256: &str = include_str!("../testdata/access_hs256.jwt");
const ACCESS_RS256: &str = include_str!("../testdata/access_rs256.jwt");
const ACCESS_ES256: &str = include_str!("../testdata/access_es256.jwt");
const REFRESH_HS256: &str = include_str!("../testdata/refresh_hs256.jwt");
const WITHOUT_EXP_HS256: &str = include_str!("../testdata/without_exp_hs256.jwt");

/// When the tokens of `testdata` were issued; they count for 15 minutes.
fn issued_at() -> Timestamp {
    "2026-02-15T10:20:00Z".parse().unwrap()
}

fn now() -> Timestamp {
    issued_at().plus(Duration::from_mins(5))
}

fn settings() -> Settings {
    Settings {
        mode: Mode::Token,
        algorithm: Algorithm::Hs256,
        secret: Some(SECRET.into()),
        public_key_pem: None,
        audience: None,
        leeway: Duration::from_secs(30),
    }
}

fn with_secret() -> Authenticator {
    Authenticator::new(settings()).unwrap()
}

fn with_public_key(algorithm: Algorithm, pem: &str) -> Authenticator {
    Authenticator::new(Settings {
        algorithm,
        secret: None,
        public_key_pem: Some(pem.into()),
        ..settings()
    })
    .unwrap()
}

/// The claims of a doctor's token, as Flask-JWT-Extended writes them.
fn claims() -> Value {
    json!({
        "fresh": false, "iat": issued_at().as_secs(), "jti": "c181359e-47ec-419c-bc27-50b204249600", "type": "access",
        "sub": "user_42", "nbf": issued_at().as_secs(), "csrf": "f23f1964-b97f-4d5f-9105-3feb2e351c25",
        "exp": issued_at().as_secs() + 900, "role": "doctor", "hospital_id": "hosp_456", "staff_id": "doc_7",
    })
}

/// The doctor's claims with `changes`; a null takes the claim away.
fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn signed(claims: &Value) -> String {
    signed_as(jsonwebtoken::Algorithm::HS256, SECRET.as_bytes(), claims)
}

fn signed_as(algorithm: jsonwebtoken::Algorithm, secret: &[u8], claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

#[track_caller]
fn assert_refused(changes: Value, expected: TokenError) {
    assert_eq!(
        with_secret().verify(&signed(&claims_with(changes)), now()),
        Err(expected)
    );
}

fn doctor() -> Identity {
    Identity {
        user_id: UserId::parse("user_42").unwrap(),
        role: Role::Doctor,
        hospital_id: Some(HospitalId::parse("hosp_456").unwrap()),
        staff_id: Some(StaffId::parse("doc_7").unwrap()),
        patient_id: None,
        name: Some("Dr. Mara Weiß".to_owned()),
        proof: Proof::Token,
    }
}

#[test]
fn a_token_of_flask_jwt_extended_is_its_holder() {
    let holder = with_secret().verify(ACCESS_HS256.trim(), now()).unwrap();

    let expires_at = Some(issued_at().plus(Duration::from_mins(15)));
    assert_eq!(
        holder,
        Authenticated {
            identity: doctor(),
            expires_at
        }
    );
}

#[test]
fn tokens_signed_with_a_private_key_are_verified_with_the_public_one() {
    let rsa = with_public_key(Algorithm::Rs256, RSA_PUBLIC)
        .verify(ACCESS_RS256.trim(), now())
        .unwrap();
    let ec = with_public_key(Algorithm::Es256, EC_PUBLIC)
        .verify(ACCESS_ES256.trim(), now())
        .unwrap();

    assert_eq!((rsa.identity, ec.identity), (doctor(), doctor()));
}

#[test]
fn a_refresh_token_opens_nothing() {
    assert_eq!(
        with_secret().verify(REFRESH_HS256.trim(), now()),
        Err(TokenError::WrongType)
    );
}

#[test]
fn a_token_without_end_is_refused() {
    assert_eq!(
        with_secret().verify(WITHOUT_EXP_HS256.trim(), now()),
        Err(TokenError::MissingClaim("exp"))
    );
}

#[test]
fn a_token_counts_until_its_end_and_the_leeway() {
    let end = issued_at().plus(Duration::from_mins(15));
    let verify = |at| with_secret().verify(ACCESS_HS256.trim(), at).map(|_| ());

    assert_eq!(
        verify(end.plus(Duration::from_secs(30)).minus(Duration::from_micros(1))),
        Ok(())
    );
    assert_eq!(verify(end.plus(Duration::from_secs(30))), Err(TokenError::Expired));
}

#[test]
fn a_token_counts_from_its_beginning_less_the_leeway() {
    let verify = |at| with_secret().verify(ACCESS_HS256.trim(), at).map(|_| ());

    assert_eq!(verify(issued_at().minus(Duration::from_secs(30))), Ok(()));
    assert_eq!(
        verify(issued_at().minus(Duration::from_secs(31))),
        Err(TokenError::NotYetValid)
    );
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let token = ACCESS_HS256.trim();
    let (head, rest) = token.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let other = signed(&claims_with(json!({"role": "admin", "hospital_id": null})));
    let forged_body = other.split('.').nth(1).unwrap();

    let verify = |token: &str| with_secret().verify(token, now());

    assert_eq!(
        verify(&format!("{head}.{forged_body}.{signature}")),
        Err(TokenError::BadSignature)
    );
    assert_eq!(verify(&format!("{head}.{body}.")), Err(TokenError::BadSignature));
    assert_eq!(verify(&format!("{head}.{body}")), Err(TokenError::Malformed));
    assert_eq!(verify(&format!("{token}.{signature}")), Err(TokenError::Malformed));
    assert_eq!(verify("not a token"), Err(TokenError::Malformed));
    assert_eq!(verify(""), Err(TokenError::Malformed));
}

#[test]
fn a_token_of_another_secret_is_refused() {
    let token = signed_as(
        jsonwebtoken::Algorithm::HS256,
        b"another secret, as long as the first one is",
        &claims(),
    );

    assert_eq!(with_secret().verify(&token, now()), Err(TokenError::BadSignature));
}

#[test]
fn a_public_key_does_not_serve_as_a_shared_secret() {
    for (algorithm, pem) in [(Algorithm::Rs256, RSA_PUBLIC), (Algorithm::Es256, EC_PUBLIC)] {
        let forged = signed_as(jsonwebtoken::Algorithm::HS256, pem.as_bytes(), &claims());

        let refused = with_public_key(algorithm, pem).verify(&forged, now());

        assert_eq!(refused, Err(TokenError::WrongAlgorithm), "{algorithm:?}");
    }
}

#[test]
fn another_algorithm_of_the_same_family_is_refused() {
    for algorithm in [jsonwebtoken::Algorithm::HS384, jsonwebtoken::Algorithm::HS512] {
        let token = signed_as(algorithm, SECRET.as_bytes(), &claims());

        assert_eq!(
            with_secret().verify(&token, now()),
            Err(TokenError::WrongAlgorithm),
            "{algorithm:?}"
        );
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    // {"alg":"none","typ":"JWT"}, in the three spellings that libraries have fallen for.
    for head in [
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOb25lIn0",
        "eyJhbGciOiJOT05FIn0",
    ] {
        let token = signed(&claims());
        let body = token.split('.').nth(1).unwrap();

        for unsigned in [format!("{head}.{body}."), format!("{head}.{body}")] {
            assert_eq!(with_secret().verify(&unsigned, now()), Err(TokenError::Malformed));
        }
    }
}

#[test]
fn a_token_with_an_extension_that_must_be_understood_is_refused() {
    let header = Header {
        crit: Some(vec!["b64".to_owned()]),
        ..Header::default()
    };
    let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();

    assert_eq!(with_secret().verify(&token, now()), Err(TokenError::Malformed));
}

#[test]
fn a_token_of_another_type_or_of_none_is_refused() {
    assert_refused(json!({"type": "refresh"}), TokenError::WrongType);
    assert_refused(json!({"type": "Access"}), TokenError::WrongType);
    assert_refused(json!({"type": null}), TokenError::WrongType);
}

#[test]
fn a_token_without_subject_or_role_is_refused() {
    assert_refused(json!({"sub": null}), TokenError::MissingClaim("sub"));
    assert_refused(json!({"role": null}), TokenError::MissingClaim("role"));
}

#[test]
fn a_subject_may_be_whatever_a_backend_calls_its_users() {
    for subject in ["7", "ada@hospital.example", "auth0|5f7c8ec7", "Ada Lovelace"] {
        let token = signed(&claims_with(json!({"sub": subject})));

        let authenticated = with_secret().verify(&token, now()).unwrap();

        assert_eq!(authenticated.identity.user_id.as_str(), subject);
    }
}

#[test]
fn a_role_that_is_none_is_refused() {
    for role in [json!("root"), json!("Doctor"), json!(""), json!(["doctor"]), json!(1)] {
        assert_refused(json!({"role": role}), TokenError::BadClaim("role"));
    }
}

#[test]
fn a_claim_that_bounds_somebody_is_never_dropped_because_it_is_malformed() {
    for (name, value) in [
        ("hospital_id", json!("")),
        ("hospital_id", json!(456)),
        ("hospital_id", json!("hosp 456")),
        ("hospital_id", json!(["hosp_456"])),
        ("patient_id", json!("a/b")),
        ("staff_id", json!({})),
        ("sub", json!(42)),
        ("sub", json!("")),
    ] {
        assert_refused(json!({ name: value }), TokenError::BadClaim(name));
    }
}

#[test]
fn times_that_are_no_times_are_refused() {
    for value in [
        json!("tomorrow"),
        json!(-1),
        json!(1.0e300),
        json!(1_771_151_700_000_u64),
        json!(true),
    ] {
        assert_refused(json!({"exp": value}), TokenError::BadClaim("exp"));
    }
    assert_refused(json!({"nbf": "yesterday"}), TokenError::BadClaim("nbf"));
}

#[test]
fn pythons_none_counts_as_no_claim() {
    let mut claims = claims();
    claims["hospital_id"] = Value::Null;
    claims["name"] = Value::Null;

    let holder = with_secret().verify(&signed(&claims), now()).unwrap();

    assert_eq!((holder.identity.hospital_id, holder.identity.name), (None, None));
}

#[test]
fn a_fraction_of_a_second_is_kept() {
    let token = signed(&claims_with(json!({"exp": 1_771_151_700.25})));

    let expires_at = with_secret().verify(&token, now()).unwrap().expires_at.unwrap();

    assert_eq!(expires_at.to_string(), "2026-02-15T10:35:00.250000+00:00");
}

#[test]
fn a_token_for_another_audience_is_refused() {
    let for_records = Authenticator::new(Settings {
        audience: Some("records".to_owned()),
        ..settings()
    })
    .unwrap();
    let verify = |who: &Authenticator, audience: Value| {
        who.verify(&signed(&claims_with(json!({"aud": audience}))), now())
            .map(|_| ())
    };

    assert_eq!(verify(&with_secret(), json!("records")), Err(TokenError::WrongAudience));
    assert_eq!(verify(&for_records, json!("records")), Ok(()));
    assert_eq!(verify(&for_records, json!(["billing", "records"])), Ok(()));
    assert_eq!(verify(&for_records, json!("billing")), Err(TokenError::WrongAudience));
    assert_eq!(verify(&for_records, Value::Null), Err(TokenError::MissingClaim("aud")));
}

#[test]
fn a_token_that_is_too_long_is_not_even_looked_at() {
    let token = signed(&claims_with(json!({"name": "x".repeat(MAX_TOKEN_BYTES)})));

    assert_eq!(with_secret().verify(&token, now()), Err(TokenError::TooLong));
}

#[test]
fn what_is_signed_here_is_verified_here() {
    let authenticator = with_secret();

    let token = authenticator.sign(&doctor(), now(), Duration::from_hours(1)).unwrap();

    let holder = authenticator.verify(&token, now()).unwrap();
    let expires_at = Some(now().plus(Duration::from_hours(1)));
    assert_eq!(
        holder,
        Authenticated {
            identity: doctor(),
            expires_at
        }
    );
}

#[test]
fn a_signed_token_has_the_claims_that_flask_jwt_extended_looks_for() {
    let token = with_secret()
        .sign(&doctor(), issued_at(), Duration::from_mins(15))
        .unwrap();

    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(&token)
        .unwrap()
        .claims;

    for name in ["fresh", "iat", "jti", "type", "sub", "nbf", "exp"] {
        assert!(!claims[name].is_null(), "{name}");
    }
    assert_eq!((&claims["type"], &claims["sub"]), (&json!("access"), &json!("user_42")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
}

#[test]
fn without_the_secret_nothing_is_signed() {
    let public = with_public_key(Algorithm::Rs256, RSA_PUBLIC);
    let keyless = Authenticator::new(Settings {
        mode: Mode::Open,
        secret: None,
        ..settings()
    })
    .unwrap();

    let sign = |who: &Authenticator| who.sign(&doctor(), now(), Duration::from_mins(1)).unwrap_err();

    assert!(matches!(sign(&public), SignError::PublicKeyOnly(Algorithm::Rs256)));
    assert!(matches!(sign(&keyless), SignError::NoSecret));
}

#[test]
fn modes_that_ask_for_tokens_need_a_key() {
    for mode in [Mode::Token, Mode::Legacy] {
        let refused = Authenticator::new(Settings {
            mode,
            secret: None,
            ..settings()
        });

        assert!(matches!(refused, Err(KeyError::Missing(of)) if of == mode));
    }
    let open = Authenticator::new(Settings {
        mode: Mode::Open,
        secret: None,
        ..settings()
    })
    .unwrap();
    assert_eq!(open.verify(ACCESS_HS256.trim(), now()), Err(TokenError::NoKey));
}

#[test]
fn a_key_of_another_kind_is_refused() {
    for (algorithm, pem) in [
        (Algorithm::Rs256, EC_PUBLIC),
        (Algorithm::Es256, RSA_PUBLIC),
        (
            Algorithm::Rs256,
            "-----BEGIN PUBLIC KEY-----\nbm8=\n-----END PUBLIC KEY-----\n",
        ),
        (Algorithm::Es256, "not a key"),
    ] {
        let refused = Authenticator::new(Settings {
            algorithm,
            public_key_pem: Some(pem.into()),
            ..settings()
        });

        assert!(matches!(refused, Err(KeyError::Unusable { .. })), "{algorithm:?}");
    }
}

#[test]
fn neither_the_settings_nor_the_authenticator_print_the_secret() {
    let printed = format!("{:?} {:?}", settings(), with_secret());

    assert!(!printed.contains("backends"), "{printed}");
}
