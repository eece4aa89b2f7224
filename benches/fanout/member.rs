//! One client: it connects, joins its rooms, and says what it got of which alert.

use std::io::Write as _;
use std::net::TcpStream;

use memchr::{memmem, memrchr};
use serde_json::json;

use super::http;
use super::tally::{Nanos, Seat, Tally};
use super::websocket;

/// How an alert begins on the wire, Engine.IO's and Socket.IO's digits included.
const ALERT: &[u8] = br#"42["patient_alert""#;
const JOINED: &[u8] = br#"42["room_joined""#;
const ERROR: &[u8] = br#"42["error""#;
/// What separates packets in a polling body.
const SEPARATOR: u8 = 0x1e;

/// How a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Websocket,
    Polling,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not connected: not yet, gone for a while, or failed.
    Away,
    /// Until Engine.IO's `0{…}`.
    Opening,
    /// Until Socket.IO's `40{…}`.
    Entering,
    /// Until it is in all its rooms.
    Joining,
    Present,
}

/// How clients introduce themselves.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    pub(crate) host: String,
    /// `user_id` and `user_role`, as the existing frontend sends them.
    pub(crate) query: String,
    pub(crate) token: Option<String>,
    /// Takes its session up again when it comes back.
    pub(crate) recovers: bool,
}

impl Manners {
    fn auth(&self, session: Option<&Session>) -> String {
        let mut auth = serde_json::Map::new();
        if let Some(token) = &self.token {
            auth.insert("token".to_owned(), json!(token));
        }
        if self.recovers {
            auth.insert("recovery".to_owned(), json!(true));
        }
        if let Some(session) = session {
            auth.insert("pid".to_owned(), json!(session.pid));
            if !session.offset.is_empty() {
                auth.insert("offset".to_owned(), json!(session.offset));
            }
        }
        if auth.is_empty() {
            String::new()
        } else {
            serde_json::Value::Object(auth).to_string()
        }
    }
}

/// What connection state recovery needs.
#[derive(Debug)]
struct Session {
    pid: String,
    offset: String,
}

#[derive(Debug, Default)]
struct Polling {
    sid: String,
    /// Packets to be posted before the next poll.
    packets: String,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) stream: Option<TcpStream>,
    pub(crate) is_connecting: bool,
    pub(crate) phase: Phase,
    /// Bytes of a frame or response that has not come as a whole.
    pub(crate) carry: Vec<u8>,
    pub(crate) began: Nanos,
    manners: Manners,
    polling: Option<Polling>,
    is_upgraded: bool,
    seats: Vec<Seat>,
    joined: usize,
    /// Whether alerts count as lost if it does not get them.
    is_counted: bool,
    present_since: Nanos,
    session: Option<Session>,
}

impl Member {
    /// A client of these rooms, ascending. One that is not counted is told of alerts like all others and may miss some.
    pub(crate) fn new(transport: Transport, manners: Manners, rooms: Vec<u32>, is_counted: bool) -> Self {
        Self {
            stream: None,
            is_connecting: false,
            phase: Phase::Away,
            carry: Vec::new(),
            began: 0,
            manners,
            polling: (transport == Transport::Polling).then(Polling::default),
            is_upgraded: false,
            seats: rooms.into_iter().map(Seat::in_room).collect(),
            joined: 0,
            is_counted,
            present_since: 0,
            session: None,
        }
    }

    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// Whether it goes on over another connection when this one ends: polling takes one request after the other.
    pub(crate) fn survives_its_line(&self) -> bool {
        self.polling.as_ref().is_some_and(|polling| !polling.sid.is_empty())
    }

    /// The places that count, and since when it is there.
    pub(crate) fn seats(&self) -> (&[Seat], Nanos) {
        let counted = if self.is_counted { self.seats.as_slice() } else { &[] };
        (counted, self.present_since)
    }

