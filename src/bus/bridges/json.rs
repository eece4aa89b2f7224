//! JSON text as what every dialect is turned into: bounded in length and depth, so that no few hostile bytes become many.

use std::fmt::Write as _;

/// How deep a message may nest. Clients read it with recursive parsers, some of which end at 128.
pub(super) const MAX_DEPTH: usize = 100;

/// Why bytes are no message. A variant says what is counted, its text what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not what this dialect writes.
    Malformed(&'static str),
    /// Larger than allowed, as it is or unpacked.
    TooLarge,
    /// It carries bytes, which JSON cannot.
    Binary,
    /// Whole and not for sockets to be told, or not for our namespace.
    Foreign(&'static str),
}

/// JSON text that grows up to a limit.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    max_bytes: usize,
}

impl Writer {
    pub(super) fn up_to(max_bytes: usize) -> Self {
        Self {
            text: String::new(),
            max_bytes,
        }
    }

    /// Writes what is JSON already.
    pub(super) fn push(&mut self, json: &str) -> Result<(), Unreadable> {
        if self.text.len() + json.len() > self.max_bytes {
            return Err(Unreadable::TooLarge);
        }
        self.text.push_str(json);
        Ok(())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if self.text.len() + text.len() > self.max_bytes {
            return Err(Unreadable::TooLarge);
        }
        // Serializing a text cannot fail.
        self.push(&serde_json::to_string(text).unwrap_or_default())
    }

    pub(super) fn integer(&mut self, number: impl Into<i128>) -> Result<(), Unreadable> {
        // Writing to a text cannot fail.
        let mut json = String::new();
        write!(json, "{}", number.into()).ok();
        self.push(&json)
    }

    /// Writes the shortest number that reads back as this one.
    pub(super) fn float(&mut self, number: f64) -> Result<(), Unreadable> {
        match serde_json::Number::from_f64(number) {
            Some(number) => self.push(&number.to_string()),
            None => Err(Unreadable::Malformed("a number that JSON does not have")),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Checks that a JSON text nests no deeper than is allowed. Of text that is no JSON it says nothing.
pub(super) fn check_depth(json: &str) -> Result<(), Unreadable> {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        if is_escaped {
            is_escaped = false;
        } else if is_text {
            is_escaped = byte == b'\\';
            is_text = byte != b'"';
        } else {
            match byte {
                b'"' => is_text = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_DEPTH {
                return Err(TOO_DEEP);
            }
        }
    }
    Ok(())
}

/// What is said of a message that nests too deep.
pub(super) const TOO_DEEP: Unreadable = Unreadable::Malformed("it nests too deep");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);

        assert_eq!(check_depth(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check_depth(&nested(MAX_DEPTH + 1)), Err(TOO_DEEP));
        assert_eq!(check_depth(&format!(r#"["\"{}"]"#, "[".repeat(500))), Ok(()));
        assert_eq!(check_depth(&format!(r#"["\\",{}"#, "{".repeat(500))), Err(TOO_DEEP));
        assert_eq!(check_depth(&"[],".repeat(5_000)), Ok(()));
    }

    #[test]
    fn nothing_grows_past_its_limit() {
        let mut writer = Writer::up_to(4);

        assert_eq!(writer.text("\u{1}"), Err(Unreadable::TooLarge));
        assert_eq!(writer.push("1234"), Ok(()));
        assert_eq!(writer.integer(5), Err(Unreadable::TooLarge));
        assert_eq!(writer.finish(), "1234");
    }

    #[test]
    fn a_float_is_written_as_the_shortest_text_that_is_the_same_number() {
        for number in [36.6, 0.1 + 0.2, 1e300, -0.0, 5e-324, 1.0] {
            let mut writer = Writer::up_to(100);
            writer.float(number).unwrap();

            let text = writer.finish();
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{text}");
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Writer::up_to(100).float(number).is_err());
        }
    }
}
