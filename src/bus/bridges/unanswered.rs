//! Ids of events that Redis could not be asked for: nodes that heard the same come to the same, mostly.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::heard::Digest;
use crate::domain::{EventId, Timestamp};

/// Messages whose number is kept.
const MAX_COUNTED: usize = 65_536;
/// Over how long the same bytes are counted.
const STEP: Duration = Duration::from_secs(10);

/// How often which bytes came in this step of time.
#[derive(Default)]
pub(super) struct Unanswered {
    step: u64,
    counts: HashMap<Digest, u64>,
}

impl Unanswered {
    /// The id that other nodes come to as well, if they heard as much of it in the same step of time.
    pub(super) fn id(&mut self, digest: &Digest, now: Timestamp) -> EventId {
        let step = now.as_secs().unsigned_abs() / STEP.as_secs();
        if step != self.step || self.counts.len() >= MAX_COUNTED {
            self.counts.clear();
            self.step = step;
        }
        let count = self.counts.entry(*digest).or_default();
        *count += 1;
        let mut hash = Sha256::new();
        hash.update(digest);
        hash.update(step.to_le_bytes());
        hash.update(count.to_le_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut random = [0; 10];
        for (to, from) in random.iter_mut().zip(hash) {
            *to = from;
        }
        let millis = step.saturating_mul(STEP.as_secs()).saturating_mul(1_000);
        EventId::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_heard_the_same_come_to_the_same_id() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let (mut one, mut other) = (Unanswered::default(), Unanswered::default());
        let (first, second) = (one.id(&[1; 32], at(1_001)), one.id(&[1; 32], at(1_002)));

        assert_eq!(other.id(&[1; 32], at(1_004)), first);
        assert_eq!(other.id(&[2; 32], at(1_004)), one.id(&[2; 32], at(1_009)));
        assert_eq!(other.id(&[1; 32], at(1_009)), second);
        assert_ne!(first, second);
        assert_ne!(one.id(&[1; 32], at(1_010)), first, "a step later it is something new");
        assert_eq!(first.as_uuid().get_version_num(), 7);
    }
}
