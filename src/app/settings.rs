//! From the configuration's types to each part's own.

use crate::{auth, config};

/// What the authenticator is built from.
pub fn auth(auth: &config::Auth) -> auth::Settings {
    auth::Settings {
        mode: match auth.mode {
            config::Mode::Open => auth::Mode::Open,
            config::Mode::Token => auth::Mode::Token,
            config::Mode::Legacy => auth::Mode::Legacy,
        },
        algorithm: match auth.algorithm {
            config::Algorithm::Hs256 => auth::Algorithm::Hs256,
            config::Algorithm::Rs256 => auth::Algorithm::Rs256,
            config::Algorithm::Es256 => auth::Algorithm::Es256,
        },
        secret: auth.secret.clone(),
        public_key_pem: auth.public_key_pem.clone(),
        audience: auth.audience.clone(),
        leeway: auth.leeway,
    }
}
