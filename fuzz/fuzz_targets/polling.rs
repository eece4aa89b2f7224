//! Polling bodies: one CONNECT gets its pid, every other packet passes.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the websocket half of the shim is another target's")]
#[path = "../../src/socket/recovery/shim.rs"]
mod shim;

const PID: &str = "0123456789abcdef0123456789abcdef";

#[derive(Arbitrary, Debug)]
struct Body {
    packets: Vec<Packet>,
    has_pid: bool,
}

#[derive(Arbitrary, Debug)]
enum Packet {
    Connect,
    /// Looks like CONNECT and is none.
    Almost { before: Vec<u8>, after: Vec<u8> },
    Event(String),
    Raw(Vec<u8>),
}

const CONNECT: &[u8] = b"40{\"sid\":\"Zm9vYmFyYmF6cXV4\"}";

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Connect => CONNECT.to_vec(),
            Self::Almost { before, after } => [before, CONNECT, after].concat(),
            Self::Event(text) => format!("42[{text:?}]").into_bytes(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

fuzz_target!(|body: Body| {
    let bytes = body.packets.iter().map(Packet::bytes).collect::<Vec<_>>().join(&0x1e);
    let pid = body.has_pid.then_some(PID);

    let payload = shim::rewrite_payload(&bytes, pid);

    let before: Vec<&[u8]> = bytes.split(|byte| *byte == 0x1e).collect();
    let connect = before.iter().position(|packet| shim::is_connect(packet));
    assert_eq!(payload.had_connect, connect.is_some());
    match (payload.rewritten, connect, pid) {
        (Some(rewritten), Some(connect), Some(pid)) => {
            let after: Vec<&[u8]> = rewritten.split(|byte| *byte == 0x1e).collect();
            assert_eq!(after.len(), before.len());
            for (place, (after, before)) in after.iter().zip(&before).enumerate() {
                if place == connect {
                    let open = before.strip_suffix(b"}").unwrap();
                    assert_eq!(*after, [open, b",\"pid\":\"", pid.as_bytes(), b"\"}"].concat());
                } else {
                    assert_eq!(after, before);
                }
            }
        }
        (None, None, _) | (None, Some(_), None) => {}
        other => panic!("{other:?}"),
    }
});
