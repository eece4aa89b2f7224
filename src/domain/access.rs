//! Who may hear and do what. One table for rooms, one for actions; every transport asks here.
//!
//! Both stand on [`Reach`]: how far somebody's claims carry, whatever they want to do. What belongs to no hospital that we know
//! of is within everybody's reach who works in one: the first alert of an unknown patient must not be refused.
//!
//! Staff whose token names no hospital are kept to exactly that: nothing that is known to belong to a hospital is theirs.
//! The token is probably a mistake, and guessing which hospital it was meant for would show patients to strangers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{HospitalId, PatientId, Room, StaffId, UserId};

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

/// How far somebody's claims carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Everything: administrators and services without a hospital, and whoever nobody was asked about.
    Everything,
    /// This hospital, and what is not known to belong to another.
    Hospital(HospitalId),
    /// What is not known to belong to any hospital: staff whose token names none.
    Unassigned,
    /// This patient; nobody at all where the token of a patient names none.
    Patient(Option<PatientId>),
}

impl Identity {
    /// How far their claims carry.
    #[expect(clippy::match_same_arms, reason = "a table: a row for each rule")]
    pub fn reach(&self) -> Reach {
        match (self.proof, self.role, &self.hospital_id) {
            (Proof::Open, _, _) => Reach::Everything,
            (Proof::Token, Role::Patient, _) => Reach::Patient(self.patient_id.clone()),
            // The existing frontend's handshake says who they are and nothing else.
            (Proof::Claimed, Role::Patient, _) => Reach::Patient(
                self.patient_id
                    .clone()
                    .or_else(|| PatientId::parse(self.user_id.as_str()).ok()),
            ),
            (Proof::Claimed, _, _) => Reach::Everything,
            (Proof::Token, _, Some(hospital)) => Reach::Hospital(hospital.clone()),
            (Proof::Token, Role::Admin | Role::Service, None) => Reach::Everything,
            (Proof::Token, Role::Doctor | Role::Nurse | Role::Staff, None) => Reach::Unassigned,
        }
    }
}

impl Reach {
    /// Whether this hospital is within reach.
    pub fn check_hospital(&self, hospital: &HospitalId) -> Result<(), Denied> {
        match self {
            Self::Everything => Ok(()),
            Self::Hospital(own) if own == hospital => Ok(()),
            Self::Hospital(_) | Self::Unassigned => Err(Denied::Hospital),
            Self::Patient(_) => Err(Denied::Role),
        }
    }

    /// Whether this patient is within reach. `known` is the hospital that they are known to belong to.
    pub fn check_patient(&self, patient: &PatientId, known: Option<&HospitalId>) -> Result<(), Denied> {
        match self {
            Self::Patient(Some(own)) if own == patient => Ok(()),
            Self::Patient(_) => Err(Denied::Patient),
            Self::Everything | Self::Hospital(_) | Self::Unassigned => self.check_belonging(known),
        }
    }

    /// Whether something that is known to belong to this hospital, or to none, is within reach. Never a patient's.
    pub fn check_belonging(&self, known: Option<&HospitalId>) -> Result<(), Denied> {
        match (self, known) {
            (Self::Patient(_), _) => Err(Denied::Role),
            (Self::Everything | Self::Hospital(_) | Self::Unassigned, None) => Ok(()),
            (Self::Everything | Self::Hospital(_) | Self::Unassigned, Some(hospital)) => self.check_hospital(hospital),
        }
    }

    /// The hospital that is meant where none is named.
    pub fn own_hospital(&self) -> Option<&HospitalId> {
        match self {
            Self::Hospital(own) => Some(own),
            Self::Everything | Self::Unassigned | Self::Patient(_) => None,
        }
    }
}

