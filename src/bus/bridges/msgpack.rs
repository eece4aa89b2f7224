//! msgpack, as notepack.io writes it for `@socket.io/redis-emitter`, turned into JSON text in one pass.
//!
//! Nothing is built and nothing is reserved for lengths that are only claimed: what is kept of a message is the text that comes
//! out, bounded in length and depth. Dates become what `JSON.stringify` makes of them; bytes and other extensions are refused.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::json::{MAX_DEPTH, TOO_DEEP, Unreadable, Writer};

type Outcome<T> = Result<T, Unreadable>;

const CUT_OFF: Unreadable = Unreadable::Malformed("it is cut off");
const NO_DATE: Unreadable = Unreadable::Malformed("a date that cannot be");

/// `Date.prototype.toISOString`, which is what `JSON.stringify` writes.
const ISO: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The message as JSON.
pub(super) fn to_json(message: &[u8], max_bytes: usize) -> Outcome<String> {
    let mut reader = Reader {
        rest: message,
        writer: Writer::up_to(max_bytes),
    };
    reader.value(0)?;
    if reader.rest.is_empty() {
        Ok(reader.writer.finish())
    } else {
        Err(Unreadable::Malformed("a message with a rest"))
    }
}

struct Reader<'m> {
    rest: &'m [u8],
    writer: Writer,
}

impl<'m> Reader<'m> {
    fn value(&mut self, depth: usize) -> Outcome<()> {
        if depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        match self.byte()? {
            small @ 0x00..=0x7f => self.writer.integer(small),
            fields @ 0x80..=0x8f => self.map(u32::from(fields & 0x0f), depth),
            items @ 0x90..=0x9f => self.list(u32::from(items & 0x0f), depth),
            length @ 0xa0..=0xbf => self.text(u32::from(length & 0x1f)),
            0xc0 => self.writer.push("null"),
            0xc2 => self.writer.push("false"),
            0xc3 => self.writer.push("true"),
            0xc4..=0xc6 => Err(Unreadable::Binary),
            0xca => {
                let number = f32::from_be_bytes(self.array()?);
                self.writer.float(number.into())
            }
            0xcb => {
                let number = f64::from_be_bytes(self.array()?);
                self.writer.float(number)
            }
            kind @ 0xcc..=0xd3 => self.integer(kind),
            // fixext 4 and 8, ext 8: the sizes that dates have
            0xd6 => self.date(4),
            0xd7 => self.date(8),
            0xc7 => {
                let length = self.byte()?;
                self.date(length)
            }
            kind @ 0xd9..=0xdb => {
                let length = self.length(kind - 0xd9)?;
                self.text(length)
            }
            kind @ 0xdc..=0xdd => {
                let items = self.length(kind - 0xdb)?;
                self.list(items, depth)
            }
            kind @ 0xde..=0xdf => {
                let fields = self.length(kind - 0xdd)?;
                self.map(fields, depth)
            }
            negative @ 0xe0..=0xff => self.writer.integer(negative.cast_signed()),
            0xc1 | 0xc8..=0xc9 | 0xd4..=0xd5 | 0xd8 => Err(Unreadable::Malformed("an extension that is no date")),
        }
    }

    fn integer(&mut self, kind: u8) -> Outcome<()> {
        let number = match kind {
            0xcc => i128::from(u8::from_be_bytes(self.array()?)),
            0xcd => i128::from(u16::from_be_bytes(self.array()?)),
            0xce => i128::from(u32::from_be_bytes(self.array()?)),
            0xcf => i128::from(u64::from_be_bytes(self.array()?)),
            0xd0 => i128::from(i8::from_be_bytes(self.array()?)),
            0xd1 => i128::from(i16::from_be_bytes(self.array()?)),
            0xd2 => i128::from(i32::from_be_bytes(self.array()?)),
            _ => i128::from(i64::from_be_bytes(self.array()?)),
        };
        self.writer.integer(number)
    }

