//! What a guest has sent and what has not had its turn: bounded, and with a place kept for the end of everything that began.
//!
//! That somebody stopped must never be what is dropped: nobody would say it again. But only what began can end, and how much
//! may have begun is bounded too: whoever says that things end that never began is not believed beyond the bound.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::ports::Lasting;

/// Events of one guest that may wait for their turn. Beyond that they are dropped.
const MAX_WAITING: usize = 256;
/// Things of one guest that have begun and not ended; for the end of each there is a place. Beyond that none begins.
const MAX_OPEN: usize = 256;

/// Bytes of a payload, about. Guests send ids and a flag: what is longer is nothing that anybody understands, and nothing that
/// may wait in memory.
const MAX_BYTES: usize = 8 * 1024;

/// An event and its payload.
pub(super) type Sent = (&'static str, Value);

/// Where events of one guest come in.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Mutex<Waiting>>);

struct Waiting {
    places: mpsc::Sender<Sent>,
    /// What has begun, by the event that said so and what it is.
    open: HashSet<(&'static str, String)>,
}

/// An inbox, and where what comes in is taken out of it.
pub(super) fn inbox() -> (Inbox, mpsc::Receiver<Sent>) {
    // Whatever begins takes no place of those that are kept, and its end takes one of them: together they are never more.
    let (places, sent) = mpsc::channel(MAX_WAITING + MAX_OPEN);
    let open = HashSet::new();
    (Inbox(Arc::new(Mutex::new(Waiting { places, open }))), sent)
}

impl Inbox {
    /// Takes in an event, unless there is no place for it. Whether it did.
    pub(super) fn take(&self, event: &'static str, payload: Value, lasting: Option<Lasting>) -> bool {
        if !is_within(&payload, &mut { MAX_BYTES }) {
            return false;
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { places, open } = &mut *waiting;
        let has_place = places.capacity() > MAX_OPEN;
        let may_come_in = match lasting {
            Some(Lasting::Ends(what)) => open.remove(&(event, what)) || has_place,
            Some(Lasting::Begins(what)) => {
                let what = (event, what);
                let may_begin = has_place && (open.len() < MAX_OPEN || open.contains(&what));
                if may_begin {
                    open.insert(what);
                }
                may_begin
            }
            None => has_place,
        };
        may_come_in && places.try_send((event, payload)).is_ok()
    }
}

/// Whether a payload takes no more than is left; takes it.
fn is_within(payload: &Value, left: &mut usize) -> bool {
    takes(left, size_of::<Value>())
        && match payload {
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => takes(left, text.len()),
            Value::Array(items) => items.iter().all(|item| is_within(item, left)),
            Value::Object(fields) => fields
                .iter()
                .all(|(name, value)| takes(left, name.len()) && is_within(value, left)),
        }
}

fn takes(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TYPING: &str = "typing";

    fn begins(inbox: &Inbox, what: &str) -> bool {
        inbox.take(TYPING, json!(true), Some(Lasting::Begins(what.to_owned())))
    }

    fn ends(inbox: &Inbox, what: &str) -> bool {
        inbox.take(TYPING, json!(what), Some(Lasting::Ends(what.to_owned())))
    }

    /// Sends until nothing more is taken; how much was.
    fn fill(inbox: &Inbox) -> usize {
        let sent = 0..2 * (MAX_WAITING + MAX_OPEN);
        sent.take_while(|_| inbox.take("other", Value::Null, None)).count()
    }

    #[tokio::test]
    async fn what_began_can_end_in_a_full_inbox() {
        let (inbox, mut sent) = inbox();
        assert!(begins(&inbox, "T1"));
        assert_eq!(fill(&inbox), MAX_WAITING - 1);

        assert!(ends(&inbox, "T1"));

        assert!(!ends(&inbox, "T1"), "it has ended already");
        assert!(!ends(&inbox, "T2"), "it never began");
        assert!(!begins(&inbox, "T1"), "nothing begins that could not wait for its turn");
        drop(inbox);
        let mut last = None;
        while let Some(taken) = sent.recv().await {
            last = Some(taken);
        }
        assert_eq!(last, Some((TYPING, json!("T1"))));
    }

    #[tokio::test]
    async fn everything_that_began_has_a_place_for_its_end_and_the_inbox_is_bounded() {
        let (inbox, mut sent) = inbox();
        let mut began = Vec::new();
        for number in 0..2 * MAX_OPEN {
            let what = number.to_string();
            if begins(&inbox, &what) {
                began.push(what);
            }
            sent.try_recv().ok();
        }
        assert_eq!(began.len(), MAX_OPEN);
        fill(&inbox);

        assert!(began.iter().all(|what| ends(&inbox, what)));

        assert_eq!(sent.len(), MAX_WAITING + MAX_OPEN);
        assert!(!ends(&inbox, "0") && !begins(&inbox, "0"));
    }

    #[tokio::test]
    async fn where_there_is_room_an_end_comes_in_though_it_began_elsewhere() {
        let (inbox, mut sent) = inbox();

        assert!(ends(&inbox, "T1"));

        assert_eq!(sent.recv().await, Some((TYPING, json!("T1"))));
    }

    #[tokio::test]
    async fn a_payload_that_is_longer_than_anybody_understands_does_not_wait() {
        let (inbox, sent) = inbox();
        let long = "x".repeat(MAX_BYTES);
        let mut deep = json!("T1");
        for _ in 0..MAX_BYTES / size_of::<Value>() {
            deep = json!([deep]);
        }

        for payload in [
            json!(long),
            json!({"threadId": "T1", "more": long}),
            json!({long: "T1"}),
            json!(vec![Value::Null; MAX_BYTES]),
            deep,
        ] {
            assert!(!inbox.take(TYPING, payload.clone(), None));
            assert!(!inbox.take(TYPING, payload, Some(Lasting::Ends("T1".to_owned()))));
        }

        assert!(sent.is_empty());
        assert!(inbox.take(TYPING, json!("x".repeat(MAX_BYTES / 2)), None));
    }
}
