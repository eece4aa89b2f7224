//! Who is there and who views whom, over all sockets of all nodes, and what of it has to be announced (contract B, §5).
//!
//! Pure: it is told what changed and what time it is. Every node has a board of its own with the same on it, and announces to
//! its own sockets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::entry::{Entry, Status};
use crate::domain::{PatientId, TenantId, Timestamp, UserId};

/// A socket: its node (empty: this one) and what that calls it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SocketKey {
    pub(super) node: String,
    pub(super) key: String,
}

/// Something that a tenant has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) tenant: TenantId,
    /// Whose doing it is: that socket knows.
    pub(super) except: Option<SocketKey>,
    pub(super) news: News,
}

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Somebody came.
    Online(Somebody),
    /// Somebody is gone.
    Offline(Somebody),
    /// Somebody said how they are.
    Status(Somebody),
    /// Somebody began to view a patient.
    Viewing(Viewer),
    /// Somebody no longer views a patient.
    ViewingEnded(Viewer),
}

/// Somebody as others see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ehr) struct Somebody {
    pub(in crate::ehr) user: UserId,
    pub(in crate::ehr) name: String,
    pub(in crate::ehr) status: Status,
    pub(in crate::ehr) last_seen: Timestamp,
}

/// Somebody who views a patient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ehr) struct Viewer {
    pub(in crate::ehr) user: UserId,
    pub(in crate::ehr) name: String,
    pub(in crate::ehr) patient: PatientId,
    pub(in crate::ehr) started_at: Timestamp,
}

/// The board.
pub(super) struct Board {
    /// How long somebody without a socket is still there.
    grace: Duration,
    /// How long a change of viewing has to stand before it is announced.
    settling: Duration,
    sockets: BTreeMap<SocketKey, Entry>,
    tenants: HashMap<TenantId, Tenant>,
    due: BTreeSet<(Instant, Due)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Leave(TenantId, UserId),
    View(TenantId, PatientId, UserId),
}

#[derive(Default)]
struct Tenant {
    people: BTreeMap<UserId, Presence>,
    views: BTreeMap<(PatientId, UserId), View>,
}

struct Presence {
    sockets: BTreeMap<SocketKey, Status>,
    name: String,
    status: Status,
    last_seen: Timestamp,
    leaves_at: Option<Instant>,
}

#[derive(Default)]
struct View {
    sockets: BTreeMap<SocketKey, Timestamp>,
    name: String,
    /// Since when, as it was announced.
    announced: Option<Timestamp>,
    due: Option<Instant>,
    /// Whose doing the last change was.
    by: Option<SocketKey>,
}

impl Presence {
    /// Takes the status that follows from all sockets; answers the one before.
    fn settle_status(&mut self) -> Status {
        let merged = self.sockets.values().min().copied().unwrap_or(self.status);
        std::mem::replace(&mut self.status, merged)
    }

    fn somebody(&self, user: &UserId) -> Somebody {
        Somebody {
            user: user.clone(),
            name: self.name.clone(),
            status: self.status,
            last_seen: self.last_seen,
        }
    }
}

