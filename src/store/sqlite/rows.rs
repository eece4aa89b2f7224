//! How values of the domain are written in columns, and read back.

use rusqlite::types::{Type, Value};
use rusqlite::{Error, Row};
use uuid::Uuid;

use crate::domain::bed::{BedStatus, Floor};
use crate::domain::staff::StaffType;
use crate::domain::task::TaskStatus;
use crate::domain::triage::TriageStatus;
use crate::domain::{AlertFacts, AlertScope, Event, EventId, EventName, FreeForm, Payload, RoomName, Timestamp};

/// The columns of an event, in the order that [`event`] reads them; `stored_at` comes after them.
pub(super) const EVENT_COLUMNS: &str =
    "seq, id, name, rooms, raised_at, alert_type, scope, suppressed, patient_id, hospital_id, payload, stored_at";

/// An event and its sequence number, from a row of [`EVENT_COLUMNS`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<(u64, Event)> {
    let alert = match row.get::<_, Option<String>>(5)? {
        None => None,
        Some(alert_type) => Some(AlertFacts {
            scope: scope(row, 6)?,
            alert_type,
            patient_id: optional(row, 8)?,
            hospital_id: optional(row, 9)?,
            is_suppressed: row.get(7)?,
        }),
    };
    let event = Event {
        id: EventId::from(uuid(row, 1)?),
        name: EventName::from(row.get::<_, String>(2)?),
        rooms: decode_rooms(row.get_ref(3)?.as_blob()?),
        payload: payload(row, 10)?,
        raised_at: timestamp(row, 4)?,
        alert,
    };
    Ok((unsigned(row.get(0)?), event))
}

/// A payload as it was encoded.
pub(super) fn payload(row: &Row<'_>, column: usize) -> rusqlite::Result<Payload> {
    Ok(Payload::from_json(row.get_ref(column)?.as_str()?))
}

/// An instant.
pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// A UUID, from its sixteen bytes.
pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    Uuid::from_slice(row.get_ref(column)?.as_blob()?).map_err(unreadable(column, Type::Blob))
}

/// Sixteen or thirty-two bytes, or however many are asked for.
pub(super) fn bytes<const N: usize>(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; N]> {
    row.get_ref(column)?
        .as_blob()?
        .try_into()
        .map_err(unreadable(column, Type::Blob))
}

/// Something that is read from text.
pub(super) fn text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(row.get(column)?).map_err(unreadable(column, Type::Text))
}

/// Something that is read from text, where there is any.
pub(super) fn optional<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, Option<String>>(column)?
        .map(T::try_from)
        .transpose()
        .map_err(unreadable(column, Type::Text))
}

/// Other people's fields.
pub(super) fn free_form(row: &Row<'_>, column: usize) -> rusqlite::Result<FreeForm> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(unreadable(column, Type::Text))
}

/// Other people's fields, as text.
pub(super) fn free_form_text(fields: &FreeForm) -> rusqlite::Result<String> {
    serde_json::to_string(fields).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

fn unreadable<E: std::error::Error + Send + Sync + 'static>(column: usize, held: Type) -> impl FnOnce(E) -> Error {
    move |error| Error::FromSqlConversionFailure(column, held, Box::new(error))
}

/// A floor: a number stays one.
pub(super) fn floor(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Floor>> {
    match row.get(column)? {
        Value::Null => Ok(None),
        Value::Integer(number) => Ok(Some(Floor::Number(number))),
        Value::Text(name) => Ok(Some(Floor::Name(name))),
        other @ (Value::Real(_) | Value::Blob(_)) => {
            Err(Error::InvalidColumnType(column, "floor".to_owned(), other.data_type()))
        }
    }
}

// ---------------------------------------------------------------- numbers

/// As SQLite keeps it. Sequence numbers and stream positions are far below 2^63.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As we kept it.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A page's size.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A parameter of a query that is put together.
pub(super) fn number(number: u64) -> Value {
    Value::Integer(signed(number))
}

// ---------------------------------------------------------------- rooms of an event

/// One after another, each after its length in bytes (four, little-endian): a room of another system may hold any character.
pub(super) fn encode_rooms(rooms: &[RoomName]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(rooms.iter().map(|room| 4 + room.as_str().len()).sum());
    for room in rooms {
        let length = u32::try_from(room.as_str().len()).unwrap_or(u32::MAX);
        encoded.extend_from_slice(&length.to_le_bytes());
        encoded.extend_from_slice(room.as_str().as_bytes());
    }
    encoded
}

/// Reads what [`encode_rooms`] wrote; what it did not write is left out.
pub(super) fn decode_rooms(encoded: &[u8]) -> Vec<RoomName> {
    let mut rooms = Vec::new();
    let mut rest = encoded;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((room, after)) = after.split_at_checked(length) else {
            break;
        };
        if let Ok(room) = std::str::from_utf8(room) {
            rooms.push(RoomName::from(room));
        }
        rest = after;
    }
    rooms
}

// ---------------------------------------------------------------- enumerations

/// As the column `scope` has it.
pub(super) fn scope_number(scope: AlertScope) -> i64 {
    match scope {
        AlertScope::Patient => 0,
        AlertScope::Hospital => 1,
    }
}

fn scope(row: &Row<'_>, column: usize) -> rusqlite::Result<AlertScope> {
    match row.get(column)? {
        0 => Ok(AlertScope::Patient),
        1 => Ok(AlertScope::Hospital),
        other => Err(Error::IntegralValueOutOfRange(column, other)),
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
    fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let written = row.get_ref(column)?.as_str()?;
        let found = Self::WORDS.iter().find(|(_, word)| *word == written);
        found
            .map(|(value, _)| *value)
            .ok_or(UnknownWord)
            .map_err(unreadable(column, Type::Text))
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
    use super::*;

    #[test]
    fn rooms_with_any_character_are_read_as_they_were_written() {
        let rooms: Vec<RoomName> = ["patient_P1", "", "a\nb\0c", "Kinderstation ä"]
            .map(RoomName::from)
            .into();

        assert_eq!(decode_rooms(&encode_rooms(&rooms)), rooms);
    }

    #[test]
    fn a_cut_off_list_of_rooms_is_read_as_far_as_it_goes() {
        let encoded = encode_rooms(&[RoomName::from("patient_P1"), RoomName::from("hospital_H1")]);

        assert_eq!(
            decode_rooms(&encoded[..encoded.len() - 1]),
            [RoomName::from("patient_P1")]
        );
    }
}
