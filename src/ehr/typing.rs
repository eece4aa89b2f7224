//! How often one socket may say that its user types: once a second in each thread. That they stopped is always said.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::domain::ThreadId;

/// Threads that are kept in mind; beyond that the one that was quiet longest is forgotten.
const MAX_THREADS: usize = 64;
/// How often a second a socket may say again what it has said already: that nobody types.
const REPETITIONS: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// What one socket has said.
pub(super) struct Typing {
    every: Duration,
    threads: HashMap<ThreadId, Said>,
    repetitions: DefaultDirectRateLimiter,
}

struct Said {
    /// When it was last told to others that they type.
    typed_at: Option<Instant>,
    is_typing: bool,
    at: Instant,
}

impl Typing {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            threads: HashMap::new(),
            repetitions: RateLimiter::direct(Quota::per_second(REPETITIONS)),
        }
    }

    /// Whether others shall be told.
    pub(super) fn admits(&mut self, thread: &ThreadId, is_typing: bool, now: Instant) -> bool {
        self.make_room(thread);
        let is_known = self.threads.contains_key(thread);
        let said = self.threads.entry(thread.clone()).or_insert(Said {
            typed_at: None,
            is_typing: false,
            at: now,
        });
        said.at = now;
        if is_typing {
            let is_due = said.typed_at.is_none_or(|at| now.duration_since(at) >= self.every);
            if is_due {
                said.typed_at = Some(now);
                said.is_typing = true;
            }
            return is_due;
        }
        // An earlier socket of this user may have said that they type: the first word always counts.
        let is_news = std::mem::replace(&mut said.is_typing, false) || !is_known;
        is_news || self.repetitions.check().is_ok()
    }

    fn make_room(&mut self, thread: &ThreadId) {
        if self.threads.len() < MAX_THREADS || self.threads.contains_key(thread) {
            return;
        }
        let quiet = self.threads.iter().filter(|(_, said)| !said.is_typing);
        let oldest = quiet.min_by_key(|(_, said)| said.at).map(|(thread, _)| thread.clone());
        let oldest = oldest.or_else(|| self.threads.keys().next().cloned());
        if let Some(oldest) = oldest {
            self.threads.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn thread(id: &str) -> ThreadId {
        ThreadId::parse(id).unwrap()
    }

    #[test]
    fn typing_is_told_once_a_second_in_each_thread() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());

        assert!(typing.admits(&thread("a"), true, now));
        assert!(!typing.admits(&thread("a"), true, now + SECOND / 2));
        assert!(typing.admits(&thread("b"), true, now + SECOND / 2));
        assert!(typing.admits(&thread("a"), true, now + SECOND));
    }

    #[test]
    fn that_they_stopped_is_told_however_much_was_said_before() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());
        for _ in 0..1_000 {
            typing.admits(&thread("a"), true, now);
            typing.admits(&thread("b"), false, now);
        }

        assert!(typing.admits(&thread("a"), false, now));
        assert!(typing.admits(&thread("new"), false, now));
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let (mut typing, now) = (Typing::new(SECOND), Instant::now());

        for number in 0..10_000 {
            typing.admits(&thread(&number.to_string()), true, now);
        }

        assert_eq!(typing.threads.len(), MAX_THREADS);
    }
}
