//! Engine.IO session ids as clients know them: `<node>.<random>`, or the random part alone where the node has no name.
//!
//! The library's own session id is the Socket.IO id, which every client of a page, a log or a screenshot may show; it opens
//! nothing here. What opens a session is this id: 122 random bits, told to its client alone, in the open packet. The node's
//! name stands before them so that a proxy can send every later request of a session to the node that has it; clients need
//! no cookie for that. All its characters stand in a query as they are.

use socketioxide::socket::Sid;
use uuid::Uuid;

/// The open packet before the library's id, exactly as the library writes it.
const BEFORE_SID: &[u8] = b"0{\"sid\":\"";
/// The longest open packet. The library's has some 120 bytes.
const MAX_OPEN: usize = 1_024;

/// What the ids of one node's sessions have in common.
#[derive(Debug)]
pub(super) struct Node {
    /// `a.` for the node `a`; empty for a node without a name.
    prefix: String,
}

/// A session of this node.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(Uuid);

impl SessionId {
    /// A fresh one.
    pub(super) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Node {
    /// The node of this name; empty: it has none.
    pub(super) fn named(name: &str) -> Self {
        let separator = if name.is_empty() { "" } else { "." };
        Self {
            prefix: format!("{name}{separator}"),
        }
    }

    /// The id as the session's client is told it.
    pub(super) fn write(&self, session: SessionId) -> String {
        format!("{}{}", self.prefix, session.0.simple())
    }

    /// The session that an id from outside means; `None` where it is another node's, or none at all.
    pub(super) fn read(&self, id: &str) -> Option<SessionId> {
        let random = id.strip_prefix(&self.prefix)?;
        // The parser would take other spellings as well: an id has one.
        let is_plain = random.len() == 32 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_plain {
            return None;
        }
        Uuid::try_parse(random).ok().map(SessionId)
    }
}

/// The library's id in its open packet, and the packet with `id` in its place.
pub(super) fn reopen(packet: &[u8], id: &str) -> Option<(Sid, Vec<u8>)> {
    let rest = packet.strip_prefix(BEFORE_SID)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let (sid, after) = rest.split_at_checked(end)?;
    let sid = std::str::from_utf8(sid).ok()?.parse().ok()?;
    Some((sid, [BEFORE_SID, id.as_bytes(), after].concat()))
}

/// The first frame of a websocket that a session begins with, if it is the open packet, with `id` in the library's place.
pub(super) fn reopen_frame(frame: &[u8], id: &str) -> Option<Vec<u8>> {
    // A whole text message (RFC 6455 §5.2), not masked as servers never mask.
    let (length, packet) = match frame {
        [0x81, 126, high, low, packet @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), packet),
        [0x81, length @ 0..126, packet @ ..] => (usize::from(*length), packet),
        _ => return None,
    };
    if packet.len() != length || length > MAX_OPEN {
        return None;
    }
    let (_, packet) = reopen(packet, id)?;
    let mut frame = Vec::with_capacity(packet.len() + 4);
    crate::socket::recovery::shim::append_text_frame(&packet, &mut frame);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &[u8] = br#"0{"sid":"AAAAAAAAAAAAAAHs","upgrades":["websocket"],"pingInterval":25000}"#;

    #[test]
    fn an_id_is_read_by_the_node_that_wrote_it_and_by_no_other() {
        let session = SessionId::random();
        let nodes = ["", "a", "b", "ward-3"].map(Node::named);

        for (i, writer) in nodes.iter().enumerate() {
            let id = writer.write(session);
            for (j, reader) in nodes.iter().enumerate() {
                assert_eq!(reader.read(&id) == Some(session), i == j, "{id} {reader:?}");
            }
        }
    }

    #[test]
    fn an_id_names_its_node_and_needs_no_escaping() {
        let id = Node::named("ward-3").write(SessionId::random());

        let (node, random) = id.split_once('.').unwrap();
        assert_eq!(node, "ward-3");
        assert_eq!(random.len(), 32);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    }

    #[test]
    fn what_no_node_wrote_is_no_id() {
        let node = Node::named("a");
        let random = "0123456789abcdef0123456789abcdef";
        assert!(node.read(&format!("a.{random}")).is_some());

        for other in [
            String::new(),
            "a".to_owned(),
            "a.".to_owned(),
            random.to_owned(),
            "AAAAAAAAAAAAAAHs".to_owned(),
            "a.AAAAAAAAAAAAAAHs".to_owned(),
            format!("a{random}"),
            format!("a.{random}0"),
            format!("a.a.{random}"),
            format!("a.{}", random.to_uppercase()),
            "a.{01234567-89ab-cdef-0123-456789abcd}".to_owned(),
        ] {
            assert!(node.read(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn an_open_packet_is_told_with_our_id_and_is_otherwise_the_librarys() {
        let (sid, packet) = reopen(OPEN, "a.0123").unwrap();

        assert_eq!(sid.as_str(), "AAAAAAAAAAAAAAHs");
        assert_eq!(
            packet,
            br#"0{"sid":"a.0123","upgrades":["websocket"],"pingInterval":25000}"#
        );
    }

    #[test]
    fn other_packets_are_no_open_packet() {
        for packet in [
            b"".as_slice(),
            b"1",
            b"40{\"sid\":\"AAAAAAAAAAAAAAHs\"}",
            b"0{\"sid\":\"",
            b"0{\"sid\":\"no\"}",
        ] {
            assert_eq!(reopen(packet, "a.0123"), None);
        }
    }

    #[test]
    fn a_frame_with_an_open_packet_is_told_with_our_id_whatever_lengths_it_had() {
        for (padding, header) in [(0, 2), (80, 4)] {
            let mut packet = OPEN.to_vec();
            packet.truncate(OPEN.len() - 1);
            packet.extend_from_slice(format!(",\"x\":\"{}\"}}", "y".repeat(padding)).as_bytes());
            let mut frame = Vec::new();
            crate::socket::recovery::shim::append_text_frame(&packet, &mut frame);
            assert_eq!(frame.len(), packet.len() + header);

            let told = reopen_frame(&frame, &"i".repeat(65)).unwrap();

            // Sixteen characters become sixty-five: the payload is 126 bytes or more.
            assert_eq!(told[..2], [0x81, 126]);
            assert_eq!(usize::from(u16::from_be_bytes([told[2], told[3]])), told.len() - 4);
            let expected = String::from_utf8(packet)
                .unwrap()
                .replace("AAAAAAAAAAAAAAHs", &"i".repeat(65));
            assert_eq!(String::from_utf8(told[4..].to_vec()).unwrap(), expected);
        }
    }

    #[test]
    fn frames_that_are_not_one_whole_open_packet_stay() {
        let mut frame = Vec::new();
        crate::socket::recovery::shim::append_text_frame(OPEN, &mut frame);
        let mut binary = frame.clone();
        binary[0] = 0x82;
        let longer = [frame.clone(), vec![0x81, 0]].concat();
        let shorter = &frame[..frame.len() - 1];

        for other in [
            &binary[..],
            &longer,
            shorter,
            b"",
            &[0x81],
            &[0x81, 126, 0],
            &[0x81, 127],
        ] {
            assert_eq!(reopen_frame(other, "a.0123"), None);
        }
    }
}
