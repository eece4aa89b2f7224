//! `wardbell token`: signs a token as the hospital's own backend would, for trying out.

use std::time::Duration;

use clap::Args;

use super::Error;
use crate::auth::Authenticator;
use crate::clock::{Clock, SystemClock};
use crate::domain::access::{Identity, Proof, Role};
use crate::domain::{HospitalId, PatientId, StaffId, UserId};

/// Whom the token is for.
#[derive(Debug, Args)]
pub(super) struct Grant {
    /// doctor, nurse, staff, admin, patient or service
    #[arg(long)]
    role: Role,
    /// The user's id, the token's `sub`
    #[arg(long, default_value = "trying-out", value_name = "ID")]
    user: UserId,
    /// The hospital that bounds what they may see and do
    #[arg(long, value_name = "ID")]
    hospital: Option<HospitalId>,
    /// Their id as staff
    #[arg(long, value_name = "ID")]
    staff: Option<StaffId>,
    /// Their id as a patient
    #[arg(long, value_name = "ID")]
    patient: Option<PatientId>,
    /// Their name
    #[arg(long)]
    name: Option<String>,
    /// How long it counts, such as 15m, 8h
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = humantime_serde::re::humantime::parse_duration)]
    ttl: Duration,
}

impl Grant {
    /// The signed token.
    pub(super) fn sign(self, authenticator: &Authenticator) -> Result<String, Error> {
        if self.role == Role::Patient && self.patient.is_none() {
            return Err(Error::Usage(
                "a patient's token needs --patient: without it, it opens no room".to_owned(),
            ));
        }
        let identity = Identity {
            user_id: self.user,
            role: self.role,
            hospital_id: self.hospital,
            staff_id: self.staff,
            patient_id: self.patient,
            name: self.name,
            proof: Proof::Token,
        };
        Ok(authenticator.sign(&identity, SystemClock.now(), self.ttl)?)
    }
}
