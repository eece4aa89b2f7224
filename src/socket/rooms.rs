//! The rooms of this node: who is in them, who is told of what happens in them, and how much that was so far.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;

use super::lock;
use super::transport::Conn;
use crate::domain::{Room, RoomName};
use crate::telemetry::Metrics;

/// How a socket is told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `["name",payload]`
    Plain,
    /// `["name",payload,"position"]`, for clients that send the position back when they return.
    Positioned,
}

/// Who is told of events in a room, each member by a number of its own.
pub(super) type Listeners = Arc<[(u64, Arc<Conn>)]>;

#[derive(Debug, Default)]
struct Live {
    listeners: IndexMap<u64, Arc<Conn>>,
    /// The same, as it is handed out until it changes: nobody waits for a fan-out.
    handed_out: Option<Listeners>,
}

impl Live {
    fn handed_out(&mut self) -> Listeners {
        let Self { listeners, handed_out } = self;
        let list = || {
            listeners
                .iter()
                .map(|(member, conn)| (*member, Arc::clone(conn)))
                .collect()
        };
        Arc::clone(handed_out.get_or_insert_with(list))
    }
}

/// One room. It is there as long as it has members.
#[derive(Debug, Default)]
pub(super) struct Tally {
    members: AtomicUsize,
    plain: Mutex<Live>,
    positioned: Mutex<Live>,
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    fn live(&self, form: Form) -> &Mutex<Live> {
        match form {
            Form::Plain => &self.plain,
            Form::Positioned => &self.positioned,
        }
    }

    /// Who is told of events as they happen, in this form. The other members are still catching up.
    pub(super) fn listeners(&self, form: Form) -> Listeners {
        lock(self.live(form)).handed_out()
    }

    /// Tells a member of events from now on.
    pub(super) fn go_live(&self, form: Form, member: u64, conn: Arc<Conn>) {
        let mut live = lock(self.live(form));
        live.listeners.insert(member, conn);
        live.handed_out = None;
    }

    fn go_silent(&self, form: Form, member: u64) {
        let mut live = lock(self.live(form));
        live.listeners.swap_remove(&member);
        live.handed_out = None;
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

    /// Counts one member more. The name that is answered is the same text for all members.
    pub(super) fn enter(&self, room: &RoomName) -> (RoomName, Arc<Tally>) {
        let mut tallies = lock(&self.tallies);
        let known = tallies
            .get_key_value(room)
            .map(|(name, tally)| (name.clone(), Arc::clone(tally)));
        let (name, tally) = known.unwrap_or_else(|| {
            let (name, tally) = (room.clone(), Arc::default());
            tallies.insert(name.clone(), Arc::clone(&tally));
            self.metrics.rooms.set(i64::try_from(tallies.len()).unwrap_or(i64::MAX));
            (name, tally)
        });
        tally.members.fetch_add(1, Ordering::AcqRel);
        (name, tally)
    }

    /// Counts one member less, and tells it nothing any more.
    pub(super) fn leave(&self, room: &RoomName, tally: &Tally, form: Form, member: u64) {
        tally.go_silent(form, member);
        let mut tallies = lock(&self.tallies);
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
    use crate::socket::transport::Registry;
    use crate::telemetry::Metrics;

    fn conn() -> Arc<Conn> {
        Conn::of_nobody(&Registry::new(Metrics::new(), "", 9))
    }

    #[test]
    fn a_room_is_there_as_long_as_it_has_members() {
        let rooms = Rooms::new(Metrics::new());
        let ward = RoomName::from("hospital_h1");
        let (_, first) = rooms.enter(&ward);
        let (_, second) = rooms.enter(&ward);
        second.go_live(Form::Plain, 2, conn());
        assert_eq!(rooms.members(), BTreeMap::from([("hospital_h1".to_owned(), 2)]));

        rooms.leave(&ward, &first, Form::Plain, 1);
        rooms.leave(&ward, &second, Form::Plain, 2);

        assert!(rooms.members().is_empty());
        assert!(rooms.of(&[ward]).is_empty());
    }

    #[test]
    fn members_that_catch_up_are_told_nothing_yet() {
        let rooms = Rooms::new(Metrics::new());
        let ward = RoomName::from("triage_queue");
        let (_, tally) = rooms.enter(&ward);
        let told = |form| {
            tally
                .listeners(form)
                .iter()
                .map(|(member, _)| *member)
                .collect::<Vec<_>>()
        };
        assert_eq!((told(Form::Plain), told(Form::Positioned)), (vec![], vec![]));

        tally.go_live(Form::Positioned, 7, conn());
        assert_eq!((told(Form::Plain), told(Form::Positioned)), (vec![], vec![7]));

        tally.go_live(Form::Positioned, 8, conn());
        rooms.leave(&ward, &tally, Form::Positioned, 7);
        assert_eq!(told(Form::Positioned), [8]);
    }
}
