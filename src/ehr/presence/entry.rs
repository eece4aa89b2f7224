//! What a node tells the others of each of its sockets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{PatientId, TenantId, Timestamp, UserId};

/// Whether somebody is at their screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::ehr) enum Status {
    /// Connected, and says nothing else.
    Online,
    /// Connected, and says so.
    Away,
    /// Not connected.
    Offline,
}

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ehr) struct Entry {
    #[serde(rename = "t")]
    pub(in crate::ehr) tenant: TenantId,
    #[serde(rename = "u")]
    pub(in crate::ehr) user: UserId,
    #[serde(rename = "n")]
    pub(in crate::ehr) name: String,
    #[serde(rename = "s")]
    pub(in crate::ehr) status: Status,
    /// How often it has said how it is.
    #[serde(rename = "k")]
    pub(in crate::ehr) said: u64,
    /// When it last did something.
    #[serde(rename = "l")]
    pub(in crate::ehr) seen_at: Timestamp,
    /// The patients that it views, and since when.
    #[serde(rename = "v", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::ehr) viewing: BTreeMap<PatientId, Timestamp>,
}
