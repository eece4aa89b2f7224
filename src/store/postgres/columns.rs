//! How values of the domain are written in columns, and read back.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::failure::Failure;
use crate::domain::bed::BedStatus;
use crate::domain::staff::StaffType;
use crate::domain::task::TaskStatus;
use crate::domain::triage::TriageStatus;
use crate::domain::{AlertFacts, AlertScope, Event, EventId, EventName, FreeForm, Payload, RoomName, Timestamp};

/// Stands before what an escaped character was.
const ESCAPE: char = '\u{1}';

/// Text as PostgreSQL can hold it, which is any but NUL.
pub(super) fn kept(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => kept.extend([ESCAPE, '0']),
            ESCAPE => kept.extend([ESCAPE, '1']),
            other => kept.push(other),
        }
    }
    Cow::Owned(kept)
}

/// The text that [`kept`] was given.
pub(super) fn restored(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut restored = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character == ESCAPE {
            restored.push(if rest.next() == Some('0') { '\0' } else { ESCAPE });
        } else {
            restored.push(character);
        }
    }
    Cow::Owned(restored)
}

/// Owned, for a statement's parameters.
pub(super) fn text(text: &str) -> String {
    kept(text).into_owned()
}

/// The beginning of the SHA-256 of a room's name, as the log has it.
pub(super) fn room_key(room: &RoomName) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(kept(room.as_str()).as_bytes())
        .iter()
        .take(16)
        .copied()
        .collect()
}

/// Rooms as a JSON array.
pub(super) fn rooms_text(rooms: &[RoomName]) -> String {
    let names: Vec<Cow<'_, str>> = rooms.iter().map(|room| kept(room.as_str())).collect();
    serde_json::Value::from_iter(names).to_string()
}

/// As PostgreSQL has numbers. Sequence numbers and stream positions are far below 2^63; what a client makes up may not be.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As we have them.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A page's size.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A column's value.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Failure> {
    row.try_get(column).map_err(Failure::unreadable)
}

/// Something that is read from text.
pub(super) fn parsed<T>(row: &Row, column: usize) -> Result<T, Failure>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(restored(get(row, column)?).into_owned()).map_err(Failure::unreadable)
}

/// Something that is read from text, where there is any.
pub(super) fn optional<T>(row: &Row, column: usize) -> Result<Option<T>, Failure>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    let text: Option<&str> = get(row, column)?;
    text.map(|text| T::try_from(restored(text).into_owned()))
        .transpose()
        .map_err(Failure::unreadable)
}

/// An instant.
pub(super) fn timestamp(row: &Row, column: usize) -> Result<Timestamp, Failure> {
    get(row, column).map(Timestamp::from_micros)
}

/// Other people's fields.
pub(super) fn free_form(row: &Row, column: usize) -> Result<FreeForm, Failure> {
    serde_json::from_str(&restored(get(row, column)?)).map_err(Failure::unreadable)
}

/// Other people's fields, as text.
pub(super) fn free_form_text(fields: &FreeForm) -> String {
    // A map with text for keys is always JSON.
    text(&serde_json::to_string(fields).unwrap_or_else(|_| "{}".to_owned()))
}

/// Thirty-two bytes, or however many are asked for.
pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], Failure> {
    get::<&[u8]>(row, column)?.try_into().map_err(Failure::unreadable)
}

/// The columns of an event, in the order that [`event`] reads them.
macro_rules! event_columns {
    () => {
        "e.sequence, e.id, e.name, e.rooms::text, e.raised_at, e.scope, e.alert_type, e.suppressed, e.patient_id, \
         e.hospital_id, e.payload"
    };
}
pub(super) use event_columns;

/// How many those are: what a query adds comes after them.
pub(super) const AFTER_EVENT: usize = 11;

/// An event and its sequence number.
pub(super) fn event(row: &Row) -> Result<(u64, Event), Failure> {
    let alert = match get::<Option<i16>>(row, 5)? {
        None => None,
        Some(scope) => Some(AlertFacts {
            scope: scope_of(scope)?,
            alert_type: restored(get(row, 6)?).into_owned(),
            patient_id: optional(row, 8)?,
            hospital_id: optional(row, 9)?,
            is_suppressed: get(row, 7)?,
        }),
    };
    let rooms: Vec<String> = serde_json::from_str(get(row, 3)?).map_err(Failure::unreadable)?;
    let event = Event {
        id: EventId::from(get::<Uuid>(row, 1)?),
        name: EventName::from(restored(get(row, 2)?).into_owned()),
        rooms: rooms.iter().map(|room| RoomName::from(&*restored(room))).collect(),
        payload: payload(row, 10)?,
        raised_at: timestamp(row, 4)?,
        alert,
    };
    Ok((unsigned(get(row, 0)?), event))
}

/// A payload as it was encoded.
pub(super) fn payload(row: &Row, column: usize) -> Result<Payload, Failure> {
    Ok(Payload::from_json(&*restored(get(row, column)?)))
}

/// As the column `scope` has it.
pub(super) fn scope_number(scope: AlertScope) -> i16 {
    match scope {
        AlertScope::Patient => 0,
        AlertScope::Hospital => 1,
    }
}

fn scope_of(number: i16) -> Result<AlertScope, Failure> {
    match number {
        0 => Ok(AlertScope::Patient),
        1 => Ok(AlertScope::Hospital),
        _ => Err(Failure::unreadable(UnknownWord)),
    }
}

/// A word that none of its kind's is.
#[derive(Debug, thiserror::Error)]
#[error("not a word that was written here")]
struct UnknownWord;

/// An enumeration whose values are words in the database: those of the wire.
pub(super) trait Word: Copy + 'static {
    /// Every value and its word.
    const WORDS: &'static [(Self, &'static str)];
    /// The word.
    fn word(self) -> &'static str;

    /// The value whose word is in this column.
    fn read(row: &Row, column: usize) -> Result<Self, Failure> {
        let written: &str = get(row, column)?;
        let found = Self::WORDS.iter().find(|(_, word)| *word == written);
        found
            .map(|(value, _)| *value)
            .ok_or_else(|| Failure::unreadable(UnknownWord))
    }
}

macro_rules! words {
    ($name:ident: $($value:ident = $word:literal),+) => {
        impl Word for $name {
            const WORDS: &'static [(Self, &'static str)] = &[$((Self::$value, $word)),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }
    };
}

words!(TriageStatus: Pending = "pending", Triaged = "triaged", Assigned = "assigned");
words!(StaffType: Doctor = "doctor", Nurse = "nurse");
words!(BedStatus: Available = "available", Occupied = "occupied", Reserved = "reserved", Cleaning = "cleaning", Maintenance = "maintenance");
words!(TaskStatus: Pending = "PENDING", Started = "STARTED", Success = "SUCCESS", Failure = "FAILURE");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_restored_as_it_was_and_never_has_a_nul(given in "(?s)[\0\u{1}01a-cä]*") {
            let kept = kept(&given);

            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(restored(&kept), &*given);
        }
    }
}