impl Board {
    pub(super) fn new(grace: Duration, settling: Duration) -> Self {
        Self {
            grace,
            settling,
            sockets: BTreeMap::new(),
            tenants: HashMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// A socket came, or something of it changed.
    pub(super) fn put(&mut self, socket: SocketKey, entry: Entry, now: Instant) -> Vec<Announcement> {
        let before = self.sockets.insert(socket.clone(), entry.clone());
        let mut news = Vec::new();
        self.put_person(&socket, &entry, before.as_ref(), &mut news);
        let viewed = before.map(|before| before.viewing).unwrap_or_default();
        for patient in viewed.keys().filter(|patient| !entry.viewing.contains_key(*patient)) {
            self.end_view(&socket, &entry, patient, now + self.settling);
        }
        for (patient, since) in entry
            .viewing
            .iter()
            .filter(|(patient, _)| !viewed.contains_key(*patient))
        {
            self.begin_view(&socket, &entry, patient, *since, now);
        }
        news
    }

    fn put_person(&mut self, socket: &SocketKey, entry: &Entry, before: Option<&Entry>, news: &mut Vec<Announcement>) {
        let tenant = self.tenants.entry(entry.tenant.clone()).or_default();
        let is_new = !tenant.people.contains_key(&entry.user);
        let person = tenant.people.entry(entry.user.clone()).or_insert_with(|| Presence {
            sockets: BTreeMap::new(),
            name: entry.name.clone(),
            status: entry.status,
            last_seen: entry.seen_at,
            leaves_at: None,
        });
        if let Some(at) = person.leaves_at.take() {
            self.due
                .remove(&(at, Due::Leave(entry.tenant.clone(), entry.user.clone())));
        }
        person.sockets.insert(socket.clone(), entry.status);
        person.name.clone_from(&entry.name);
        person.last_seen = person.last_seen.max(entry.seen_at);
        let was = person.settle_status();
        let somebody = person.somebody(&entry.user);
        let says_so = before.is_some_and(|before| before.said < entry.said) && somebody.status == entry.status;
        let (except, what) = if is_new {
            (Some(socket.clone()), News::Online(somebody))
        } else if says_so {
            (Some(socket.clone()), News::Status(somebody))
        } else if was != somebody.status {
            (None, News::Status(somebody))
        } else {
            return;
        };
        news.push(Announcement {
            tenant: entry.tenant.clone(),
            except,
            news: what,
        });
    }

    /// A socket is gone. Who has no other is still there for the grace.
    pub(super) fn remove(&mut self, socket: &SocketKey, at: Timestamp, now: Instant) -> Vec<Announcement> {
        let Some(entry) = self.sockets.remove(socket) else {
            return Vec::new();
        };
        for patient in entry.viewing.keys() {
            self.end_view(socket, &entry, patient, now + self.grace);
        }
        let tenant = self.tenants.entry(entry.tenant.clone()).or_default();
        let Some(person) = tenant.people.get_mut(&entry.user) else {
            return Vec::new();
        };
        person.sockets.remove(socket);
        person.last_seen = person.last_seen.max(at);
        if person.sockets.is_empty() {
            let at = now + self.grace;
            person.leaves_at = Some(at);
            self.due.insert((at, Due::Leave(entry.tenant, entry.user)));
            return Vec::new();
        }
        let was = person.settle_status();
        if was == person.status {
            return Vec::new();
        }
        vec![Announcement {
            news: News::Status(person.somebody(&entry.user)),
            tenant: entry.tenant,
            except: None,
        }]
    }

    /// A node has exactly these sockets.
    pub(super) fn replace(
        &mut self,
        node: &str,
        entries: BTreeMap<String, Entry>,
        at: Timestamp,
        now: Instant,
    ) -> Vec<Announcement> {
        let mut news = Vec::new();
        for socket in self.of(node) {
            if !entries.contains_key(&socket.key) {
                news.extend(self.remove(&socket, at, now));
            }
        }
        for (key, entry) in entries {
            let node = node.to_owned();
            news.extend(self.put(SocketKey { node, key }, entry, now));
        }
        news
    }

    fn of(&self, node: &str) -> Vec<SocketKey> {
        let first = SocketKey {
            node: node.to_owned(),
            key: String::new(),
        };
        let of_node = self
            .sockets
            .range(first..)
            .take_while(|(socket, _)| socket.node == node);
        of_node.map(|(socket, _)| socket.clone()).collect()
    }

    fn begin_view(&mut self, socket: &SocketKey, entry: &Entry, patient: &PatientId, since: Timestamp, now: Instant) {
        let due = Due::View(entry.tenant.clone(), patient.clone(), entry.user.clone());
        let tenant = self.tenants.entry(entry.tenant.clone()).or_default();
        let view = tenant.views.entry((patient.clone(), entry.user.clone())).or_default();
        view.sockets.insert(socket.clone(), since);
        view.name.clone_from(&entry.name);
        if let Some(at) = view.due.take() {
            self.due.remove(&(at, due.clone()));
        }
        if view.announced.is_none() {
            let at = now + self.settling;
            view.by = Some(socket.clone());
            view.due = Some(at);
            self.due.insert((at, due));
        }
    }

    fn end_view(&mut self, socket: &SocketKey, entry: &Entry, patient: &PatientId, at: Instant) {
        let due = Due::View(entry.tenant.clone(), patient.clone(), entry.user.clone());
        let Some(tenant) = self.tenants.get_mut(&entry.tenant) else {
            return;
        };
        let key = (patient.clone(), entry.user.clone());
        let Some(view) = tenant.views.get_mut(&key) else { return };
        view.sockets.remove(socket);
        if !view.sockets.is_empty() {
            return;
        }
        if let Some(at) = view.due.take() {
            self.due.remove(&(at, due.clone()));
        }
        if view.announced.is_none() {
            // Nobody was told that it began.
            tenant.views.remove(&key);
            return;
        }
        view.by = Some(socket.clone());
        view.due = Some(at);
        self.due.insert((at, due));
    }

    /// When something is next to be done.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Announcement> {
        let mut news = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            match self.due.pop_first() {
                Some((_, Due::Leave(tenant, user))) => news.extend(self.leave(tenant, &user)),
                Some((_, Due::View(tenant, patient, user))) => news.extend(self.settle(tenant, patient, user)),
                None => break,
            }
        }
        news
    }

