//! Puts events that come from several sides, doubled, late and out of order, into the one order.
//!
//! Sequence numbers have no holes, so an event whose predecessor was handed on can be handed on at once; any other waits for
//! what is missing, until that comes too or the store has said what there is. It refuses to know clocks, Redis and the
//! store: `feed` tells it what comes, and asks the store where this says so.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::domain::{Event, EventId, Position};
use crate::ports::Positioned;

/// Events that may wait for a missing one. More are handed on without it: it will come late.
const MAX_HELD: usize = 16_384;
/// How many events that were handed on are known by their id.
const MAX_TOLD: usize = 65_536;

/// What stands in the line at a sequence number: an event, or nothing that anybody is told (a suppressed alert).
pub(super) type Slot = Option<Arc<Event>>;

/// The order of one node.
#[derive(Debug)]
pub(super) struct Line {
    /// Of the last event that was handed on.
    last: Position,
    /// What waits for its predecessor.
    held: BTreeMap<Position, Slot>,
    told: Told,
    /// Events after this position were passed over because the store could not be asked for them.
    owed: Option<Position>,
}

/// What the store is asked, and what was known when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// It is asked for everything after this.
    pub(super) after: Position,
    /// Everything up to this was committed before it was asked.
    decided: Position,
}

impl Line {
    /// A line that goes on behind `last`.
    pub(super) fn new(last: Position) -> Self {
        Self {
            last,
            held: BTreeMap::new(),
            told: Told::default(),
            owed: None,
        }
    }

    /// The last position that was handed on.
    pub(super) fn last(&self) -> Position {
        self.last
    }

    /// The greatest sequence number that is known to be taken.
    pub(super) fn highest(&self) -> u64 {
        self.held
            .last_key_value()
            .map_or(self.last.major, |(position, _)| position.major.max(self.last.major))
    }

    /// Whether something waits for what is missing.
    pub(super) fn has_gap(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether events were passed over that the store has to be asked for.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.is_some()
    }

    /// Takes what another node committed under a sequence number.
    pub(super) fn take(&mut self, number: u64, slot: Slot, out: &mut Vec<Positioned>) {
        let position = Position::from_sequence(number);
        if position > self.last {
            self.held.insert(position, slot);
            self.hand_on(out);
            if self.held.len() > MAX_HELD {
                self.pass_over(out);
            }
        }
    }

    /// Takes what this node has just committed. Unlike what comes from others it cannot be a repetition, so a number that was
    /// passed already means that the store counts from an older state than ours: the event is handed on all the same.
    ///
    /// Answers whether that is so.
    pub(super) fn take_own(&mut self, number: u64, slot: Slot, out: &mut Vec<Positioned>) -> bool {
        let is_behind = number <= self.last.major;
        match slot {
            Some(event) if is_behind && !self.told.contains(event.id) => {
                self.hand_on_late(event, out);
                true
            }
            slot => {
                self.take(number, slot, out);
                false
            }
        }
    }

    /// Takes an event that was published without the store, just after `position.major`. Nothing is waited for: what is
    /// missing before it can only be had from the store.
    pub(super) fn take_spooled(&mut self, position: Position, event: Arc<Event>, out: &mut Vec<Positioned>) {
        if !self.told.contains(event.id) {
            let position = position.max(successor(self.last));
            self.tell(position, event, out);
        }
    }

    /// Hands an event to this node alone, because neither the store nor the bus can take it. It is handed on once more when
    /// it gets its place.
    pub(super) fn take_alone(&mut self, event: Arc<Event>, out: &mut Vec<Positioned>) {
        self.last = successor(self.last);
        out.push(Positioned {
            position: self.last,
            event,
        });
    }

    /// What the store has to be asked to bring this line up to date.
    pub(super) fn question(&self) -> Question {
        Question {
            after: self.owed.unwrap_or(self.last).min(self.last),
            decided: self.held.last_key_value().map_or(self.last, |(position, _)| *position),
        }
    }

    /// Takes the store's answer. `is_whole` says that there is nothing behind it.
    pub(super) fn take_page(
        &mut self,
        question: Question,
        page: Vec<Positioned>,
        is_whole: bool,
        out: &mut Vec<Positioned>,
    ) {
        let end = page.last().map_or(question.after, |last| last.position);
        for Positioned { position, event } in page {
            if position > self.last {
                // A spooled event was perhaps handed on before it came into the store, also under a number: its commit was in
                // doubt, and turned out to have been kept.
                let is_told = self.told.contains(event.id);
                self.held.insert(position, (!is_told).then_some(event));
            } else if self.owed.is_some() && !self.told.contains(event.id) {
                self.hand_on_late(event, out);
            }
        }
        if is_whole {
            self.owed = None;
            self.hand_on_through(end.max(question.decided), out);
        } else {
            if let Some(owed) = &mut self.owed {
                *owed = end;
            }
            self.hand_on_through(end, out);
        }
        self.hand_on(out);
    }

