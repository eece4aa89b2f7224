//! A word in the stream: JSON, one field of an entry.

use redis::Value;
use serde::{Deserialize, Serialize};

/// The field of an entry that holds a word.
pub(super) const FIELD: &str = "w";
/// The field of a share that holds the number of the last word that it has taken in.
pub(super) const NUMBER: &str = "";
/// The longest word that is read, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// What a node says at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    /// Who says it.
    #[serde(rename = "n")]
    pub(super) node: String,
    /// One more than before, where something changed; else as before.
    #[serde(rename = "s")]
    pub(super) number: u64,
    /// What changed in its share.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<(String, Option<String>)>,
    /// What it says beside that.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) said: Vec<String>,
    /// It is new here and asks the others to make themselves heard.
    #[serde(rename = "q", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) asks: bool,
    /// It goes.
    #[serde(rename = "b", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_last: bool,
}

/// The entries of an answer to `XREAD` or `XREVRANGE`: their ids, and their words where they have one.
pub(super) fn entries(answer: &Value) -> Vec<(String, Option<Word>)> {
    let Value::Array(list) = answer else {
        return Vec::new();
    };
    let entry = |entry: &Value| {
        let Value::Array(parts) = entry else { return None };
        let id = text(parts.first()?)?;
        let word = match parts.get(1) {
            Some(Value::Array(fields)) => word_in(fields),
            Some(_) | None => None,
        };
        Some((id, word))
    };
    list.iter().filter_map(entry).collect()
}

fn word_in(fields: &[Value]) -> Option<Word> {
    let (name, value) = (fields.first()?, fields.get(1)?);
    let (Value::BulkString(value), true) = (value, text(name)? == FIELD) else {
        return None;
    };
    if value.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(value).ok()
}

fn text(value: &Value) -> Option<String> {
    if let Value::BulkString(bytes) = value {
        String::from_utf8(bytes.clone()).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back_as_it_was_written() {
        let word = Word {
            node: "n1".to_owned(),
            number: 7,
            changes: vec![("k".to_owned(), Some("v".to_owned())), ("gone".to_owned(), None)],
            said: vec!["hello".to_owned()],
            asks: true,
            is_last: false,
        };
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = vec![bulk(FIELD), bulk(&serde_json::to_string(&word).unwrap())];
        let answer = Value::Array(vec![
            Value::Array(vec![bulk("1-0"), Value::Array(fields)]),
            Value::Array(vec![bulk("2-0"), Value::Array(vec![bulk("other"), bulk("{}")])]),
        ]);

        let read = entries(&answer);

        assert_eq!(read, [("1-0".to_owned(), Some(word)), ("2-0".to_owned(), None)]);
    }
}
