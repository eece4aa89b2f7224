//! Websocket frames as a client writes and reads them: just enough for text, and without a copy.

use memchr::memmem;

/// Any key will do: masking protects proxies, and there is none.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Close,
    Other,
}

/// The request that becomes a websocket.
pub(crate) fn handshake(host: &str, query: &str, agent: Option<&str>) -> String {
    let agent = agent.map_or_else(String::new, |agent| format!("User-Agent: {agent}\r\n"));
    format!(
        "GET /socket.io/?EIO=4&transport=websocket&{query} HTTP/1.1\r\nHost: {host}\r\n{agent}Upgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Appends a masked text frame.
pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(0x81);
    if let Ok(length) = u8::try_from(text.len())
        && length < 126
    {
        out.push(0x80 | length);
    } else {
        let length = u16::try_from(text.len()).expect("no client here says more than 64 KiB at once");
        out.push(0xfe);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(&MASK);
    out.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// How long the answer to the handshake is, if it is here; `Err`: it is a refusal.
pub(crate) fn read_handshake(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    if bytes.starts_with(b"HTTP/1.1 101") {
        return Ok(Some(end + 4));
    }
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Err(String::from_utf8_lossy(line).into_owned())
}

/// The frame at the beginning: what it is, its payload, its whole length. `None`: not all of it is here.
pub(crate) fn read_frame(bytes: &[u8]) -> Option<(Opcode, &[u8], usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let opcode = match first & 0x0f {
        1 => Opcode::Text,
        8 => Opcode::Close,
        _ => Opcode::Other,
    };
    let end = header + length;
    Some((opcode, bytes.get(header..end)?, end))
}
