//! Which messages a node has heard, and how often: what it has to say when it asks whose the next one is.
//!
//! Redis counts the claims on a message (its *receipts*, 1, 2, …, where the same bytes are published again and again), and keeps
//! the last of them for a while. A listener remembers at which receipt of a message it is. Of a message that it does not
//! remember it knows this much: it has heard everything since its subscription began, so the next receipt is the first one that
//! was claimed since then. To forget is therefore harmless as long as it is known since when nothing was forgotten.

use std::collections::HashMap;

use tokio::time::Instant;

/// Messages that are remembered before the older half is forgotten.
const HALF: usize = 32_768;

/// SHA-256 of a channel and what was published on it.
pub(super) type Digest = [u8; 32];

/// An instant by the clock of Redis, in microseconds since 1970.
pub(super) type RedisTime = u64;

/// At which receipt of a message a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The first claim that Redis counted from. Another one means that it has begun to count anew.
    pub(super) first: String,
    /// How many claims there had been.
    pub(super) number: u64,
    /// When the listener last asked.
    pub(super) at: RedisTime,
}

/// What a listener has heard since its subscription began.
#[derive(Debug)]
pub(super) struct Memory {
    young: HashMap<Digest, Receipt>,
    old: HashMap<Digest, Receipt>,
    /// Everything that was heard since is remembered, in one of the two or in `young` alone.
    since: RedisTime,
    young_since: RedisTime,
    /// The time that Redis told last, and when.
    now: (RedisTime, Instant),
}

impl Memory {
    /// Of a subscription that begins at this time.
    pub(super) fn since(begin: RedisTime) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            since: begin,
            young_since: begin,
            now: (begin, Instant::now()),
        }
    }

    /// What is remembered of a message, and since when another receipt of it would be remembered.
    pub(super) fn of(&self, digest: &Digest) -> (Option<&Receipt>, RedisTime) {
        let receipt = self.young.get(digest).or_else(|| self.old.get(digest));
        (receipt, receipt.map_or(self.since, |receipt| receipt.at))
    }

    /// Remembers a receipt.
    pub(super) fn note(&mut self, digest: Digest, receipt: Receipt) {
        self.now = (receipt.at, Instant::now());
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
            self.since = self.young_since;
            self.young_since = receipt.at;
        }
        self.young.insert(digest, receipt);
    }

    /// Notes that a receipt could not be asked for. Nothing that was heard until now can be counted on any more.
    pub(super) fn lose_count(&mut self) {
        let (told, at) = self.now;
        let passed = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        *self = Self::since(told.saturating_add(passed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: usize) -> Digest {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        digest
    }

    fn receipt(number: u64, at: RedisTime) -> Receipt {
        Receipt {
            first: "first".to_owned(),
            number,
            at,
        }
    }

    #[test]
    fn of_an_unknown_message_it_is_known_since_when_it_would_be_known() {
        let mut memory = Memory::since(100);
        memory.note(digest(1), receipt(3, 140));

        assert_eq!(memory.of(&digest(1)), (Some(&receipt(3, 140)), 140));
        assert_eq!(memory.of(&digest(2)), (None, 100));
    }

    #[test]
    fn what_is_forgotten_moves_the_beginning_behind_it() {
        let mut memory = Memory::since(0);
        for n in 0..3 * HALF {
            memory.note(digest(n), receipt(1, n as u64 + 1));

            let (known, since) = memory.of(&digest(0));
            assert!(known.is_some() || since > 1, "forgotten at 1, remembered since {since}");
        }

        assert_eq!(memory.of(&digest(0)).0, None);
        assert!(memory.of(&digest(3 * HALF - 1)).0.is_some());
        assert!(memory.young.len() + memory.old.len() <= 2 * HALF);
    }

    #[test]
    fn a_message_that_is_heard_again_is_not_forgotten_with_its_first_receipt() {
        let mut memory = Memory::since(0);
        memory.note(digest(0), receipt(1, 1));
        for n in 1..HALF + 10 {
            memory.note(digest(n), receipt(1, 2));
        }
        memory.note(digest(0), receipt(2, 3));
        for n in 0..HALF {
            memory.note(digest(10 * HALF + n), receipt(1, 4));
        }

        assert_eq!(memory.of(&digest(0)).0, Some(&receipt(2, 3)));
    }
}