/// The table of rooms: whether somebody may join one.
///
/// `known` is the hospital that the room's patient or case is known to belong to; the other rooms need none.
#[expect(clippy::match_same_arms, reason = "a table: a row for each rule")]
pub fn may_join(who: &Identity, room: &Room, known: Option<&HospitalId>) -> bool {
    let reach = who.reach();
    match (who.proof, who.role, room) {
        (Proof::Open, _, _) => true,
        (Proof::Token | Proof::Claimed, Role::Service, _) => false,
        (_, Role::Patient, Room::Patient(patient)) => reach.check_patient(patient, known).is_ok(),
        (_, Role::Patient, Room::Hospital(_) | Room::Triage(_) | Room::TriageQueue) => false,
        (_, Role::Doctor | Role::Nurse | Role::Staff | Role::Admin, room) => match room {
            Room::Patient(patient) => reach.check_patient(patient, known).is_ok(),
            Room::Hospital(hospital) => reach.check_hospital(hospital).is_ok(),
            Room::Triage(_) => reach.check_belonging(known).is_ok(),
            // There is one queue for all hospitals; its events name a case, a patient and a state.
            Room::TriageQueue => true,
        },
    }
}

/// What can be asked for over REST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Predict a patient's risk.
    Predict,
    /// Raise a patient's alert.
    AlertPatient,
    /// Raise a hospital's alert.
    AlertHospital,
    /// Open a triage case or move it on.
    WriteTriage,
    /// Change a bed.
    WriteBeds,
    /// Say that a member of staff is available or is not.
    WriteStaff,
    /// Read past alerts.
    ReadAlerts,
    /// Read triage cases.
    ReadTriage,
    /// Read a hospital's beds.
    ReadBeds,
    /// Read who is available.
    ReadStaff,
    /// Ask how far a prediction has come.
    ReadTask,
    /// Ask who is connected: room names carry patients' ids.
    ReadStatus,
}

