//! Presence and viewing (contract B, §5): one task that knows every socket of every node and tells this node's sockets what
//! changes.
//!
//! One task, so that a newcomer's snapshot and what is announced to it cannot overtake each other. Each node puts its own
//! sockets into its share of [`Peers`](crate::ports::Peers) and announces from what it hears; so there is nothing that could be announced twice,
//! and a node that dies takes its sockets with it.

mod board;
mod entry;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events;
use super::rooms;
use super::shared::Shared;
use super::token::Person;
use crate::domain::{PatientId, TenantId, Timestamp};
use crate::ports::{Heard, Line, Published};

use board::{Announcement, Board, News, SocketKey};
use entry::Entry;

pub(super) use board::{Somebody, Viewer};
pub(super) use entry::Status;

/// How long a change of viewing has to stand: React's strict mode sends begin, end, begin.
const SETTLING: Duration = Duration::from_millis(100);
/// People, and viewers, that a newcomer is told of.
const MAX_SNAPSHOT: usize = 1_000;

/// What happened.
enum Change {
    Came(String, Person, Arc<dyn Line>, BTreeMap<PatientId, Timestamp>),
    Settled(String),
    Says(String, Status),
    Views(String, PatientId, bool),
    Gone(String),
    AskPeople(TenantId, oneshot::Sender<Vec<Somebody>>),
    AskViewers(TenantId, PatientId, oneshot::Sender<Vec<Viewer>>),
}

/// The handle on the task. What is told to it is bounded by the sockets and by what each may send.
pub(super) struct Presence {
    changes: mpsc::UnboundedSender<Change>,
}

/// The task.
pub(super) struct PresenceTask {
    board: Board,
    changes: mpsc::UnboundedReceiver<Change>,
    own: HashMap<String, Own>,
}

/// A socket of this node.
struct Own {
    entry: Entry,
    line: Arc<dyn Line>,
}

/// An own socket's place on the board.
fn here(key: &str) -> SocketKey {
    SocketKey {
        node: String::new(),
        key: key.to_owned(),
    }
}

impl Presence {
    pub(super) fn new(grace: Duration) -> (Self, PresenceTask) {
        let (changes, received) = mpsc::unbounded_channel();
        let task = PresenceTask {
            board: Board::new(grace, SETTLING),
            changes: received,
            own: HashMap::new(),
        };
        (Self { changes }, task)
    }

    /// A socket came, viewing these patients already.
    pub(super) fn came(
        &self,
        key: &str,
        person: &Person,
        line: Arc<dyn Line>,
        viewing: BTreeMap<PatientId, Timestamp>,
    ) {
        self.tell(Change::Came(key.to_owned(), person.clone(), line, viewing));
    }

    /// It may be told who is there.
    pub(super) fn settled(&self, key: &str) {
        self.tell(Change::Settled(key.to_owned()));
    }

    /// It says how its user is.
    pub(super) fn says(&self, key: &str, status: Status) {
        self.tell(Change::Says(key.to_owned(), status));
    }

    /// It begins or ends to view a patient.
    pub(super) fn views(&self, key: &str, patient: PatientId, is_viewing: bool) {
        self.tell(Change::Views(key.to_owned(), patient, is_viewing));
    }

    /// It is gone.
    pub(super) fn gone(&self, key: &str) {
        self.tell(Change::Gone(key.to_owned()));
    }

    /// Who is there.
    pub(super) async fn people(&self, tenant: &TenantId) -> Vec<Somebody> {
        let (answer, answered) = oneshot::channel();
        self.tell(Change::AskPeople(tenant.clone(), answer));
        answered.await.unwrap_or_default()
    }

    /// Who views a patient.
    pub(super) async fn viewers(&self, tenant: &TenantId, patient: &PatientId) -> Vec<Viewer> {
        let (answer, answered) = oneshot::channel();
        self.tell(Change::AskViewers(tenant.clone(), patient.clone(), answer));
        answered.await.unwrap_or_default()
    }

    fn tell(&self, change: Change) {
        // When the task has ended, the node is ending: nobody is announced any more.
        drop(self.changes.send(change));
    }
}

impl PresenceTask {
    /// Works until `stop`.
    pub(super) async fn run(mut self, shared: Arc<Shared>, stop: CancellationToken) {
        let mut heard = shared.peers.as_ref().map(|peers| peers.subscribe());
        loop {
            let due = self.board.next_due();
            let news = tokio::select! {
                () = stop.cancelled() => return,
                change = self.changes.recv() => match change {
                    Some(change) => self.take(&shared, change),
                    None => return,
                },
                word = next(&mut heard) => self.hear(&shared, word).await,
                () = until(due) => self.board.tick(Instant::now()),
            };
            for announcement in news {
                self.announce(&shared, announcement).await;
            }
        }
    }

