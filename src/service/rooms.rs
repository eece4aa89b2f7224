//! Who may join which room, and who may see how full they are.

use std::sync::Arc;

use super::Core;
use crate::domain::Room;
use crate::domain::access::{Denied, Identity};
use crate::ports::StoreError;

/// Rooms.
#[derive(Clone)]
pub struct Rooms(pub(super) Arc<Core>);

impl Rooms {
    /// Whether they may join this room now.
    pub async fn may_join(&self, by: &Identity, room: &Room) -> Result<bool, StoreError> {
        drop((by, room));
        Ok(false)
    }

    /// Whether they may see who is connected (`GET /api/status/socket`).
    pub fn may_see_status(&self, by: &Identity) -> Result<(), Denied> {
        drop(by);
        Err(Denied::Role)
    }
}