    /// The connection is there.
    pub(crate) fn connected(&mut self) -> Result<(), String> {
        self.is_connecting = false;
        self.carry.clear();
        self.is_upgraded = false;
        if self.polling.is_some() {
            return self.ask();
        }
        let agent = self.manners.recovers.then_some("Mozilla/5.0");
        let request = websocket::handshake(&self.manners.host, &self.manners.query, agent);
        self.write(request.as_bytes())
    }

    /// Ends the connection without a word, as a network does.
    pub(crate) fn vanish(&mut self) {
        self.stream = None;
        self.is_connecting = false;
        self.phase = Phase::Away;
        if let Some(polling) = &mut self.polling {
            *polling = Polling::default();
        }
    }

    /// Says goodbye and forgets everything: the next time it comes, it is somebody new.
    pub(crate) fn leave(&mut self) -> Result<(), String> {
        self.say("41")?;
        self.vanish();
        self.session = None;
        Ok(())
    }

    /// Reads what has come. Answers how many of the bytes are done with, and whether the server ends the connection.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        has_ended: bool,
        now: Nanos,
        tally: &mut Tally,
    ) -> Result<(usize, bool), String> {
        if self.polling.is_some() {
            return self.read_response(bytes, has_ended, now, tally);
        }
        let mut at = 0;
        if !self.is_upgraded {
            match websocket::read_handshake(bytes)? {
                None => return Ok((0, has_ended)),
                Some(length) => at = length,
            }
            self.is_upgraded = true;
        }
        while let Some((opcode, payload, length)) = websocket::read_frame(&bytes[at..]) {
            match opcode {
                websocket::Opcode::Text => self.packet(payload, now, tally)?,
                websocket::Opcode::Close => return Ok((at + length, true)),
                websocket::Opcode::Other => {}
            }
            at += length;
        }
        Ok((at, has_ended))
    }

    fn read_response(
        &mut self,
        bytes: &[u8],
        has_ended: bool,
        now: Nanos,
        tally: &mut Tally,
    ) -> Result<(usize, bool), String> {
        let Some(response) = http::read_response(bytes, has_ended) else {
            return Ok((0, has_ended));
        };
        if response.status != 200 {
            return Err(format!("a poll is answered {}", response.status));
        }
        for packet in response.body.split(|byte| *byte == SEPARATOR) {
            self.packet(packet, now, tally)?;
        }
        let is_last = response.is_last || has_ended;
        if !is_last {
            self.ask()?;
        }
        Ok((response.length, is_last))
    }

    /// The next request of a polling client.
    fn ask(&mut self) -> Result<(), String> {
        let Some(polling) = &mut self.polling else {
            return Ok(());
        };
        let Manners { host, query, .. } = &self.manners;
        let packets = std::mem::take(&mut polling.packets);
        let request = if packets.is_empty() {
            http::poll(host, query, &polling.sid)
        } else {
            http::say(host, query, &polling.sid, &packets)
        };
        self.write(request.as_bytes())
    }

    fn packet(&mut self, packet: &[u8], now: Nanos, tally: &mut Tally) -> Result<(), String> {
        if packet.starts_with(ALERT) {
            self.alerted(packet, now, tally);
            return Ok(());
        }
        match (packet.first(), self.phase) {
            (Some(b'2'), _) => self.say("3")?,
            (Some(b'0'), Phase::Opening) => {
                if let Some(polling) = &mut self.polling {
                    polling.sid = text_field(packet, "sid").ok_or("no sid")?;
                }
                self.phase = Phase::Entering;
                let auth = self.manners.auth(self.session.as_ref());
                self.say(&format!("40{auth}"))?;
            }
            (Some(b'4'), Phase::Entering) if packet.starts_with(b"40") => self.entered(packet, now)?,
            (Some(b'4'), Phase::Joining) if packet.starts_with(JOINED) => {
                self.joined += 1;
                if self.joined == self.seats.len() {
                    self.phase = Phase::Present;
                    self.present_since = now;
                    let counted = if self.is_counted { self.seats.as_slice() } else { &[] };
                    for seat in counted {
                        tally.enter(seat.room);
                    }
                }
            }
            (Some(b'4'), _) if packet.starts_with(b"44") || packet.starts_with(b"41") || packet.starts_with(ERROR) => {
                return Err(String::from_utf8_lossy(packet).into_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn entered(&mut self, packet: &[u8], now: Nanos) -> Result<(), String> {
        let pid = text_field(packet, "pid");
        if let Some(session) = &self.session {
            if pid.as_deref() != Some(session.pid.as_str()) {
                return Err("did not get its session back".to_owned());
            }
            self.phase = Phase::Present;
            self.present_since = now;
            return Ok(());
        }
        if self.manners.recovers && self.is_counted {
            let pid = pid.ok_or("was given no session to come back to")?;
            let offset = String::new();
            self.session = Some(Session { pid, offset });
        }
        self.joined = 0;
        if self.seats.is_empty() {
            self.phase = Phase::Present;
            self.present_since = now;
            return Ok(());
        }
        self.phase = Phase::Joining;
        let joins = self.seats.iter().map(|seat| join(seat.room));
        if let Some(polling) = &mut self.polling {
            polling.packets = joins.collect::<Vec<_>>().join("\u{1e}");
            return Ok(());
        }
        let mut frames = Vec::new();
        joins.for_each(|join| websocket::write_text(join.as_bytes(), &mut frames));
        self.write(&frames)
    }

    fn alerted(&mut self, packet: &[u8], now: Nanos, tally: &mut Tally) {
        if !self.is_counted {
            return tally.overheard(&self.seats, number_of(packet));
        }
        if let Some(session) = &mut self.session
            && let Some(offset) = last_text(packet)
        {
            session.offset.clear();
            session.offset.push_str(offset);
        }
        tally.delivered(&mut self.seats, number_of(packet), self.present_since, now);
    }

    fn say(&mut self, packet: &str) -> Result<(), String> {
        if let Some(polling) = &mut self.polling {
            if !polling.packets.is_empty() {
                polling.packets.push(char::from(SEPARATOR));
            }
            polling.packets.push_str(packet);
            return Ok(());
        }
        let mut frame = Vec::with_capacity(packet.len() + 8);
        websocket::write_text(packet.as_bytes(), &mut frame);
        self.write(&frame)
    }

    /// Whatever a client says fits into the buffers of a connection that works.
    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let stream = self.stream.as_mut().ok_or("there is no connection")?;
        stream.write_all(bytes).map_err(|error| error.to_string())
    }
}

fn join(room: u32) -> String {
    format!(r#"42["join_room",{{"room":"patient_P{room}"}}]"#)
}

/// The number that the POST gave the alert: `"seq":17`.
fn number_of(packet: &[u8]) -> Option<u32> {
    thread_local! {
        static FIELD: memmem::Finder<'static> = memmem::Finder::new(br#""seq":"#);
    }
    let begin = FIELD.with(|field| field.find(packet))? + 6;
    let mut number = None;
    for byte in packet.get(begin..)?.iter().skip_while(|byte| **byte == b' ') {
        if !byte.is_ascii_digit() {
            break;
        }
        number = Some(
            number
                .unwrap_or(0_u32)
                .checked_mul(10)?
                .checked_add(u32::from(byte - b'0'))?,
        );
    }
    number
}

/// The offset, if the packet ends with one: `…,"17-0af3"]`.
fn last_text(packet: &[u8]) -> Option<&str> {
    let packet = packet.strip_suffix(b"\"]")?;
    std::str::from_utf8(packet.get(memrchr(b'"', packet)? + 1..)?).ok()
}

/// A field that is a text without escapes: `"sid":"x"`.
fn text_field(packet: &[u8], name: &str) -> Option<String> {
    let field = format!("\"{name}\":");
    let begin = memmem::find(packet, field.as_bytes())? + field.len();
    let rest = packet.get(begin..)?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}
