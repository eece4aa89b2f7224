//! The key under which a request is done once, however often it is sent.

/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// What was sent is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one value of 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// The key among the values that were sent for one; `None`: nothing was.
///
/// # Errors
/// If there is more than one, or it is none.
pub fn idempotency_key<'a>(sent: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<&'a str>, InvalidIdempotencyKey> {
    let mut sent = sent.into_iter();
    let Some(key) = sent.next() else { return Ok(None) };
    let is_alone = sent.next().is_none();
    let is_visible = (1..=MAX_KEY).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    match str::from_utf8(key) {
        Ok(key) if is_alone && is_visible => Ok(Some(key)),
        Ok(_) | Err(_) => Err(InvalidIdempotencyKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is() {
        let longest = "k".repeat(255);

        assert_eq!(idempotency_key([]), Ok(None));
        assert_eq!(idempotency_key([b"a-1".as_slice()]), Ok(Some("a-1")));
        assert_eq!(idempotency_key([longest.as_bytes()]), Ok(Some(longest.as_str())));
    }

    #[test]
    fn a_key_that_is_empty_long_invisible_or_double_is_none() {
        for wrong in [
            &[b"".as_slice()] as &[_],
            &["k".repeat(256).as_bytes()],
            &[b"a b"],
            &[b"\xc3\xa4"],
            &[b"\xff"],
            &[b"a", b"a"],
        ] {
            assert_eq!(idempotency_key(wrong.iter().copied()), Err(InvalidIdempotencyKey));
        }
    }
}
