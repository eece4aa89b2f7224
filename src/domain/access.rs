//! Who may hear and do what. One table for rooms, one for actions; every transport asks here.

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
