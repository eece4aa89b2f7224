//! Where an event stands in the one order that all nodes agree on.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The place of an event in the bus's order; later events have greater positions.
///
/// Written as `<major>-<minor>`: the store's sequence number and 0, on one node and on many alike. An event that was published
/// while the store was away stands between two sequence numbers. To a client it is the opaque *offset* of Socket.IO's
/// connection state recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The store's sequence number: its own, or that of the last event before it.
    pub major: u64,
    /// 0, or its place among those that were published while the store was away.
    pub minor: u64,
}

/// The text is not a position of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an offset that this server gave")]
pub struct InvalidPosition;

impl Position {
    /// Before every event.
    pub const START: Self = Self { major: 0, minor: 0 };

    /// The position of the row with this sequence number.
    pub const fn from_sequence(sequence: u64) -> Self {
        Self {
            major: sequence,
            minor: 0,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (major, minor) = text.split_once('-').ok_or(InvalidPosition)?;
        let number = |digits: &str| {
            // `parse` alone would take a leading `+`.
            if digits.bytes().all(|b| b.is_ascii_digit()) {
                digits.parse().ok()
            } else {
                None
            }
        };
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(InvalidPosition),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let position = Position {
            major: 1_763_679_000_123,
            minor: 7,
        };

        assert_eq!(position.to_string().parse(), Ok(position));
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-0",
            "1-0-0",
            "99999999999999999999-0",
            "1 -0",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text:?}");
        }
    }
}
