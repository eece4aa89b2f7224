//! An event as an entry of the stream, and back.
//!
//! Fields have one letter: an entry is small, and every node reads every one. What is read is checked like anything that
//! comes from outside; an entry that is not ours is skipped and counted, and fields that are not known are passed over, so
//! that nodes of two versions can share a stream.

use std::str::FromStr;
use std::sync::Arc;

use redis::{Cmd, Value};
use uuid::Uuid;

use crate::domain::{
    AlertFacts, AlertScope, Event, EventId, EventName, HospitalId, PatientId, Payload, Position, RoomName, Timestamp,
};

/// An entry id: milliseconds, and a counter within them.
pub(super) type EntryId = Position;

/// The bits of a minor position that hold an entry's counter; the milliseconds stand above them. Together they fit into the
/// 63 bits of a database's integer until the year 2248.
const COUNTER_BITS: u32 = 20;

/// What a stream carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// Committed under this sequence number.
    Committed(u64, Arc<Event>),
    /// Nothing that anybody is told has this sequence number.
    Hole(u64),
    /// Published out of a spool, after this sequence number.
    Spooled(u64, Arc<Event>),
}

/// The entry is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of ours")]
pub(super) struct Foreign;

impl Entry {
    /// Adds the entry's fields to an `XADD`.
    pub(super) fn write(&self, command: &mut Cmd) {
        match self {
            Self::Committed(number, event) => {
                command.arg("n").arg(*number);
                write_event(event, command);
            }
            Self::Hole(number) => {
                command.arg("n").arg(*number);
            }
            Self::Spooled(after, event) => {
                command.arg("a").arg(*after);
                write_event(event, command);
            }
        }
    }

    /// Roughly how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Committed(_, event) | Self::Spooled(_, event) => 256 + event.payload.as_json().len(),
            Self::Hole(_) => 64,
        }
    }

    /// Reads the fields of an entry.
    pub(super) fn read(fields: &[Value]) -> Result<Self, Foreign> {
        let mut read = Fields::default();
        for pair in fields.chunks_exact(2) {
            if let [Value::BulkString(name), Value::BulkString(value)] = pair {
                read.note(name, value)?;
            } else {
                return Err(Foreign);
            }
        }
        let (number, after) = (read.number, read.after);
        match (number, after) {
            (Some(number), None) if read.id.is_none() => Ok(Self::Hole(number)),
            (Some(number), None) => Ok(Self::Committed(number, Arc::new(read.event()?))),
            (None, Some(after)) => Ok(Self::Spooled(after, Arc::new(read.event()?))),
            (Some(_), Some(_)) | (None, None) => Err(Foreign),
        }
    }
}

/// Where an event stands that was published out of a spool, after the sequence number `after`, as the entry `id`.
pub(super) fn spooled_position(after: u64, id: EntryId) -> Position {
    let counter = id.minor.min((1 << COUNTER_BITS) - 1);
    let milliseconds = id.major.min((1 << (63 - COUNTER_BITS)) - 1);
    Position {
        major: after,
        minor: (milliseconds << COUNTER_BITS) | counter,
    }
}

/// Reads an entry id.
pub(super) fn entry_id(value: &Value) -> Result<EntryId, Foreign> {
    if let Value::BulkString(bytes) = value {
        parse(bytes)
    } else {
        Err(Foreign)
    }
}

fn write_event(event: &Event, command: &mut Cmd) {
    command.arg("i").arg(&event.id.as_uuid().as_bytes()[..]);
    command.arg("e").arg(event.name.as_str());
    command.arg("t").arg(event.raised_at.as_micros());
    for room in &event.rooms {
        command.arg("r").arg(room.as_str());
    }
    if let Some(alert) = &event.alert {
        let scope = match alert.scope {
            AlertScope::Patient => "p",
            AlertScope::Hospital => "h",
        };
        command.arg("s").arg(scope).arg("y").arg(&alert.alert_type);
        if let Some(patient) = &alert.patient_id {
            command.arg("pi").arg(patient.as_str());
        }
        if let Some(hospital) = &alert.hospital_id {
            command.arg("hi").arg(hospital.as_str());
        }
    }
    command.arg("p").arg(event.payload.as_json());
}

#[derive(Default)]
struct Fields {
    number: Option<u64>,
    after: Option<u64>,
    id: Option<EventId>,
    name: Option<EventName>,
    raised_at: Option<Timestamp>,
    rooms: Vec<RoomName>,
    payload: Option<Payload>,
    scope: Option<AlertScope>,
    alert_type: String,
    patient_id: Option<PatientId>,
    hospital_id: Option<HospitalId>,
}

