//! Identifiers. What other systems assign is checked text; what we assign is a UUIDv7.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest identifier that another system may give us, in characters.
const MAX_ID_LENGTH: usize = 128;

/// The text cannot be an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters of A-Z a-z 0-9 _ - . :")]
pub struct InvalidId;

/// The text cannot be a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 characters without control characters")]
pub struct InvalidName;

pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
}

fn is_triage_id(text: &str) -> bool {
    is_id(text) && text != "queue"
}

fn is_name(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// Text that is checked once, where it comes in.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $is_valid:path, $invalid:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes `text` if it is one; the error says what one is.
            pub fn parse(text: &str) -> Result<Self, $invalid> {
                if $is_valid(text) { Ok(Self(Arc::from(text))) } else { Err($invalid) }
            }

            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $invalid;
            fn from_str(text: &str) -> Result<Self, $invalid> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;
            fn try_from(text: String) -> Result<Self, $invalid> {
                Self::parse(&text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// A patient, as the hospital's own system names them.
    PatientId, is_id, InvalidId
);
checked_text!(
    /// A hospital.
    HospitalId, is_id, InvalidId
);
checked_text!(
    /// A doctor or nurse.
    StaffId, is_id, InvalidId
);
checked_text!(
    /// A bed, unique inside its hospital.
    BedId, is_id, InvalidId
);
checked_text!(
    /// A triage case. `queue` is refused: `triage_queue` is the queue's room, never a case's.
    TriageId, is_triage_id, InvalidId
);
checked_text!(
    /// A ward's name as people write it: `ICU 2`, `Kinderstation`.
    WardName, is_name, InvalidName
);
checked_text!(
    /// Whoever holds a token or says who they are in open mode. It is part of no room's name, so it may be what a backend's
    /// user ids are: a number, an e-mail address, `auth0|5f7c8ec7`.
    UserId, is_name, InvalidName
);
checked_text!(
    /// A clinic, as its EHR names it (contract B). Nothing of one is ever told to another.
    TenantId, is_name, InvalidName
);
checked_text!(
    /// A conversation between people of one tenant (contract B).
    ThreadId, is_name, InvalidName
);

macro_rules! assigned_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: UUIDv7, so later ids sort after earlier ones.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as a UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

assigned_id!(
    /// An event of ours. For an alert it is the `alert_id` as well.
    EventId
);
assigned_id!(
    /// An asynchronous prediction.
    TaskId
);
