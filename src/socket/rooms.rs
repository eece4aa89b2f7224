//! The rooms of this node, counted: who is in them, and how much was sent to them.
//!
//! The library knows the members; it can neither count them cheaply nor tell two forms of one event apart. So every room of
//! the wire is two rooms of the library, one for each [`Form`], and the counting is done here.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::{Room, RoomName};
use crate::socket::lock;
use crate::telemetry::Metrics;

/// How a socket is told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `["name",payload]`
    Plain,
    /// `["name",payload,"position"]`, for clients that send the position back when they return.
    Positioned,
}

impl Form {
    /// The library's room for members of `room` that get this form.
    pub(super) fn room(self, room: &RoomName) -> String {
        let prefix = match self {
            Self::Plain => "plain:",
            Self::Positioned => "positioned:",
        };
        [prefix, room.as_str()].concat()
    }
}

/// What is counted of one room. It is there as long as the room has members.
#[derive(Debug, Default)]
pub(super) struct Tally {
    members: AtomicUsize,
    plain: AtomicUsize,
    positioned: AtomicUsize,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    fn live(&self, form: Form) -> &AtomicUsize {
        match form {
            Form::Plain => &self.plain,
            Form::Positioned => &self.positioned,
        }
    }

    /// Members that are told of events as they happen, in this form. The others are still catching up.
    pub(super) fn live_members(&self, form: Form) -> usize {
        self.live(form).load(Ordering::Acquire)
    }

    pub(super) fn note_live(&self, form: Form) {
        self.live(form).fetch_add(1, Ordering::AcqRel);
    }

    /// Events sent to the room so far, and their bytes.
    pub(super) fn sent(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    pub(super) fn note_sent(&self, bytes: u64) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Every room that has members on this node.
#[derive(Debug)]
pub(super) struct Rooms {
    tallies: Mutex<HashMap<RoomName, Arc<Tally>>>,
    metrics: Metrics,
}

impl Rooms {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            tallies: Mutex::default(),
            metrics,
        }
    }

    /// Counts one member more.
    pub(super) fn enter(&self, room: &RoomName) -> Arc<Tally> {
        let mut tallies = lock(&self.tallies);
        let tally = Arc::clone(tallies.entry(room.clone()).or_default());
        tally.members.fetch_add(1, Ordering::AcqRel);
        self.metrics.rooms.set(i64::try_from(tallies.len()).unwrap_or(i64::MAX));
        tally
    }

    /// Counts one member less; `was_live` if it was told of events, and in which form.
    pub(super) fn leave(&self, room: &RoomName, tally: &Tally, was_live: Option<Form>) {
        let mut tallies = lock(&self.tallies);
        if let Some(form) = was_live {
            tally.live(form).fetch_sub(1, Ordering::AcqRel);
        }
        if tally.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            tallies.remove(room);
            self.metrics.rooms.set(i64::try_from(tallies.len()).unwrap_or(i64::MAX));
        }
    }

    /// The tallies of those of `rooms` that have members.
    pub(super) fn of<'a>(&self, rooms: &'a [RoomName]) -> Vec<(&'a RoomName, Arc<Tally>)> {
        let tallies = lock(&self.tallies);
        rooms
            .iter()
            .filter_map(|room| Some((room, Arc::clone(tallies.get(room)?))))
            .collect()
    }

    /// Members by room. Rooms of the other contract are not told to anybody of ours.
    pub(super) fn members(&self) -> BTreeMap<String, usize> {
        let tallies = lock(&self.tallies);
        tallies
            .iter()
            .filter(|(room, _)| room.as_str().parse::<Room>().is_ok())
            .map(|(room, tally)| (room.to_string(), tally.members.load(Ordering::Acquire)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_there_as_long_as_it_has_members() {
        let rooms = Rooms::new(Metrics::new());
        let ward = RoomName::from("hospital_h1");
        let first = rooms.enter(&ward);
        let second = rooms.enter(&ward);
        second.note_live(Form::Plain);
        assert_eq!(rooms.members(), BTreeMap::from([("hospital_h1".to_owned(), 2)]));

        rooms.leave(&ward, &first, None);
        rooms.leave(&ward, &second, Some(Form::Plain));

        assert!(rooms.members().is_empty());
        assert!(rooms.of(&[ward]).is_empty());
    }

    #[test]
    fn members_that_catch_up_are_members_but_not_live() {
        let rooms = Rooms::new(Metrics::new());
        let tally = rooms.enter(&RoomName::from("triage_queue"));

        assert_eq!(
            (tally.live_members(Form::Plain), tally.live_members(Form::Positioned)),
            (0, 0)
        );
        tally.note_live(Form::Positioned);
        assert_eq!(
            (tally.live_members(Form::Plain), tally.live_members(Form::Positioned)),
            (0, 1)
        );
    }
}
