//! Websocket frames, split anywhere: one CONNECT gets its pid, every other byte passes.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the polling half of the shim is another target's")]
#[path = "../../src/socket/recovery/shim.rs"]
mod shim;

use shim::FrameRewriter;

const PID: &str = "0123456789abcdef0123456789abcdef";

/// What a server might write, and where its writes are split.
#[derive(Arbitrary, Debug)]
struct Stream {
    pieces: Vec<Piece>,
    splits: Vec<u8>,
    has_pid: bool,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    /// The packet that is looked for, with a sid.
    Connect(Sid),
    /// A message in one frame.
    Message { opcode: u8, payload: Vec<u8> },
    /// The same with a length field that is longer than it needs to be.
    Padded { payload: Vec<u8> },
    /// A message in two frames.
    Fragmented { first: Vec<u8>, second: Vec<u8> },
    /// Anything.
    Raw(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Sid([u8; 16]);

impl Sid {
    fn text(&self) -> String {
        let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        self.0.iter().map(|byte| char::from(characters[usize::from(byte % 64)])).collect()
    }

    fn packet(&self) -> Vec<u8> {
        format!("40{{\"sid\":\"{}\"}}", self.text()).into_bytes()
    }
}

fn frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..65_536 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

impl Piece {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Connect(sid) => frame(0x81, &sid.packet(), out),
            Self::Message { opcode, payload } => frame(0x80 | (opcode & 0x0f), payload, out),
            Self::Padded { payload } => {
                out.extend_from_slice(&[0x81, 127]);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
                out.extend_from_slice(payload);
            }
            Self::Fragmented { first, second } => {
                frame(0x01, first, out);
                frame(0x80, second, out);
            }
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// The frame at the beginning of `bytes`: first byte, payload, whole length. `None`: incomplete, or masked.
fn read_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    if second & 0x80 != 0 {
        return None;
    }
    let (length, header) = match second {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let end = header + usize::try_from(length).ok().filter(|length| *length < 1 << 40)?;
    Some((first, bytes.get(header..end)?, end))
}

/// What the client shall get, worked out the slow way: the whole stream at once, the first CONNECT replaced.
fn expected(stream: &[u8], pid: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = stream;
    while let Some((first, payload, length)) = read_frame(rest) {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let sid = text.strip_prefix("40{\"sid\":\"").and_then(|text| text.strip_suffix("\"}"));
        let is_sid = |sid: &str| {
            (1..=64).contains(&sid.len()) && sid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if let (0x81, Some(sid)) = (first, sid.filter(|sid| is_sid(sid))) {
            match pid {
                Some(pid) => frame(0x81, format!("40{{\"sid\":\"{sid}\",\"pid\":\"{pid}\"}}").as_bytes(), &mut out),
                None => out.extend_from_slice(&rest[..length]),
            }
            out.extend_from_slice(&rest[length..]);
            return out;
        }
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
    out
}

fuzz_target!(|stream: Stream| {
    let mut bytes = Vec::new();
    stream.pieces.iter().for_each(|piece| piece.write(&mut bytes));
    let pid = stream.has_pid.then_some(PID);

    let mut rewriter = FrameRewriter::new();
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    let mut splits = stream.splits.iter().cycle();
    while !rest.is_empty() {
        let length = splits.next().map_or(rest.len(), |split| usize::from(*split).clamp(1, rest.len()));
        let (now, later) = rest.split_at(length);
        rewriter.push(now, pid, &mut out);
        rest = later;
    }

    let expected = expected(&bytes, pid);
    // An incomplete frame at the end may still be held back; nothing else may.
    assert!(expected.starts_with(&out), "other bytes came out than went in");
    let held = expected.len() - out.len();
    assert!(held <= 14 + 75, "{held} bytes are held back");
    if rewriter.is_done() {
        assert_eq!(held, 0);
    }
});