    /// Hands on all that waits, without what is missing. The store is to be asked for that when it can be.
    pub(super) fn pass_over(&mut self, out: &mut Vec<Positioned>) {
        self.owed.get_or_insert(self.last);
        self.hand_on_through(
            Position {
                major: u64::MAX,
                minor: 0,
            },
            out,
        );
    }

    /// Hands on what follows without a hole.
    fn hand_on(&mut self, out: &mut Vec<Positioned>) {
        while let Some(first) = self.held.first_entry() {
            if *first.key() != Position::from_sequence(self.last.major.saturating_add(1)) {
                break;
            }
            let (position, slot) = first.remove_entry();
            self.step(position, slot, out);
        }
    }

    /// Hands on everything up to `end`: what is missing there does not exist.
    fn hand_on_through(&mut self, end: Position, out: &mut Vec<Positioned>) {
        while let Some(first) = self.held.first_entry() {
            if *first.key() > end {
                break;
            }
            let (position, slot) = first.remove_entry();
            self.step(position, slot, out);
        }
    }

    fn step(&mut self, position: Position, slot: Slot, out: &mut Vec<Positioned>) {
        match slot {
            Some(event) => self.tell(position, event, out),
            None => self.last = self.last.max(position),
        }
    }

    fn hand_on_late(&mut self, event: Arc<Event>, out: &mut Vec<Positioned>) {
        self.tell(successor(self.last), event, out);
    }

    fn tell(&mut self, position: Position, event: Arc<Event>, out: &mut Vec<Positioned>) {
        self.told.insert(event.id);
        self.last = self.last.max(position);
        out.push(Positioned { position, event });
    }
}

/// A position just after this one, before the next sequence number.
fn successor(position: Position) -> Position {
    Position {
        minor: position.minor.saturating_add(1),
        ..position
    }
}

