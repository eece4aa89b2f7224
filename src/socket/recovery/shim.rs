//! The one thing that socketioxide cannot do yet: CONNECT with a `pid`.
//!
//! socketioxide 0.18.9 answers `40{"sid":"…"}`, and its payload cannot be customised. These functions look at the bytes on
//! their way out and turn the first such packet into `40{"sid":"…","pid":"…"}`. They know packets and frames and nothing
//! else; the day the library takes a `pid` itself, this file and its two callers in `transport` go.
//!
//! What passes through here is what the server writes: websocket frames are not masked, and polling bodies are packets
//! separated by `0x1e`.

/// The packet before the sid, exactly as the library writes it.
const BEFORE_SID: &[u8] = b"40{\"sid\":\"";
/// The packet after the sid.
const AFTER_SID: &[u8] = b"\"}";
/// Engine.IO 4's packet separator in polling bodies.
pub const SEPARATOR: u8 = 0x1e;
/// The longest sid that is looked for. The library's have 16 characters.
const MAX_SID: usize = 64;
/// The longest payload that can be CONNECT; anything longer passes unread.
const MAX_CONNECT: u64 = (BEFORE_SID.len() + MAX_SID + AFTER_SID.len()) as u64;

/// Whether this Engine.IO packet is the library's answer to CONNECT on the namespace `/`.
pub fn is_connect(packet: &[u8]) -> bool {
    packet
        .strip_prefix(BEFORE_SID)
        .and_then(|rest| rest.strip_suffix(AFTER_SID))
        .is_some_and(|sid| (1..=MAX_SID).contains(&sid.len()) && sid.iter().copied().all(is_id_character))
}

/// Whether a pid can stand in JSON as it is.
pub fn is_pid(pid: &str) -> bool {
    (1..=128).contains(&pid.len()) && pid.bytes().all(is_id_character)
}

fn is_id_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// The CONNECT packet with the pid. `packet` must be one by [`is_connect`].
fn with_pid(packet: &[u8], pid: &str) -> Vec<u8> {
    let open = packet.strip_suffix(b"}").unwrap_or(packet);
    [open, b",\"pid\":\"", pid.as_bytes(), b"\"}"].concat()
}

/// What a polling body became.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// The body with the pid; `None`: it stays as it is.
    pub rewritten: Option<Vec<u8>>,
    /// Whether CONNECT was in it: no later body needs a look.
    pub had_connect: bool,
}

/// Looks for CONNECT among the packets of a polling body.
pub fn rewrite_payload(body: &[u8], pid: Option<&str>) -> Payload {
    let mut begin = 0;
    for packet in body.split(|byte| *byte == SEPARATOR) {
        let end = begin + packet.len();
        if is_connect(packet) {
            let rewritten = pid.filter(|pid| is_pid(pid)).map(|pid| {
                let before = body.get(..begin).unwrap_or_default();
                let after = body.get(end..).unwrap_or_default();
                [before, &with_pid(packet, pid), after].concat()
            });
            return Payload {
                rewritten,
                had_connect: true,
            };
        }
        begin = end + 1;
    }
    Payload {
        rewritten: None,
        had_connect: false,
    }
}

/// Looks for CONNECT in the stream of websocket frames that a server writes, however the writes are split.
///
/// Everything but that one frame comes out byte for byte. Once it went by, [`is_done`](Self::is_done) and bytes need not
/// come this way any more.
#[derive(Debug, Default)]
pub struct FrameRewriter {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collecting a frame's header.
    Header(Vec<u8>),
    /// Holding back a frame that may be CONNECT: its header, what came of its payload, and how long that will be.
    Held {
        header: Vec<u8>,
        payload: Vec<u8>,
        length: usize,
    },
    /// Letting a frame's payload pass.
    Passing(u64),
    /// CONNECT went by.
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Vec::new())
    }
}

