//! What `@socket.io/redis-emitter` publishes: `[uid, packet, options]` in msgpack, on `socket.io#/#` or `socket.io#/#<room>#`.
//!
//! The rooms are in the options as well, so the channel says nothing that the message does not.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Unreadable, check_depth};
use super::msgpack;
use crate::ports::Published;

/// What the emitter calls itself. Anybody else is another server, who tells its own clients.
const EMITTER: &str = "emitter";
/// Socket.IO's number for an event.
const EVENT: u64 = 2;
/// And for one that carries bytes.
const BINARY_EVENT: u64 = 5;

#[derive(Deserialize)]
struct Message<'m>(
    #[serde(borrow)] Cow<'m, str>,
    #[serde(borrow)] Packet<'m>,
    #[serde(default)] Options,
);

#[derive(Deserialize)]
struct Packet<'m> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(default, borrow)]
    data: Vec<&'m RawValue>,
    #[serde(default, borrow, rename = "nsp")]
    namespace: Option<Cow<'m, str>>,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    rooms: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
}

/// Reads a message.
pub(super) fn read(message: &[u8], max_bytes: usize) -> Result<Published, Unreadable> {
    let json = msgpack::to_json(message, max_bytes)?;
    let Message(uid, packet, options) =
        serde_json::from_str(&json).or(Err(Unreadable::Malformed("no message of an emitter")))?;
    if uid != EMITTER {
        return Err(Unreadable::Foreign("another server's"));
    }
    if !matches!(packet.namespace.as_deref(), None | Some("/")) {
        return Err(Unreadable::Foreign("a namespace other than /"));
    }
    match packet.kind {
        EVENT => {}
        BINARY_EVENT => return Err(Unreadable::Binary),
        _ => return Err(Unreadable::Foreign("a packet that is no event")),
    }
    let (event, arguments) = packet.data.split_first().ok_or(Unreadable::Malformed("no event"))?;
    for argument in arguments {
        check_depth(argument.get())?;
    }
    Ok(Published {
        event: serde_json::from_str(event.get()).or(Err(Unreadable::Malformed("an event without a name")))?,
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        rooms: options.rooms,
        except: options.except,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `@socket.io/redis-emitter` 5.1.0 has published it: `new Emitter(redis).to("r1").to("r2").except("r3").emit(…)`.
    const CAPTURED: &[u8] = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xadpatient_alert\x82\xaapatient_id\xa2P1\xaaalert_type\xa8critical\xa3nsp\xa1/\x83\xa5rooms\x92\xa2r1\xa2r2\xa5flags\x80\xa6except\x91\xa2r3";

    fn read(message: &[u8]) -> Result<Published, Unreadable> {
        super::read(message, 10_000)
    }

    /// A message of an emitter with this packet and these options, both msgpack.
    fn message(uid: &str, packet: &[u8], options: &[u8]) -> Vec<u8> {
        let length = 0xa0 | u8::try_from(uid.len()).unwrap();
        [&[0x93, length], uid.as_bytes(), packet, options].concat()
    }

    #[test]
    fn an_emitters_message_is_read_whole() {
        let published = read(CAPTURED).unwrap();

        assert_eq!(published.event, "patient_alert");
        let arguments: Vec<&str> = published.arguments.iter().map(|argument| argument.get()).collect();
        assert_eq!(arguments, [r#"{"patient_id":"P1","alert_type":"critical"}"#]);
        assert_eq!(published.rooms, ["r1", "r2"]);
        assert_eq!(published.except, ["r3"]);
    }

    #[test]
    fn what_is_not_for_us_is_told_apart_from_what_nobody_can_read() {
        let event = b"\x82\xa4type\x02\xa4data\x91\xa1e";
        for (message, why) in [
            (
                message("a1b2c3", event, b"\x80"),
                Unreadable::Foreign("another server's"),
            ),
            (
                message("emitter", b"\x83\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa2/a", b"\x80"),
                Unreadable::Foreign("a namespace other than /"),
            ),
            (
                message("emitter", b"\x82\xa4type\x03\xa4data\x90", b"\x80"),
                Unreadable::Foreign("a packet that is no event"),
            ),
            (
                message("emitter", b"\x82\xa4type\x05\xa4data\x91\xa1e", b"\x80"),
                Unreadable::Binary,
            ),
            (
                message("emitter", b"\x82\xa4type\x02\xa4data\x92\xa1e\xc4\x00", b"\x80"),
                Unreadable::Binary,
            ),
            (
                message("emitter", b"\x81\xa4type\x02", b"\x80"),
                Unreadable::Malformed("no event"),
            ),
            (
                message("emitter", b"\x82\xa4type\x02\xa4data\x91\x05", b"\x80"),
                Unreadable::Malformed("an event without a name"),
            ),
            (b"\x80".to_vec(), Unreadable::Malformed("no message of an emitter")),
            (b"garbage".to_vec(), Unreadable::Malformed("a message with a rest")),
        ] {
            assert_eq!(read(&message).err(), Some(why), "{message:x?}");
        }
        assert!(read(&message("emitter", event, b"\x80")).is_ok());
    }
}
