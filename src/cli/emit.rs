//! `wardbell emit`: raises an alert on a running server, over the same REST as everybody.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Error, PATIENCE, ask, base_url, say, wait_for};
use crate::auth::{Authenticator, Mode, SignError};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::domain::access::{Identity, Proof, Role};
use crate::domain::{HospitalId, PatientId, UserId};

/// What to raise, and where.
#[derive(Debug, Args)]
pub(super) struct Emit {
    /// The server, such as <http://10.0.0.5:5000>; the one of this configuration if it is not given
    #[arg(long, global = true)]
    url: Option<String>,
    #[command(subcommand)]
    alert: Alert,
}

#[derive(Debug, Subcommand)]
enum Alert {
    /// To whoever watches a patient: emit patient P1 critical "no pulse"
    Patient {
        /// The patient
        patient_id: PatientId,
        /// critical, warning or info
        alert_type: String,
        /// What the panel shows
        message: String,
        /// The patient's hospital
        #[arg(long, value_name = "ID")]
        hospital: Option<HospitalId>,
    },
    /// To all staff of a hospital: emit hospital H1 emergency "Fire drill"
    Hospital {
        /// The hospital
        hospital_id: HospitalId,
        /// emergency, capacity, system or info
        alert_type: String,
        /// What the panel shows
        message: String,
    },
}

/// How long the token of one command counts.
const TOKEN_LIFE: Duration = Duration::from_mins(1);

impl Emit {
    /// Sends it and prints the answer.
    pub(super) fn send(self, config: &Config, authenticator: &Authenticator) -> Result<(), Error> {
        let (path, body) = self.alert.request();
        let base = self.url.unwrap_or_else(|| base_url(config));
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let token = service_token(authenticator)?;
        let answer = wait_for(async {
            let mut request = reqwest::Client::new().post(&url).json(&body);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            ask(&url, request, PATIENCE).await
        })?;
        say(&answer)
    }
}

impl Alert {
    fn request(self) -> (&'static str, Value) {
        match self {
            Self::Patient {
                patient_id,
                alert_type,
                message,
                hospital,
            } => {
                let mut body =
                    json!({"patient_id": patient_id, "alert_type": alert_type, "alert_data": {"message": message}});
                if let (Some(hospital), Some(fields)) = (hospital, body.as_object_mut()) {
                    fields.insert("hospital_id".to_owned(), json!(hospital));
                }
                ("/api/alerts/patient", body)
            }
            Self::Hospital {
                hospital_id,
                alert_type,
                message,
            } => (
                "/api/hospital/alert",
                json!({"hospital_id": hospital_id, "alert_type": alert_type, "message": message}),
            ),
        }
    }
}

/// A token where one can be signed. Where none can, an open server may take the alert without.
fn service_token(authenticator: &Authenticator) -> Result<Option<String>, Error> {
    let user_id = UserId::parse("wardbell-emit").map_err(|invalid| Error::Usage(invalid.to_string()))?;
    let identity = Identity {
        user_id,
        role: Role::Service,
        hospital_id: None,
        staff_id: None,
        patient_id: None,
        name: None,
        proof: Proof::Token,
    };
    match authenticator.sign(&identity, SystemClock.now(), TOKEN_LIFE) {
        Ok(token) => Ok(Some(token)),
        Err(SignError::NoSecret) if authenticator.mode() == Mode::Open => Ok(None),
        Err(error) => Err(error.into()),
    }
}