impl FrameRewriter {
    /// A rewriter at the beginning of a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether CONNECT went by: bytes may pass directly from now on.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what the server writes and appends what the client shall get to `out`. A frame that may be CONNECT is held back
    /// until it is complete.
    pub fn push(&mut self, mut input: &[u8], pid: Option<&str>, out: &mut Vec<u8>) {
        while !input.is_empty() {
            match &mut self.state {
                State::Header(header) => {
                    let (first, rest) = input.split_at(1);
                    header.extend_from_slice(first);
                    input = rest;
                    let Some(frame) = Frame::parse(header) else { continue };
                    let header = std::mem::take(header);
                    self.state = match frame {
                        Frame::MayBeConnect(length) => State::Held {
                            header,
                            payload: Vec::with_capacity(length),
                            length,
                        },
                        Frame::Other(length) => {
                            out.extend_from_slice(&header);
                            if length == 0 {
                                State::default()
                            } else {
                                State::Passing(length)
                            }
                        }
                        Frame::NotFromAServer => {
                            out.extend_from_slice(&header);
                            State::Done
                        }
                    };
                }
                State::Held {
                    header,
                    payload,
                    length,
                } => {
                    let (part, rest) = input.split_at(input.len().min(*length - payload.len()));
                    payload.extend_from_slice(part);
                    input = rest;
                    if payload.len() == *length {
                        let is_connect = is_connect(payload);
                        if let Some(pid) = pid.filter(|pid| is_connect && is_pid(pid)) {
                            append_text_frame(&with_pid(payload, pid), out);
                        } else {
                            out.extend_from_slice(header);
                            out.extend_from_slice(payload);
                        }
                        self.state = if is_connect { State::Done } else { State::default() };
                    }
                }
                State::Passing(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let (part, rest) = input.split_at(length);
                    out.extend_from_slice(part);
                    input = rest;
                    *left -= length as u64;
                    if *left == 0 {
                        self.state = State::default();
                    }
                }
                State::Done => {
                    out.extend_from_slice(input);
                    return;
                }
            }
        }
    }
}

enum Frame {
    /// A whole text message of a length that CONNECT can have.
    MayBeConnect(usize),
    /// Anything else, with the length of its payload.
    Other(u64),
    /// Masked: servers never mask, so this is no stream that we understand.
    NotFromAServer,
}

impl Frame {
    /// RFC 6455 §5.2. `None`: the header is not complete.
    fn parse(header: &[u8]) -> Option<Self> {
        let (&[first, second], extended) = header.split_first_chunk::<2>()?;
        if second & 0x80 != 0 {
            return Some(Self::NotFromAServer);
        }
        let length = match second {
            126 => u64::from(u16::from_be_bytes(*extended.first_chunk::<2>()?)),
            127 => u64::from_be_bytes(*extended.first_chunk::<8>()?),
            short => u64::from(short),
        };
        // FIN, no extension bits, opcode 1: a text message in one frame.
        let is_text_message = first == 0x81;
        Some(match usize::try_from(length) {
            Ok(short) if is_text_message && (1..=MAX_CONNECT).contains(&length) => Self::MayBeConnect(short),
            Ok(_) | Err(_) => Self::Other(length),
        })
    }
}

