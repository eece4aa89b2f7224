//! Measures what a client sends over a websocket: the library ends a connection whose message is too long and tells nobody why.
//! It looks at the heads of frames (RFC 6455 §5.2) alone.

/// The bit that says that a payload is masked.
const MASKED: u8 = 0x80;
/// The bit that says that a frame is its message's last.
const LAST: u8 = 0x80;
/// From this opcode on frames are control frames, which may come between those of a message.
const CONTROL: u8 = 0x8;

/// The lengths of a client's messages, from the bytes as they come.
pub(super) struct Measure {
    max_bytes: u64,
    /// A head that is not complete: 13 bytes at most.
    head: Vec<u8>,
    /// What is left of the current frame's payload.
    payload: u64,
    /// What the message has had in earlier frames.
    before: u64,
    is_exceeded: bool,
}

impl Measure {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes as u64,
            head: Vec::new(),
            payload: 0,
            before: 0,
            is_exceeded: false,
        }
    }

    /// Whether these bytes announce, for the first time, a message that is too long.
    pub(super) fn exceeds(&mut self, mut bytes: &[u8]) -> bool {
        while !self.is_exceeded {
            let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= skipped as u64;
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else {
                return false;
            };
            self.head.push(*byte);
            bytes = rest;
            if let Some((first, length)) = head(&self.head) {
                self.head.clear();
                self.begin(first, length);
            }
            if self.is_exceeded {
                return true;
            }
        }
        false
    }

    fn begin(&mut self, first: u8, length: u64) {
        self.payload = length;
        let is_control = first & CONTROL != 0;
        let message = if is_control {
            length
        } else {
            self.before.saturating_add(length)
        };
        self.is_exceeded = message > self.max_bytes;
        if !is_control {
            self.before = if first & LAST == 0 { message } else { 0 };
        }
    }
}

/// A frame's first byte and the length of its payload, if this is its whole head.
fn head(bytes: &[u8]) -> Option<(u8, u64)> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match second & !MASKED {
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    (rest.len() >= mask).then_some((first, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(MASKED | 0x7e);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 0x7f);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.resize(frame.len() + 4 + length, 0xff);
        frame
    }

    /// At which byte a measure of a hundred thousand says it.
    fn said_at(stream: &[u8]) -> Vec<usize> {
        let mut measure = Measure::new(100_000);
        let each = stream.iter().enumerate();
        each.filter(|(_, byte)| measure.exceeds(&[**byte]))
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn messages_of_every_allowed_length_pass_however_they_are_cut() {
        let lengths = [0, 1, 125, 126, 65_535, 65_536, 100_000];
        let stream: Vec<u8> = lengths.iter().flat_map(|length| frame(0x81, *length)).collect();

        assert!(said_at(&stream).is_empty());
        assert!(!Measure::new(100_000).exceeds(&stream));
    }

    #[test]
    fn a_message_that_is_too_long_is_said_once_at_the_end_of_its_head() {
        let before = frame(0x81, 300);
        let stream = [before.clone(), frame(0x81, 100_001), frame(0x81, 200_000)].concat();

        assert_eq!(said_at(&stream), [before.len() + 13]);
        assert!(Measure::new(100_000).exceeds(&stream));
    }

    #[test]
    fn the_frames_of_a_message_are_added_up_and_pings_between_them_are_not() {
        let fits = [
            frame(0x01, 60_000),
            frame(0x89, 100),
            frame(0x80, 40_000),
            frame(0x81, 60_000),
        ]
        .concat();
        let too_long = [frame(0x01, 60_000), frame(0x00, 40_000), frame(0x80, 1)].concat();

        assert!(said_at(&fits).is_empty());
        assert_eq!(said_at(&too_long).len(), 1);
    }
}