    fn text(&mut self, length: u32) -> Outcome<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).or(Err(Unreadable::Malformed("a text is not UTF-8")))?;
        self.writer.text(text)
    }

    fn list(&mut self, items: u32, depth: usize) -> Outcome<()> {
        self.writer.push("[")?;
        for place in 0..items {
            if place > 0 {
                self.writer.push(",")?;
            }
            self.value(depth + 1)?;
        }
        self.writer.push("]")
    }

    fn map(&mut self, fields: u32, depth: usize) -> Outcome<()> {
        self.writer.push("{")?;
        for place in 0..fields {
            if place > 0 {
                self.writer.push(",")?;
            }
            let length = match self.byte()? {
                length @ 0xa0..=0xbf => u32::from(length & 0x1f),
                kind @ 0xd9..=0xdb => self.length(kind - 0xd9)?,
                _ => return Err(Unreadable::Malformed("a key is no text")),
            };
            self.text(length)?;
            self.writer.push(":")?;
            self.value(depth + 1)?;
        }
        self.writer.push("}")
    }

    /// msgpack's timestamp in one of its three sizes.
    fn date(&mut self, length: u8) -> Outcome<()> {
        if self.byte()? != 0xff {
            return Err(Unreadable::Malformed("an extension that is no date"));
        }
        let (seconds, nanos) = match length {
            4 => (i64::from(u32::from_be_bytes(self.array()?)), 0),
            8 => {
                let both = u64::from_be_bytes(self.array()?);
                ((both & 0x3_ffff_ffff).cast_signed(), both >> 34)
            }
            12 => {
                let nanos = u32::from_be_bytes(self.array()?);
                (i64::from_be_bytes(self.array()?), u64::from(nanos))
            }
            _ => return Err(NO_DATE),
        };
        let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).or(Err(NO_DATE))?;
        self.writer.text(&date.format(ISO).or(Err(NO_DATE))?)
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, size: u8) -> Outcome<u32> {
        Ok(match size {
            0 => u32::from(self.byte()?),
            1 => u32::from(u16::from_be_bytes(self.array()?)),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn byte(&mut self) -> Outcome<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: u32) -> Outcome<&'m [u8]> {
        let length = usize::try_from(length).or(Err(CUT_OFF))?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(message: &[u8]) -> Outcome<String> {
        to_json(message, 10_000)
    }

    #[test]
    fn everything_that_notepack_writes_becomes_what_json_stringify_makes_of_it() {
        for (message, json) in [
            (&b"\xc0"[..], "null"),
            (b"\xc2", "false"),
            (b"\xc3", "true"),
            (b"\x7f", "127"),
            (b"\xe0", "-32"),
            (b"\xcc\xff", "255"),
            (b"\xcd\xff\xff", "65535"),
            (b"\xce\xff\xff\xff\xff", "4294967295"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xd0\x80", "-128"),
            (b"\xd1\x80\x00", "-32768"),
            (b"\xd2\x80\x00\x00\x00", "-2147483648"),
            (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
            (b"\xca\x3f\x00\x00\x00", "0.5"),
            (b"\xcb\x40\x42\x4c\xcc\xcc\xcc\xcc\xcd", "36.6"),
            (b"\xa3\xe2\x82\xac", "\"€\""),
            (b"\xd9\x01\"", r#""\"""#),
            (b"\xda\x00\x01a", "\"a\""),
            (b"\xdb\x00\x00\x00\x01a", "\"a\""),
            (b"\x92\x01\x90", "[1,[]]"),
            (b"\xdc\x00\x01\x01", "[1]"),
            (b"\xdd\x00\x00\x00\x01\x01", "[1]"),
            (b"\x82\xa1a\x01\xa1b\x80", r#"{"a":1,"b":{}}"#),
            (b"\xde\x00\x01\xa1a\x01", r#"{"a":1}"#),
            (b"\xdf\x00\x00\x00\x01\xd9\x01a\x01", r#"{"a":1}"#),
            // new Date("2026-02-15T10:30:00.000Z"), with milliseconds, before 1970, after 2514
            (b"\xd6\xff\x69\x91\xa0\x28", r#""2026-02-15T10:30:00.000Z""#),
            (
                b"\xd7\xff\x1d\x53\x53\x00\x69\x91\xa0\x28",
                r#""2026-02-15T10:30:00.123Z""#,
            ),
            (
                b"\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
                r#""1969-12-31T23:59:59.000Z""#,
            ),
            (
                b"\xc7\x0c\xff\x00\x0f\x42\x40\x00\x00\x00\x04\xa0\xfe\x72\x80",
                r#""2600-01-01T00:00:00.001Z""#,
            ),
        ] {
            assert_eq!(read(message).as_deref(), Ok(json), "{message:x?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for (message, why) in [
            (&b""[..], CUT_OFF),
            (b"\xa5abc", CUT_OFF),
            (b"\x92\x01", CUT_OFF),
            (b"\xdd\xff\xff\xff\xff", CUT_OFF),
            (b"\xdb\xff\xff\xff\xffa", CUT_OFF),
            (b"\xc4\x01a", Unreadable::Binary),
            (b"\xc1", Unreadable::Malformed("an extension that is no date")),
            (b"\xd4\x00\x00", Unreadable::Malformed("an extension that is no date")),
            (b"\xd6\x01aaaa", Unreadable::Malformed("an extension that is no date")),
            (b"\xc7\x05\xffaaaaa", NO_DATE),
            (b"\xc7\x0c\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", NO_DATE),
            (b"\xa1\xff", Unreadable::Malformed("a text is not UTF-8")),
            (b"\x81\x01\x01", Unreadable::Malformed("a key is no text")),
            (b"\x01\x01", Unreadable::Malformed("a message with a rest")),
            (
                b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
                Unreadable::Malformed("a number that JSON does not have"),
            ),
        ] {
            assert_eq!(read(message), Err(why), "{message:x?}");
        }
    }

    #[test]
    fn neither_depth_nor_claimed_lengths_cost_more_than_the_message() {
        assert_eq!(to_json(&vec![0x91; 1_000_000], 1_000_000), Err(TOO_DEEP));
        assert_eq!(
            to_json(&vec![0x81; 1_000_000], 1_000_000),
            Err(Unreadable::Malformed("a key is no text"))
        );
        assert_eq!(
            to_json(&[&[0xdc, 0xff, 0xff][..], &vec![0xc0; 0xffff]].concat(), 1_000),
            Err(Unreadable::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_in_what_comes_out_is_json(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(json) = read(&message) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
            }
        }
    }
}
