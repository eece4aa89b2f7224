//! The offset that a client is given with each event and brings back: where the event stands, and which one it is.
//!
//! A position alone is not enough: a database that is restored from a backup, or lost its last commits in a failover, gives the
//! same numbers to other events. Whoever names one that the log does not have has missed what came after it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::Denied;
use crate::domain::{EventId, InvalidPosition, Position, Timestamp};
use crate::ports::StoreError;
use crate::socket::hub::Hub;

/// Opaque to clients: `<position>-<event id without hyphens>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::socket) struct Offset {
    pub(in crate::socket) position: Position,
    /// `None` in offsets that were given before they had it.
    pub(in crate::socket) event: Option<EventId>,
}

impl Offset {
    /// The offset of this event.
    pub(in crate::socket) fn of(position: Position, event: EventId) -> Self {
        Self {
            position,
            event: Some(event),
        }
    }

    /// The position after which its owner is owed everything.
    pub(super) async fn owed_after(self, hub: &Hub) -> Result<Position, Denied> {
        let Self { position, event } = self;
        let Some(event) = event else { return Ok(position) };
        if hub.recent.is_at(position, event) {
            return Ok(position);
        }
        match hub.store.position_of(event).await {
            // Where a node told it elsewhere than the store keeps it, everything after either is owed: rather twice than never.
            Ok(Some(stored)) => Ok(stored.min(position)),
            // Told while the store was away, and still in the spool of its node.
            Ok(None) if position.minor > 0 => Ok(position),
            Ok(None) if position <= hub.store.horizon().await? => Ok(position),
            Ok(None) => Err(Denied::Gap(raised_at(event))),
            Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) => Ok(position),
            Err(error) => Err(error.into()),
        }
    }
}

/// When an event was raised, as its id says: it is a UUIDv7, if it is one of ours.
pub(super) fn raised_at(event: EventId) -> Option<Timestamp> {
    let (seconds, nanos) = event.as_uuid().get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros.checked_add(i64::from(nanos / 1_000))?))
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, event } = self;
        write!(f, "{position}")?;
        match event {
            Some(event) => write!(f, "-{}", event.as_uuid().simple()),
            None => Ok(()),
        }
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Offset {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let has_event = text.matches('-').count() == 2;
        let (position, event) = match text.rsplit_once('-').filter(|_| has_event) {
            Some((position, event)) => {
                let event = Uuid::try_parse(event).or(Err(InvalidPosition))?;
                (position, Some(EventId::from(event)))
            }
            None => (text, None),
        };
        Ok(Self {
            position: position.parse()?,
            event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_comes_back_as_it_was_given() {
        let position = Position { major: 7, minor: 2 };
        for offset in [Offset::of(position, EventId::new()), Offset { position, event: None }] {
            assert_eq!(offset.to_string().parse(), Ok(offset));
        }
    }

    #[test]
    fn what_was_never_given_is_no_offset() {
        let id = EventId::new().as_uuid().simple();
        for text in [
            "",
            "7",
            "7-",
            "7-2-",
            "7-2-x",
            "-7-2",
            "7-2-3-4",
            &format!("7-{id}"),
            &format!("7-2-{id}-"),
        ] {
            assert_eq!(text.parse::<Offset>(), Err(InvalidPosition), "{text}");
        }
    }

    #[test]
    fn an_id_of_ours_says_when_its_event_was_raised() {
        let event: EventId = "019ab5c8-3f00-7000-8000-000000000000".parse().unwrap();

        assert_eq!(raised_at(event), Some(Timestamp::from_micros(0x019a_b5c8_3f00 * 1_000)));
        assert_eq!(raised_at(Uuid::nil().into()), None);
    }
}