    fn leave(&mut self, tenant: TenantId, user: &UserId) -> Option<Announcement> {
        let of = self.tenants.get_mut(&tenant)?;
        let person = of.people.get(user).filter(|person| person.sockets.is_empty())?;
        let mut gone = person.somebody(user);
        gone.status = Status::Offline;
        of.people.remove(user);
        self.forget_if_empty(&tenant);
        Some(Announcement {
            tenant,
            except: None,
            news: News::Offline(gone),
        })
    }

    fn settle(&mut self, tenant: TenantId, patient: PatientId, user: UserId) -> Option<Announcement> {
        let of = self.tenants.get_mut(&tenant)?;
        let key = (patient, user);
        let view = of.views.get_mut(&key)?;
        view.due = None;
        let except = view.by.take();
        let viewer = |view: &View, started_at| Viewer {
            user: key.1.clone(),
            name: view.name.clone(),
            patient: key.0.clone(),
            started_at,
        };
        let news = match (view.sockets.values().min().copied(), view.announced) {
            (Some(since), None) => {
                view.announced = Some(since);
                News::Viewing(viewer(view, since))
            }
            (None, Some(since)) => {
                let ended = News::ViewingEnded(viewer(view, since));
                of.views.remove(&key);
                self.forget_if_empty(&tenant);
                ended
            }
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(Announcement { tenant, except, news })
    }

    fn forget_if_empty(&mut self, tenant: &TenantId) {
        let is_empty = |of: &Tenant| of.people.is_empty() && of.views.is_empty();
        if self.tenants.get(tenant).is_some_and(is_empty) {
            self.tenants.remove(tenant);
        }
    }

    /// Who is there.
    pub(super) fn people(&self, tenant: &TenantId) -> Vec<Somebody> {
        let people = self.tenants.get(tenant).map(|tenant| &tenant.people);
        let people = people.into_iter().flatten();
        people.map(|(user, person)| person.somebody(user)).collect()
    }

    /// Who views a patient, or any.
    pub(super) fn viewers(&self, tenant: &TenantId, patient: Option<&PatientId>) -> Vec<Viewer> {
        let views = self.tenants.get(tenant).map(|tenant| &tenant.views);
        let wanted = |of: &PatientId| patient.is_none_or(|patient| of == patient);
        let views = views.into_iter().flatten().filter(|((of, _), _)| wanted(of));
        let viewer = |((patient, user), view): (&(PatientId, UserId), &View)| {
            Some(Viewer {
                user: user.clone(),
                name: view.name.clone(),
                patient: patient.clone(),
                started_at: view.announced?,
            })
        };
        views.filter_map(viewer).collect()
    }
}

#[cfg(test)]
mod tests;
