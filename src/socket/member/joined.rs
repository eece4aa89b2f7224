//! The rooms that a member is in.

use std::sync::Arc;

use crate::domain::{Position, RoomName};
use crate::socket::rooms::Tally;

/// What a member knows of a room that it is in.
pub(super) struct Joined {
    /// Everything published in the room after this is owed to it.
    pub(super) at: Position,
    pub(super) tally: Arc<Tally>,
    /// What had been sent to the room when it went live; `None`: it has not.
    pub(super) live_since: Option<(u64, u64)>,
}

/// Its rooms, in the order of their names. Most members are in one or two, and there are thousands: a hash table would be
/// larger than what is in it.
#[derive(Default)]
pub(super) struct JoinedRooms(Vec<(RoomName, Joined)>);

impl JoinedRooms {
    fn find(&self, room: &RoomName) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| name.cmp(room))
    }

    pub(super) fn contains(&self, room: &RoomName) -> bool {
        self.find(room).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a room in, instead of itself if it is there already.
    pub(super) fn insert(&mut self, room: RoomName, joined: Joined) {
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        match self.find(&room) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = joined;
                }
            }
            Err(at) => self.0.insert(at, (room, joined)),
        }
    }

    pub(super) fn remove(&mut self, room: &RoomName) -> Option<Joined> {
        let at = self.find(room).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(RoomName, Joined)> {
        self.0.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Joined> {
        self.0.iter().map(|(_, joined)| joined)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Joined> {
        self.0.iter_mut().map(|(_, joined)| joined)
    }
}

impl IntoIterator for JoinedRooms {
    type Item = (RoomName, Joined);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(major: u64) -> Joined {
        Joined {
            at: Position::from_sequence(major),
            tally: Arc::default(),
            live_since: None,
        }
    }

    #[test]
    fn a_room_is_there_once_whatever_the_order_of_joining_and_leaving() {
        let mut rooms = JoinedRooms::default();

        for (name, major) in [("m", 1), ("z", 2), ("a", 3), ("m", 4), ("q", 5)] {
            rooms.insert(name.into(), joined(major));
        }
        assert!(rooms.remove(&"q".into()).is_some());
        assert!(rooms.remove(&"q".into()).is_none());

        assert!(rooms.contains(&"m".into()) && !rooms.contains(&"q".into()));
        assert_eq!(rooms.len(), 3);
        let at: Vec<_> = rooms
            .iter()
            .map(|(room, joined)| (room.as_str(), joined.at.major))
            .collect();
        assert_eq!(at, [("a", 3), ("m", 4), ("z", 2)]);
    }
}