/// The table of actions: whether somebody of that role may do that at all. [`Reach`] says to whom.
#[expect(clippy::match_same_arms, reason = "a table: a row for each rule")]
pub fn check(who: &Identity, action: Action) -> Result<(), Denied> {
    match (who.proof, who.role, action) {
        (Proof::Open, _, _) => Ok(()),
        (_, Role::Doctor | Role::Nurse | Role::Staff | Role::Admin | Role::Service, _) => Ok(()),
        (_, Role::Patient, Action::ReadAlerts) => Ok(()),
        (
            _,
            Role::Patient,
            Action::Predict
            | Action::AlertPatient
            | Action::AlertHospital
            | Action::WriteTriage
            | Action::WriteBeds
            | Action::WriteStaff
            | Action::ReadTriage
            | Action::ReadBeds
            | Action::ReadStaff
            | Action::ReadTask
            | Action::ReadStatus,
        ) => Err(Denied::Role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TriageId;

    const ROLES: [Role; 6] = [
        Role::Doctor,
        Role::Nurse,
        Role::Staff,
        Role::Admin,
        Role::Patient,
        Role::Service,
    ];

    fn hospital(id: &str) -> HospitalId {
        HospitalId::parse(id).unwrap()
    }

    fn person(role: Role, proof: Proof, hospital_id: Option<&str>) -> Identity {
        Identity {
            user_id: UserId::parse("U1").unwrap(),
            role,
            hospital_id: hospital_id.map(hospital),
            staff_id: None,
            patient_id: (role == Role::Patient && proof == Proof::Token).then(|| PatientId::parse("P1").unwrap()),
            name: None,
            proof,
        }
    }

    /// Rooms by family and by how they stand to somebody of hospital `H1`, or to patient `P1` (user `U1` where claimed).
    fn rooms() -> [(&'static str, Room, Option<HospitalId>); 11] {
        let patient = |id: &str| Room::Patient(PatientId::parse(id).unwrap());
        let triage = || Room::Triage(TriageId::parse("T1").unwrap());
        [
            ("patient, theirs, unknown hospital", patient("P1"), None),
            ("patient, theirs, own hospital", patient("P1"), Some(hospital("H1"))),
            ("patient, theirs, other hospital", patient("P1"), Some(hospital("H2"))),
            ("patient, by user id", patient("U1"), None),
            ("patient, unknown hospital", patient("P2"), None),
            ("patient, own hospital", patient("P2"), Some(hospital("H1"))),
            ("patient, other hospital", patient("P2"), Some(hospital("H2"))),
            ("hospital, own", Room::Hospital(hospital("H1")), None),
            ("hospital, other", Room::Hospital(hospital("H2")), None),
            ("triage case, own hospital", triage(), Some(hospital("H1"))),
            ("triage queue", Room::TriageQueue, None),
        ]
    }

    /// For each of [`rooms`], in order: `+` may join, `-` may not. And the two triage cases that are left.
    fn joins(who: &Identity) -> String {
        let case = Room::Triage(TriageId::parse("T1").unwrap());
        rooms()
            .iter()
            .map(|(_, room, known)| may_join(who, room, known.as_ref()))
            .chain([may_join(who, &case, None), may_join(who, &case, Some(&hospital("H2")))])
            .map(|may| if may { '+' } else { '-' })
            .collect()
    }

    #[test]
    fn the_table_of_rooms_holds_for_every_role_and_relation() {
        let token = Proof::Token;
        let claimed = Proof::Claimed;
        let h1 = Some("H1");
        #[rustfmt::skip]
        let table = [
            //                                patient     hospital triage
            //                                theirs  by    other own   own queue
            //                                ?oh     user  ?oh   other            ? other
            (Role::Doctor,  token,   h1,   "++-" , "+", "++-", "+-", "+", "+", "+-"),
            (Role::Nurse,   token,   h1,   "++-" , "+", "++-", "+-", "+", "+", "+-"),
            (Role::Staff,   token,   h1,   "++-" , "+", "++-", "+-", "+", "+", "+-"),
            (Role::Admin,   token,   h1,   "++-" , "+", "++-", "+-", "+", "+", "+-"),
            (Role::Patient, token,   h1,   "+++" , "-", "---", "--", "-", "-", "--"),
            (Role::Service, token,   h1,   "---" , "-", "---", "--", "-", "-", "--"),
            (Role::Doctor,  token,   None, "+--" , "+", "+--", "--", "-", "+", "+-"),
            (Role::Nurse,   token,   None, "+--" , "+", "+--", "--", "-", "+", "+-"),
            (Role::Staff,   token,   None, "+--" , "+", "+--", "--", "-", "+", "+-"),
            (Role::Admin,   token,   None, "+++" , "+", "+++", "++", "+", "+", "++"),
            (Role::Patient, token,   None, "+++" , "-", "---", "--", "-", "-", "--"),
            (Role::Service, token,   None, "---" , "-", "---", "--", "-", "-", "--"),
            (Role::Doctor,  claimed, None, "+++" , "+", "+++", "++", "+", "+", "++"),
            (Role::Nurse,   claimed, None, "+++" , "+", "+++", "++", "+", "+", "++"),
            (Role::Staff,   claimed, None, "+++" , "+", "+++", "++", "+", "+", "++"),
            (Role::Admin,   claimed, None, "+++" , "+", "+++", "++", "+", "+", "++"),
            (Role::Patient, claimed, None, "---" , "+", "---", "--", "-", "-", "--"),
            (Role::Service, claimed, None, "---" , "-", "---", "--", "-", "-", "--"),
        ];

        for (role, proof, hospital_id, theirs, by_user, others, hospitals, case, queue, cases) in table {
            let who = person(role, proof, hospital_id);

            let expected = [theirs, by_user, others, hospitals, case, queue, cases].concat();
            assert_eq!(joins(&who), expected, "{role} {proof:?} {hospital_id:?}");
        }
    }

    #[test]
    fn where_nobody_is_asked_everybody_may() {
        for role in ROLES {
            let who = person(role, Proof::Open, None);

            assert_eq!(joins(&who), "+".repeat(13), "{role}");
            assert_eq!(who.reach(), Reach::Everything, "{role}");
        }
    }

    #[test]
    fn a_patients_token_that_names_no_patient_opens_no_room() {
        let who = Identity {
            patient_id: None,
            ..person(Role::Patient, Proof::Token, None)
        };

        assert_eq!(joins(&who), "-".repeat(13));
    }

    const ACTIONS: [Action; 12] = [
        Action::Predict,
        Action::AlertPatient,
        Action::AlertHospital,
        Action::WriteTriage,
        Action::WriteBeds,
        Action::WriteStaff,
        Action::ReadAlerts,
        Action::ReadTriage,
        Action::ReadBeds,
        Action::ReadStaff,
        Action::ReadTask,
        Action::ReadStatus,
    ];

    #[test]
    fn the_table_of_actions_holds_for_every_role() {
        for (role, row) in [
            (Role::Doctor, "++++++++++++"),
            (Role::Nurse, "++++++++++++"),
            (Role::Staff, "++++++++++++"),
            (Role::Admin, "++++++++++++"),
            (Role::Service, "++++++++++++"),
            (Role::Patient, "------+-----"),
        ] {
            let who = person(role, Proof::Token, Some("H1"));

            let allowed: String = ACTIONS
                .map(|action| if check(&who, action).is_ok() { '+' } else { '-' })
                .iter()
                .collect();

            assert_eq!(allowed, row, "{role}");
        }
    }

    #[test]
    fn a_patient_is_told_that_it_is_the_role() {
        let who = person(Role::Patient, Proof::Token, None);

        for action in ACTIONS.into_iter().filter(|action| *action != Action::ReadAlerts) {
            assert_eq!(check(&who, action), Err(Denied::Role), "{action:?}");
        }
    }

    #[test]
    fn where_nobody_is_asked_every_action_is_allowed() {
        for action in ACTIONS {
            assert_eq!(
                check(&person(Role::Patient, Proof::Open, None), action),
                Ok(()),
                "{action:?}"
            );
        }
    }

    #[test]
    fn reach_is_bounded_by_the_tokens_hospital() {
        let patient = PatientId::parse("P2").unwrap();
        let (own, other) = (hospital("H1"), hospital("H2"));
        for role in [Role::Doctor, Role::Nurse, Role::Staff, Role::Admin, Role::Service] {
            let reach = person(role, Proof::Token, Some("H1")).reach();

            assert_eq!(reach.check_hospital(&own), Ok(()), "{role}");
            assert_eq!(reach.check_hospital(&other), Err(Denied::Hospital), "{role}");
            assert_eq!(reach.check_patient(&patient, None), Ok(()), "{role}");
            assert_eq!(reach.check_patient(&patient, Some(&own)), Ok(()), "{role}");
            assert_eq!(
                reach.check_patient(&patient, Some(&other)),
                Err(Denied::Hospital),
                "{role}"
            );
            assert_eq!(reach.own_hospital(), Some(&own), "{role}");
        }
    }

    #[test]
    fn without_a_hospital_administrators_and_services_reach_all_and_staff_only_what_belongs_to_none() {
        let patient = PatientId::parse("P2").unwrap();
        let some = hospital("H1");
        for (role, reaches_all) in [
            (Role::Admin, true),
            (Role::Service, true),
            (Role::Doctor, false),
            (Role::Nurse, false),
            (Role::Staff, false),
        ] {
            let reach = person(role, Proof::Token, None).reach();

            assert_eq!(reach.check_hospital(&some).is_ok(), reaches_all, "{role}");
            assert_eq!(
                reach.check_patient(&patient, Some(&some)).is_ok(),
                reaches_all,
                "{role}"
            );
            assert_eq!(reach.check_belonging(Some(&some)).is_ok(), reaches_all, "{role}");
            assert_eq!(reach.check_patient(&patient, None), Ok(()), "{role}");
            assert_eq!(reach.check_belonging(None), Ok(()), "{role}");
        }
    }

    #[test]
    fn a_patient_reaches_themselves_and_no_hospital() {
        let reach = person(Role::Patient, Proof::Token, Some("H1")).reach();

        assert_eq!(
            reach.check_patient(&PatientId::parse("P1").unwrap(), Some(&hospital("H2"))),
            Ok(())
        );
        assert_eq!(
            reach.check_patient(&PatientId::parse("P2").unwrap(), None),
            Err(Denied::Patient)
        );
        assert_eq!(reach.check_hospital(&hospital("H1")), Err(Denied::Role));
        assert_eq!(reach.check_belonging(None), Err(Denied::Role));
    }
}
