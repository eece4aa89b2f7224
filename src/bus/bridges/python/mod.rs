//! What python-socketio's Redis manager publishes (and so Flask-SocketIO's `message_queue`), as pickle or as JSON.
//!
//! | version | encoding | `data` |
//! | --- | --- | --- |
//! | to 5.13 | pickle of a dict | the argument; a tuple is several |
//! | 5.14.0, 5.14.1 | JSON | the argument |
//! | 5.14.2 to 5.15.0 | JSON with `binary` | the argument |
//! | from 5.15.1 | JSON with `binary` | the list of arguments |
//!
//! So a list in JSON with `binary` can be either. [`Dialect`] decides; for events of ours, which have one object for an
//! argument, it makes no difference worth a setting, and `auto` is right for every version but those of the third line that
//! emit a list to events that are not ours.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Unreadable, check_depth};
use super::pickle::{self, Pickle};
use crate::ports::Published;

/// How `data` is read where it is a list in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As arguments where the message has a field `binary`, else as one argument.
    #[default]
    Auto,
    /// As arguments.
    Arguments,
    /// As one argument.
    Raw,
}

/// A message. Fields that say nothing to us are skipped.
#[derive(Deserialize)]
struct Message<'m> {
    #[serde(borrow)]
    method: Cow<'m, str>,
    #[serde(default, borrow)]
    event: Option<Cow<'m, str>>,
    #[serde(default, borrow)]
    data: Option<&'m RawValue>,
    #[serde(default)]
    binary: Option<bool>,
    #[serde(default, borrow)]
    namespace: Option<Cow<'m, str>>,
    #[serde(default)]
    room: Names,
    #[serde(default)]
    skip_sid: Names,
}

/// Nothing, one name or several.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Names {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl From<Names> for Vec<String> {
    fn from(names: Names) -> Self {
        match names {
            Names::None => Self::new(),
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        }
    }
}

/// Reads a message.
pub(super) fn read(message: &[u8], dialect: Dialect, max_bytes: usize) -> Result<Published, Unreadable> {
    if message.first() == Some(&pickle::FIRST_BYTE) {
        let pickle = Pickle::read(message)?;
        let is_tuple = pickle.field("data").is_some_and(|data| pickle.is_tuple(data));
        return published(&pickle.to_json(max_bytes)?, Some(is_tuple));
    }
    let json = std::str::from_utf8(message).or(Err(Unreadable::Malformed("neither pickle nor JSON")))?;
    let are_arguments = match dialect {
        Dialect::Auto => None,
        Dialect::Arguments => Some(true),
        Dialect::Raw => Some(false),
    };
    published(json, are_arguments)
}

/// `are_arguments` says whether a list in `data` is the list of arguments, where that is known.
fn published(json: &str, are_arguments: Option<bool>) -> Result<Published, Unreadable> {
    let message: Message<'_> =
        serde_json::from_str(json).or(Err(Unreadable::Malformed("no message of a Redis manager")))?;
    if message.method != "emit" {
        return Err(Unreadable::Foreign("a method other than emit"));
    }
    if !matches!(message.namespace.as_deref(), None | Some("/")) {
        return Err(Unreadable::Foreign("a namespace other than /"));
    }
    if message.binary == Some(true) {
        return Err(Unreadable::Binary);
    }
    let event = message.event.ok_or(Unreadable::Malformed("no event"))?.into_owned();
    let are_arguments = are_arguments.unwrap_or(message.binary.is_some());
    Ok(Published {
        event,
        arguments: match message.data {
            Some(data) => arguments(data, are_arguments)?,
            None => Vec::new(),
        },
        rooms: message.room.into(),
        except: message.skip_sid.into(),
    })
}

fn arguments(data: &RawValue, are_arguments: bool) -> Result<Vec<Box<RawValue>>, Unreadable> {
    check_depth(data.get())?;
    if !are_arguments || !data.get().starts_with('[') {
        return Ok(vec![data.to_owned()]);
    }
    let list: Vec<Box<RawValue>> =
        serde_json::from_str(data.get()).or(Err(Unreadable::Malformed("arguments that are no list")))?;
    // That is how the newest say: no argument.
    let is_none = matches!(list.as_slice(), [only] if only.get() == "null");
    Ok(if is_none { Vec::new() } else { list })
}

#[cfg(test)]
mod tests;