/// Appends a text message in one frame, as a server writes it. The payload must be shorter than 64 KiB.
pub fn append_text_frame(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x81);
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => out.push(length),
        Ok(_) | Err(_) => {
            out.push(126);
            out.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PID: &str = "0123456789abcdef0123456789abcdef";
    const CONNECT: &[u8] = b"40{\"sid\":\"Zm9vYmFyYmF6cXV4\"}";
    const CONNECT_WITH_PID: &[u8] = b"40{\"sid\":\"Zm9vYmFyYmF6cXV4\",\"pid\":\"0123456789abcdef0123456789abcdef\"}";

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length if length < 126 => frame.push(u8::try_from(length).unwrap()),
            length if length < 65_536 => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn push_in_pieces(bytes: &[u8], cuts: &[usize], pid: Option<&str>) -> (Vec<u8>, bool) {
        let mut rewriter = FrameRewriter::new();
        let mut out = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rewriter.push(piece, pid, &mut out);
            rest = after;
        }
        rewriter.push(rest, pid, &mut out);
        (out, rewriter.is_done())
    }

    #[test]
    fn connect_gets_the_pid_and_the_frames_around_it_stay() {
        let before = frame(1, b"0{\"sid\":\"Zm9vYmFyYmF6cXV4\",\"upgrades\":[]}");
        let after = frame(1, b"42[\"connection_response\",{\"status\":\"connected\"}]");
        let stream = [before.clone(), frame(1, CONNECT), after.clone()].concat();

        let (out, is_done) = push_in_pieces(&stream, &[], Some(PID));

        assert_eq!(out, [before, frame(1, CONNECT_WITH_PID), after].concat());
        assert!(is_done);
    }

    #[test]
    fn a_client_without_a_session_gets_connect_as_it_was() {
        let (out, is_done) = push_in_pieces(&frame(1, CONNECT), &[3, 9], None);

        assert_eq!(out, frame(1, CONNECT));
        assert!(is_done);
    }

    #[test]
    fn only_the_first_connect_is_rewritten() {
        let stream = [frame(1, CONNECT), frame(1, CONNECT)].concat();

        let (out, _) = push_in_pieces(&stream, &[], Some(PID));

        assert_eq!(out, [frame(1, CONNECT_WITH_PID), frame(1, CONNECT)].concat());
    }

    #[test]
    fn what_only_looks_like_connect_passes_unchanged() {
        let looks_alike: [&[u8]; 7] = [
            b"40/admin,{\"sid\":\"Zm9vYmFyYmF6cXV4\"}",
            b"40{\"sid\":\"Zm9vYmFyYmF6cXV4\",\"x\":1}",
            b"40{\"sid\":\"\"}",
            b"44{\"message\":\"Invalid token\"}",
            b"42[\"x\",\"40{\\\"sid\\\":\\\"a\\\"}\"]",
            b"4",
            b"40",
        ];
        for payload in looks_alike {
            let (out, is_done) = push_in_pieces(&frame(1, payload), &[], Some(PID));

            assert_eq!(out, frame(1, payload));
            assert!(!is_done, "{payload:?}");
        }
    }

    #[test]
    fn binary_frames_and_fragments_are_never_connect() {
        let mut fragment = frame(1, CONNECT);
        fragment[0] = 0x01; // FIN is not set
        for stream in [frame(2, CONNECT), fragment] {
            let (out, is_done) = push_in_pieces(&stream, &[], Some(PID));

            assert_eq!(out, stream);
            assert!(!is_done);
        }
    }

    #[test]
    fn a_pid_that_is_not_plain_text_is_never_written() {
        let (out, _) = push_in_pieces(&frame(1, CONNECT), &[], Some("\",\"x\":\""));

        assert_eq!(out, frame(1, CONNECT));
        assert_eq!(rewrite_payload(CONNECT, Some("\"")).rewritten, None);
    }

    #[test]
    fn a_polling_body_gets_the_pid_in_its_connect_packet() {
        let body = [b"2\x1e".as_slice(), CONNECT, b"\x1e42[\"a\",1]\x1ebAQID"].concat();

        let payload = rewrite_payload(&body, Some(PID));

        let expected = [b"2\x1e".as_slice(), CONNECT_WITH_PID, b"\x1e42[\"a\",1]\x1ebAQID"].concat();
        assert_eq!(
            payload,
            Payload {
                rewritten: Some(expected),
                had_connect: true
            }
        );
    }

    #[test]
    fn a_polling_body_without_connect_stays() {
        for body in [
            b"".as_slice(),
            b"\x1e",
            b"6",
            b"2\x1e42[\"a\",{}]",
            b"bNDB7InNpZCI6ImEifQ==",
        ] {
            assert_eq!(
                rewrite_payload(body, Some(PID)),
                Payload {
                    rewritten: None,
                    had_connect: false
                }
            );
        }
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let length = prop_oneof![0..200_usize, 60_000..70_000_usize];
        (
            prop_oneof![Just(1_u8), Just(2), Just(8), Just(9), Just(10)],
            length.prop_flat_map(|n| prop::collection::vec(any::<u8>(), n)),
        )
            .prop_filter("is CONNECT itself", |(opcode, payload)| {
                !(*opcode == 1 && is_connect(payload))
            })
            .prop_map(|(opcode, payload)| frame(opcode, &payload))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_the_writes_are_split_only_connect_changes(
            before in prop::collection::vec(any_frame(), 0..4),
            after in prop::collection::vec(any_frame(), 0..3),
            cuts in prop::collection::vec(1..300_usize, 0..40),
            pid in prop::option::of(Just(PID)),
        ) {
            let stream = [before.concat(), frame(1, CONNECT), after.concat()].concat();
            let connect = frame(1, if pid.is_some() { CONNECT_WITH_PID } else { CONNECT });

            let (out, is_done) = push_in_pieces(&stream, &cuts, pid);

            prop_assert!(out == [before.concat(), connect, after.concat()].concat());
            prop_assert!(is_done);
        }

        #[test]
        fn a_stream_without_connect_comes_out_as_it_went_in(
            frames in prop::collection::vec(any_frame(), 0..5),
            cuts in prop::collection::vec(1..300_usize, 0..40),
        ) {
            let stream = frames.concat();

            let (out, is_done) = push_in_pieces(&stream, &cuts, Some(PID));

            prop_assert!(out == stream);
            prop_assert!(!is_done);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_grow_by_more_than_the_pid(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let (out, _) = push_in_pieces(&bytes, &[], Some(PID));

            prop_assert!(out.len() <= bytes.len() + PID.len() + 12);
            prop_assert!(rewrite_payload(&bytes, Some(PID)).rewritten.is_none_or(|body| body.len() == bytes.len() + PID.len() + 9));
        }
    }
}
