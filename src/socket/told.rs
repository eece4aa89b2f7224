//! An event as sockets are told it, encoded once for all who get it in one form.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use serde_json::value::RawValue;

use super::recovery::Offset;

/// An event's name and arguments, and the websocket frame that says them.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    arguments: Vec<&'a RawValue>,
    offset: Option<Offset>,
    pub(super) frame: Bytes,
}

impl<'a> Told<'a> {
    /// With these arguments, and an offset behind them where it is to be given back.
    pub(super) fn new(
        name: &'a str,
        arguments: impl IntoIterator<Item = &'a RawValue>,
        offset: Option<Offset>,
    ) -> Self {
        let arguments: Vec<&RawValue> = arguments.into_iter().collect();
        let frame = frame(name, &arguments, offset);
        Self {
            name,
            arguments,
            offset,
            frame,
        }
    }
}

impl Serialize for Told<'_> {
    /// The arguments as a tuple: that is what the library takes apart.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.arguments.len() + usize::from(self.offset.is_some()))?;
        for argument in &self.arguments {
            tuple.serialize_element(argument)?;
        }
        if let Some(offset) = &self.offset {
            tuple.serialize_element(offset)?;
        }
        tuple.end()
    }
}

/// The event as an unmasked text message in one frame (RFC 6455 §5.2): Engine.IO's message, Socket.IO's event on `/`.
fn frame(name: &str, arguments: &[&RawValue], offset: Option<Offset>) -> Bytes {
    /// The longest header: two bytes and a length of eight.
    const HEADER: usize = 10;
    const AROUND: usize = 128; // the name, what stands between, and an offset
    let size: usize = arguments.iter().map(|argument| argument.get().len() + 1).sum();
    let mut out = Vec::with_capacity(HEADER + AROUND + name.len() + size);
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(b"42[");
    out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    for argument in arguments {
        out.push(b',');
        out.extend_from_slice(argument.get().as_bytes());
    }
    if let Some(offset) = offset {
        out.extend_from_slice(format!(",\"{offset}\"").as_bytes());
    }
    out.push(b']');

    let length = out.len() - HEADER;
    let mut header = vec![0x81];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => header.push(short),
        (_, Ok(long)) => {
            header.push(126);
            header.extend_from_slice(&long.to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let begin = HEADER - header.len();
    if let Some(place) = out.get_mut(begin..HEADER) {
        place.copy_from_slice(&header);
    }
    Bytes::from(out).slice(begin..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, Position};

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn an_event_is_a_message_on_the_root_namespace_in_one_text_frame() {
        let payload = raw(r#"{"a":1}"#);

        let told = Told::new("patient \"alert\"", [&*payload], None);

        let text = br#"42["patient \"alert\"",{"a":1}]"#;
        let length = u8::try_from(text.len()).unwrap();
        assert_eq!(told.frame, [&[0x81, length][..], text].concat());
        assert_eq!(serde_json::to_string(&told).unwrap(), r#"[{"a":1}]"#);
    }

    #[test]
    fn an_offset_is_the_last_argument_in_both() {
        let payload = raw("{}");
        let offset = Offset::of(Position::from_sequence(7), EventId::new());

        let told = Told::new("e", [&*payload], Some(offset));

        let arguments = format!("{{}},\"{offset}\"");
        assert!(told.frame.ends_with(format!("42[\"e\",{arguments}]").as_bytes()));
        assert_eq!(serde_json::to_string(&told).unwrap(), format!("[{arguments}]"));
    }

    #[test]
    fn the_length_is_written_as_short_as_it_can_be() {
        for (length, header) in [
            (125, &[0x81, 125][..]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            // `42["e","…"]`
            let payload = raw(&format!("\"{}\"", "x".repeat(length - 10)));

            let frame = Told::new("e", [&*payload], None).frame;

            assert_eq!(&frame[..header.len()], header);
            assert_eq!(frame.len(), header.len() + length);
        }
    }
}