    fn take(&mut self, shared: &Shared, change: Change) -> Vec<Announcement> {
        let now = shared.clock.now();
        match change {
            Change::Came(key, person, line, viewing) => {
                let Person { tenant, user, name } = person;
                let entry = Entry {
                    tenant,
                    user,
                    name,
                    status: Status::Online,
                    said: 0,
                    seen_at: now,
                    viewing,
                };
                self.own.insert(key.clone(), Own { entry, line });
                self.update(shared, &key, now, |_| {})
            }
            Change::Says(key, status) => self.update(shared, &key, now, |entry| {
                entry.status = status;
                entry.said += 1;
            }),
            Change::Views(key, patient, true) => self.update(shared, &key, now, |entry| {
                entry.viewing.entry(patient).or_insert(now);
            }),
            Change::Views(key, patient, false) => self.update(shared, &key, now, |entry| {
                entry.viewing.remove(&patient);
            }),
            Change::Gone(key) => {
                if self.own.remove(&key).is_none() {
                    return Vec::new();
                }
                if let Some(peers) = &shared.peers {
                    peers.put(&key, None);
                }
                self.board.remove(&here(&key), now, Instant::now())
            }
            Change::Settled(key) => {
                self.tell_newcomer(&key, now);
                Vec::new()
            }
            Change::AskPeople(tenant, answer) => {
                drop(answer.send(self.board.people(&tenant)));
                Vec::new()
            }
            Change::AskViewers(tenant, patient, answer) => {
                drop(answer.send(self.board.viewers(&tenant, Some(&patient))));
                Vec::new()
            }
        }
    }

    fn update(
        &mut self,
        shared: &Shared,
        key: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Entry),
    ) -> Vec<Announcement> {
        let Some(own) = self.own.get_mut(key) else {
            return Vec::new();
        };
        change(&mut own.entry);
        own.entry.seen_at = now;
        if let Some(peers) = &shared.peers {
            peers.put(key, serde_json::to_string(&own.entry).ok());
        }
        self.board.put(here(key), own.entry.clone(), Instant::now())
    }

    async fn hear(&mut self, shared: &Shared, word: Heard) -> Vec<Announcement> {
        let (at, now) = (shared.clock.now(), Instant::now());
        match word {
            Heard::Share { node, entries } => {
                let read = |(key, text): (String, String)| Some((key, serde_json::from_str(&text).ok()?));
                let entries = entries.into_iter().filter_map(read).collect();
                self.board.replace(&node, entries, at, now)
            }
            Heard::Changed { node, key, value } => {
                let socket = SocketKey { node, key };
                match value.and_then(|text| serde_json::from_str(&text).ok()) {
                    Some(entry) => self.board.put(socket, entry, now),
                    None => self.board.remove(&socket, at, now),
                }
            }
            Heard::Gone { node } => self.board.replace(&node, BTreeMap::new(), at, now),
            Heard::Said(text) => {
                if let Some(published) = events::read_said(&text) {
                    shared.tell_here(&published).await;
                }
                Vec::new()
            }
        }
    }

    /// Tells this node's sockets of the tenant, but the one whose doing it is.
    async fn announce(&self, shared: &Shared, announcement: Announcement) {
        let Announcement { tenant, except, news } = announcement;
        let (event, payload) = told(&news, shared.clock.now());
        let own = except.filter(|socket| socket.node.is_empty());
        let except = own.and_then(|socket| Some(self.own.get(&socket.key)?.line.id().to_owned()));
        let Some(argument) = events::raw(&payload) else { return };
        let published = Published {
            event: event.to_owned(),
            arguments: vec![argument],
            rooms: vec![rooms::tenant(&tenant).as_str().to_owned()],
            except: except.into_iter().collect(),
        };
        shared.tell_here(&published).await;
    }

    /// Tells a socket who is there and who views whom.
    fn tell_newcomer(&self, key: &str, now: Timestamp) {
        let Some(Own { entry, line }) = self.own.get(key) else {
            return;
        };
        let people = self.board.people(&entry.tenant).into_iter();
        let people = people.filter(|somebody| somebody.user != entry.user).map(News::Online);
        let viewers = self.board.viewers(&entry.tenant, None).into_iter();
        let viewers = viewers.filter(|viewer| viewer.user != entry.user).map(News::Viewing);
        for news in people.take(MAX_SNAPSHOT).chain(viewers.take(MAX_SNAPSHOT)) {
            let (event, payload) = told(&news, now);
            line.tell(event, &payload);
        }
    }
}

fn told(news: &News, now: Timestamp) -> (&'static str, crate::domain::Payload) {
    match news {
        News::Online(somebody) => (events::USER_ONLINE, events::somebody(somebody)),
        News::Offline(somebody) => (events::USER_OFFLINE, events::somebody(somebody)),
        News::Status(somebody) => (events::USER_STATUS, events::somebody(somebody)),
        News::Viewing(viewer) => (events::PATIENT_VIEWING, events::viewing(viewer, true, now)),
        News::ViewingEnded(viewer) => (events::PATIENT_VIEWING, events::viewing(viewer, false, now)),
    }
}

async fn next(heard: &mut Option<mpsc::Receiver<Heard>>) -> Heard {
    if let Some(words) = heard {
        if let Some(word) = words.recv().await {
            return word;
        }
        *heard = None;
    }
    std::future::pending().await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
