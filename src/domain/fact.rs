//! What a tenant's EHR said last of a thing: what has to be known to tell whether something changed, and who takes part.

use serde::{Deserialize, Serialize};

use super::{TenantId, Timestamp};

/// What is said of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A thread's participants, as a JSON array of user ids.
    Participants,
    /// The user that a task is assigned to.
    Assignee,
    /// The status of a laboratory result.
    LabStatus,
    /// An appointment as it was told last, as a JSON object.
    Appointment,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Participants, Self::Assignee, Self::LabStatus, Self::Appointment];

    /// As stores write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Participants => "participants",
            Self::Assignee => "assignee",
            Self::LabStatus => "lab_status",
            Self::Appointment => "appointment",
        }
    }
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// By whose EHR.
    pub tenant: TenantId,
    /// Of which kind of thing.
    pub topic: Topic,
    /// Of which one.
    pub id: String,
    /// What.
    pub value: String,
    /// When, by the clock of whoever was told.
    pub at: Timestamp,
}