impl Fields {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Foreign> {
        match name {
            b"n" => self.number = Some(parse(value)?),
            b"a" => self.after = Some(parse(value)?),
            b"i" => self.id = Some(Uuid::from_slice(value).or(Err(Foreign))?.into()),
            b"e" => self.name = Some(text(value)?.to_owned().into()),
            b"t" => self.raised_at = Some(Timestamp::from_micros(parse(value)?)),
            b"r" => self.rooms.push(text(value)?.into()),
            b"p" => self.payload = Some(Payload::from_json(text(value)?)),
            b"s" => {
                self.scope = Some(match value {
                    b"p" => AlertScope::Patient,
                    b"h" => AlertScope::Hospital,
                    _ => return Err(Foreign),
                });
            }
            b"y" => text(value)?.clone_into(&mut self.alert_type),
            b"pi" => self.patient_id = Some(parse(value)?),
            b"hi" => self.hospital_id = Some(parse(value)?),
            _ => {}
        }
        Ok(())
    }

    fn event(self) -> Result<Event, Foreign> {
        let alert = self.scope.map(|scope| AlertFacts {
            scope,
            alert_type: self.alert_type,
            patient_id: self.patient_id,
            hospital_id: self.hospital_id,
            is_suppressed: false,
        });
        Ok(Event {
            id: self.id.ok_or(Foreign)?,
            name: self.name.ok_or(Foreign)?,
            rooms: self.rooms,
            payload: self.payload.ok_or(Foreign)?,
            raised_at: self.raised_at.ok_or(Foreign)?,
            alert,
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Foreign> {
    std::str::from_utf8(bytes).or(Err(Foreign))
}

fn parse<T: FromStr>(bytes: &[u8]) -> Result<T, Foreign> {
    text(bytes)?.parse().or(Err(Foreign))
}

#[cfg(test)]
mod tests {
    use redis::Arg;

    use super::*;

    fn alert() -> Arc<Event> {
        Arc::new(Event {
            id: EventId::new(),
            name: EventName::PATIENT_ALERT,
            rooms: vec!["patient_P1".into(), "a room, with \"quotes\"".into()],
            payload: Payload::from_json(r#"{"patient_id":"P1","message":"Sättigung"}"#),
            raised_at: Timestamp::from_micros(1_763_679_000_123_456),
            alert: Some(AlertFacts {
                scope: AlertScope::Patient,
                alert_type: "critical".to_owned(),
                patient_id: Some("P1".parse().unwrap()),
                hospital_id: None,
                is_suppressed: false,
            }),
        })
    }

    fn fields(entry: &Entry) -> Vec<Value> {
        let mut command = Cmd::new();
        entry.write(&mut command);
        let arguments = command.args_iter().map(|argument| {
            let Arg::Simple(bytes) = argument else {
                panic!("entries have plain fields only");
            };
            Value::BulkString(bytes.to_vec())
        });
        arguments.collect()
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for entry in [Entry::Committed(7, alert()), Entry::Hole(8), Entry::Spooled(8, alert())] {
            assert_eq!(Entry::read(&fields(&entry)), Ok(entry));
        }
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let entry = Entry::Committed(7, alert());
        let mut later = fields(&entry);
        later.extend([Value::BulkString(b"zz".to_vec()), Value::BulkString(vec![0xff])]);

        assert_eq!(Entry::read(&later), Ok(entry));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let whole = fields(&Entry::Committed(7, alert()));
        let bulk = |bytes: &[u8]| Value::BulkString(bytes.to_vec());

        assert_eq!(Entry::read(&[]), Err(Foreign));
        assert_eq!(Entry::read(&[bulk(b"message"), bulk(b"hello")]), Err(Foreign));
        assert_eq!(Entry::read(&[bulk(b"n"), bulk(b"-1")]), Err(Foreign));
        assert_eq!(Entry::read(&whole[..4]), Err(Foreign), "an id alone is no event");
        assert_eq!(Entry::read(&[bulk(b"n"), Value::Nil]), Err(Foreign));
    }

    #[test]
    fn spooled_events_are_ordered_as_their_entries_are() {
        let id = |major, minor| EntryId { major, minor };
        let now = 1_763_679_000_123;

        assert!(spooled_position(7, id(now, 0)) > Position::from_sequence(7));
        assert!(spooled_position(7, id(now, 0)) < spooled_position(7, id(now, 1)));
        assert!(spooled_position(7, id(now, 9)) < spooled_position(7, id(now + 1, 0)));
        assert!(spooled_position(7, id(now, 9)) < Position::from_sequence(8));
        assert!(i64::try_from(spooled_position(7, id(u64::MAX, u64::MAX)).minor).is_ok());
    }
}
