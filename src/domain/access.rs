//! Who may hear and do what. One table for rooms, one for actions; every transport asks here.

use std::fmt;
use std::str::FromStr;

use super::{HospitalId, PatientId, StaffId, UserId};

/// What somebody works as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A doctor.
    Doctor,
    /// A nurse.
    Nurse,
    /// Other staff of a hospital.
    Staff,
    /// An administrator, of one hospital or of all.
    Admin,
    /// A patient.
    Patient,
    /// A backend. It speaks REST and joins no rooms.
    Service,
}

impl Role {
    /// The role as tokens and handshakes write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Doctor => "doctor",
            Self::Nurse => "nurse",
            Self::Staff => "staff",
            Self::Admin => "admin",
            Self::Patient => "patient",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Nobody works as this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be doctor, nurse, staff, admin, patient or service")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    /// Reads a role exactly as it is written: what is nearly a role is none.
    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [
            Self::Doctor,
            Self::Nurse,
            Self::Staff,
            Self::Admin,
            Self::Patient,
            Self::Service,
        ]
        .into_iter()
        .find(|role| role.as_str() == name)
        .ok_or(UnknownRole)
    }
}

/// Who is asking, as far as the server believes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's `sub`, or the handshake's `user_id`.
    pub user_id: UserId,
    /// The token's `role`, or the handshake's `user_role`.
    pub role: Role,
    /// The hospital that bounds what they may read and write.
    pub hospital_id: Option<HospitalId>,
    /// Themselves as staff.
    pub staff_id: Option<StaffId>,
    /// Themselves as a patient.
    pub patient_id: Option<PatientId>,
    /// How people call them.
    pub name: Option<String>,
    /// How the server knows.
    pub proof: Proof,
}

/// How the server knows who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// A signed token said so.
    Token,
    /// They said so themselves (`legacy` mode's sockets).
    Claimed,
    /// Nobody was asked (`open` mode, loopback only): everything is allowed.
    Open,
}

/// They may not do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody of their role may.
    #[error("your role may not do this")]
    Role,
    /// It concerns a hospital that is not theirs, or a patient who belongs to one.
    #[error("this belongs to another hospital")]
    Hospital,
    /// It concerns another patient than themselves.
    #[error("this concerns another patient")]
    Patient,
}
