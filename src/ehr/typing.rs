//! How often one socket may say that its user types: once a second in each thread. Whoever was told that they type is told
//! that they stopped.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::{ThreadId, UserId};

/// Threads that are kept in mind: those in which they type, and the others as long as there is room. In one more nobody
/// begins to type: what was begun must be known when it ends.
const MAX_THREADS: usize = 64;
/// How often a second a socket may say that its user does not type where it has told nobody that they did. Nothing depends on
/// it: every socket ends what it began.
const REPETITIONS: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// People who are told: those who took part in the thread when they were told last.
pub(super) type Others = Arc<BTreeSet<UserId>>;

/// What one socket has said.
pub(super) struct Typing {
    every: Duration,
    threads: HashMap<ThreadId, Said>,
    repetitions: DefaultDirectRateLimiter,
}

struct Said {
    /// When it was last told to others that they type.
    typed_at: Instant,
    /// To whom; `None`: they have stopped.
    told: Option<Others>,
}

impl Typing {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            threads: HashMap::new(),
            repetitions: RateLimiter::direct(Quota::per_second(REPETITIONS)),
        }
    }

    /// They type; `None`: nobody shall be told. Otherwise these others shall, and before them those who are answered are to
    /// hear that it is over: they were told, and do not take part any more.
    pub(super) fn begins(&mut self, thread: &ThreadId, others: &Others, now: Instant) -> Option<Vec<UserId>> {
        let known = self.threads.get(thread);
        let is_due = match known {
            Some(said) => now.duration_since(said.typed_at) >= self.every,
            None => self.threads.len() < MAX_THREADS || self.forget_one(),
        };
        if !is_due {
            return None;
        }
        let said = Said {
            typed_at: now,
            told: Some(Arc::clone(others)),
        };
        let before = self.threads.insert(thread.clone(), said).and_then(|said| said.told);
        let left = before.iter().flat_map(|before| before.difference(others));
        Some(left.cloned().collect())
    }

    /// They have stopped; who was told that they type, if anybody was.
    pub(super) fn ends(&mut self, thread: &ThreadId) -> Option<Others> {
        self.threads.get_mut(thread)?.told.take()
    }

    /// They are gone; where they typed, and who was told.
    pub(super) fn ends_everywhere(&mut self) -> Vec<(ThreadId, Others)> {
        let threads = self.threads.drain();
        threads
            .filter_map(|(thread, said)| Some((thread, said.told?)))
            .collect()
    }

    /// Whether they may say once more that they do not type, though this socket has told nobody that they did.
    pub(super) fn may_repeat_the_end(&self) -> bool {
        self.repetitions.check().is_ok()
    }

    /// Forgets the thread that was quiet longest, of those in which nobody types; whether there was one.
    fn forget_one(&mut self) -> bool {
        let quiet = self.threads.iter().filter(|(_, said)| said.told.is_none());
        let oldest = quiet.min_by_key(|(_, said)| said.typed_at);
        let oldest = oldest.map(|(thread, _)| thread.clone());
        oldest.is_some_and(|oldest| self.threads.remove(&oldest).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn thread(id: &str) -> ThreadId {
        ThreadId::parse(id).unwrap()
    }

    fn people(ids: &[&str]) -> Others {
        Arc::new(ids.iter().map(|id| UserId::parse(id).unwrap()).collect())
    }

    #[test]
    fn typing_is_told_once_a_second_in_each_thread() {
        let (mut typing, now, others) = (Typing::new(SECOND), Instant::now(), people(&["u2"]));

        assert!(typing.begins(&thread("a"), &others, now).is_some());
        assert!(typing.begins(&thread("a"), &others, now + SECOND / 2).is_none());
        assert!(typing.begins(&thread("b"), &others, now + SECOND / 2).is_some());
        assert!(typing.begins(&thread("a"), &others, now + SECOND).is_some());
    }

    #[test]
    fn that_they_stopped_is_told_to_whoever_was_told_that_they_type_however_much_was_said_before() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());
        typing.begins(&thread("a"), &people(&["u2"]), now);
        for _ in 0..1_000 {
            typing.begins(&thread("a"), &people(&["u3"]), now);
            typing.may_repeat_the_end();
        }

        assert_eq!(typing.ends(&thread("a")), Some(people(&["u2"])));
        assert_eq!(typing.ends(&thread("a")), None, "once");
    }

    #[test]
    fn whoever_leaves_a_thread_hears_the_end_when_the_others_are_told_again() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());
        assert_eq!(typing.begins(&thread("a"), &people(&["u2", "u3"]), now), Some(vec![]));

        let left = typing.begins(&thread("a"), &people(&["u3", "u4"]), now + SECOND);

        assert_eq!(left, Some(vec![UserId::parse("u2").unwrap()]));
        assert_eq!(typing.ends(&thread("a")), Some(people(&["u3", "u4"])));
    }

    #[test]
    fn nobody_begins_to_type_in_more_threads_than_are_kept_in_mind() {
        let (mut typing, now, others) = (Typing::new(SECOND), Instant::now(), people(&["u2"]));
        let begins = |typing: &mut Typing, number: usize| {
            let begun = typing.begins(&thread(&number.to_string()), &others, now);
            begun.is_some()
        };

        let began = (0..10_000).filter(|number| begins(&mut typing, *number)).count();
        assert_eq!(began, MAX_THREADS);

        assert!((0..MAX_THREADS).all(|number| typing.ends(&thread(&number.to_string())).is_some()));
        assert!(begins(&mut typing, 10_000), "those that have ended make room");
        assert_eq!(typing.threads.len(), MAX_THREADS);
    }

    #[test]
    fn where_they_typed_when_they_went_has_ended() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());
        for id in ["a", "b"] {
            typing.begins(&thread(id), &people(&["u2"]), now);
        }
        typing.ends(&thread("a"));

        assert_eq!(typing.ends_everywhere(), [(thread("b"), people(&["u2"]))]);
        assert_eq!(typing.ends_everywhere(), []);
    }

    #[test]
    fn that_they_do_not_type_may_be_repeated_so_often() {
        let typing = Typing::new(SECOND);

        let told = (0..10_000).filter(|_| typing.may_repeat_the_end()).count();

        assert!((20..1_000).contains(&told), "{told}");
    }
}