/// The ids of the events that were handed on lately.
#[derive(Debug, Default)]
struct Told {
    known: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl Told {
    fn contains(&self, id: EventId) -> bool {
        self.known.contains(&id)
    }

    fn insert(&mut self, id: EventId) {
        if self.known.insert(id) {
            self.order.push_back(id);
            if self.order.len() > MAX_TOLD
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{EventName, Payload, Timestamp};

    fn event() -> Arc<Event> {
        Arc::new(Event {
            id: EventId::new(),
            name: EventName::RISK_UPDATED,
            rooms: vec!["patient_P1".into()],
            payload: Payload::from_json("{}"),
            raised_at: Timestamp::from_micros(0),
            alert: None,
        })
    }

    fn at(major: u64) -> Position {
        Position::from_sequence(major)
    }

    fn positions(out: &[Positioned]) -> Vec<Position> {
        out.iter().map(|positioned| positioned.position).collect()
    }

    fn page(events: &[(u64, &Arc<Event>)]) -> Vec<Positioned> {
        events
            .iter()
            .map(|(number, event)| Positioned {
                position: at(*number),
                event: Arc::clone(event),
            })
            .collect()
    }

    #[test]
    fn an_event_waits_for_the_one_before_it() {
        let (mut line, mut out) = (Line::new(at(6)), Vec::new());

        line.take(8, Some(event()), &mut out);
        assert!(out.is_empty() && line.has_gap());
        line.take(7, Some(event()), &mut out);

        assert_eq!(positions(&out), [at(7), at(8)]);
        assert!(!line.has_gap());
    }

    #[test]
    fn a_suppressed_alert_is_passed_and_not_waited_for() {
        let (mut line, mut out) = (Line::new(at(0)), Vec::new());

        line.take(2, Some(event()), &mut out);
        line.take(1, None, &mut out);

        assert_eq!(positions(&out), [at(2)]);
    }

    #[test]
    fn a_repetition_is_not_handed_on() {
        let (mut line, mut out) = (Line::new(at(0)), Vec::new());
        let first = event();

        line.take(1, Some(Arc::clone(&first)), &mut out);
        line.take(1, Some(Arc::clone(&first)), &mut out);
        line.take_own(1, Some(first), &mut out);

        assert_eq!(positions(&out), [at(1)]);
    }

    #[test]
    fn the_store_fills_a_gap_and_says_where_there_is_nothing() {
        let (mut line, mut out) = (Line::new(at(1)), Vec::new());
        line.take(5, Some(event()), &mut out);

        // 2 was rolled back, 3 is new to this node, 4 is a hole.
        let question = line.question();
        line.take_page(question, page(&[(3, &event()), (5, &event())]), true, &mut out);

        assert_eq!(positions(&out), [at(3), at(5)]);
        assert_eq!(line.last(), at(5));
    }

    #[test]
    fn what_came_after_the_store_was_asked_still_waits() {
        let (mut line, mut out) = (Line::new(at(1)), Vec::new());
        line.take(3, Some(event()), &mut out);
        let question = line.question();
        line.take(6, Some(event()), &mut out);

        line.take_page(question, page(&[(2, &event()), (3, &event())]), true, &mut out);

        assert_eq!(positions(&out), [at(2), at(3)]);
        assert!(line.has_gap(), "4 and 5 may have been committed after the answer");
    }

    #[test]
    fn a_page_that_is_not_the_last_decides_nothing_behind_it() {
        let (mut line, mut out) = (Line::new(at(0)), Vec::new());
        line.take(9, Some(event()), &mut out);
        let question = line.question();

        line.take_page(question, page(&[(1, &event()), (2, &event())]), false, &mut out);

        assert_eq!(positions(&out), [at(1), at(2)]);
        assert!(line.has_gap());
    }

    #[test]
    fn what_was_passed_over_is_handed_on_late_and_once() {
        let (mut line, mut out) = (Line::new(at(1)), Vec::new());
        let (missing, there) = (event(), event());
        line.take(3, Some(Arc::clone(&there)), &mut out);
        line.pass_over(&mut out);
        assert_eq!(positions(&out), [at(3)]);

        let question = line.question();
        assert_eq!(question.after, at(1));
        line.take_page(question, page(&[(2, &missing), (3, &there)]), true, &mut out);

        assert_eq!(out[1].event.id, missing.id);
        assert!(out[1].position > at(3), "offsets of clients never go back");
        assert_eq!(out.len(), 2);
        assert!(!line.is_owed());
    }

    #[test]
    fn a_spooled_event_comes_between_and_is_told_once() {
        let (mut line, mut out) = (Line::new(at(4)), Vec::new());
        let spooled = event();
        let place = Position { major: 4, minor: 77 };

        line.take_spooled(place, Arc::clone(&spooled), &mut out);
        line.take_spooled(Position { minor: 78, ..place }, Arc::clone(&spooled), &mut out);
        line.take(5, Some(event()), &mut out);

        assert_eq!(positions(&out), [place, at(5)]);
    }

    #[test]
    fn a_spooled_event_whose_commit_was_in_doubt_and_was_kept_is_told_once() {
        let (mut line, mut out) = (Line::new(at(4)), Vec::new());
        let (spooled, next) = (event(), event());
        let place = Position { major: 4, minor: 77 };
        line.take_spooled(place, Arc::clone(&spooled), &mut out);

        let question = line.question();
        line.take_page(question, page(&[(5, &spooled), (6, &next)]), true, &mut out);

        assert_eq!(positions(&out), [place, at(6)]);
        assert_eq!(line.last(), at(6));
    }

    #[test]
    fn a_spooled_event_that_this_node_missed_comes_out_of_the_store() {
        let (mut line, mut out) = (Line::new(at(4)), Vec::new());
        let place = Position { major: 4, minor: 77 };
        let spooled = Positioned {
            position: place,
            event: event(),
        };

        let question = line.question();
        line.take_page(question, vec![spooled], true, &mut out);
        line.take(5, Some(event()), &mut out);

        assert_eq!(positions(&out), [place, at(5)]);
    }

    #[test]
    fn a_store_that_counts_from_an_older_state_loses_no_event_of_ours() {
        let (mut line, mut out) = (Line::new(at(100)), Vec::new());

        let is_behind = line.take_own(40, Some(event()), &mut out);

        assert!(is_behind);
        assert_eq!(out.len(), 1);
        assert!(out[0].position > at(100));
    }

    proptest! {
        /// However entries are shuffled, doubled and lost, with the store's help every event is handed on once and in order.
        #[test]
        fn everything_is_handed_on_once_and_in_order(
            arrivals in proptest::collection::vec((1_u64..60, any::<bool>()), 0..300),
            suppressed in proptest::collection::hash_set(1_u64..60, 0..10),
        ) {
            let events: Vec<Arc<Event>> = (0..60).map(|_| event()).collect();
            let slot = |number: u64| {
                let index = usize::try_from(number).unwrap();
                (!suppressed.contains(&number)).then(|| Arc::clone(&events[index]))
            };
            let (mut line, mut out) = (Line::new(at(0)), Vec::new());
            let mut committed = 0;

            for (number, asks) in arrivals {
                line.take(number, slot(number), &mut out);
                committed = committed.max(number);
                if asks {
                    let question = line.question();
                    let all: Vec<Positioned> = (1..=committed)
                        .filter(|number| at(*number) > question.after)
                        .filter_map(|number| slot(number).map(|event| Positioned { position: at(number), event }))
                        .collect();
                    let is_whole = all.len() <= 5;
                    line.take_page(question, all.into_iter().take(5).collect(), is_whole, &mut out);
                }
            }
            loop {
                let question = line.question();
                let all: Vec<Positioned> = (1..=committed)
                    .filter(|number| at(*number) > question.after)
                    .filter_map(|number| slot(number).map(|event| Positioned { position: at(number), event }))
                    .collect();
                let is_whole = all.len() <= 5;
                line.take_page(question, all.into_iter().take(5).collect(), is_whole, &mut out);
                if is_whole { break; }
            }

            let expected: Vec<Position> = (1..=committed).filter(|n| !suppressed.contains(n)).map(at).collect();
            prop_assert_eq!(positions(&out), expected);
        }
    }
}
