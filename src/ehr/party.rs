//! One client of the EHR: what follows from what it says (contract B, §2). Nothing is answered; what cannot be done is
//! dropped and counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::contract::{JOIN_THREAD, LEAVE_THREAD, lasting};
use super::events;
use super::presence::Status;
use super::rooms::{self, Place};
use super::shared::Shared;
use super::token::Person;
use super::typing::{Others, Typing};
use crate::domain::{PatientId, RoomName, ThreadId, UserId};
use crate::ports::{Lasting, Line, Party, Published, StoreError};

/// What could not be done.
struct Dropped;

/// One client.
pub(super) struct Client {
    shared: Arc<Shared>,
    person: Person,
    /// What the nodes call its socket among themselves.
    key: String,
    line: Mutex<Option<Arc<dyn Line>>>,
    typing: Mutex<Typing>,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, person: Person) -> Self {
        let typing = Typing::new(shared.settings.typing_every);
        Self {
            shared,
            person,
            key: Uuid::new_v4().simple().to_string(),
            line: Mutex::default(),
            typing: Mutex::new(typing),
        }
    }

    fn line(&self) -> Option<Arc<dyn Line>> {
        lock(&self.line).clone()
    }

    async fn join_thread(&self, thread: Option<ThreadId>, is_joining: bool) -> Result<(), Dropped> {
        let (thread, line) = (thread.ok_or(Dropped)?, self.line().ok_or(Dropped)?);
        let room = rooms::thread(&self.person.tenant, &thread);
        if !is_joining {
            line.leave(&room).await;
            return Ok(());
        }
        if self.takes_part(&thread).await? && line.join(&room).await {
            Ok(())
        } else {
            Err(Dropped)
        }
    }

    async fn takes_part(&self, thread: &ThreadId) -> Result<bool, Dropped> {
        let participants = self.participants(thread).await.or(Err(Dropped))?;
        Ok(participants.is_some_and(|participants| participants.contains(&self.person.user)))
    }

    async fn participants(&self, thread: &ThreadId) -> Result<Option<Others>, StoreError> {
        let tenant = &self.person.tenant;
        self.shared.mail.participants(&self.shared, tenant, thread).await
    }

    /// Those of a thread, if they are one of them.
    async fn fellows(&self, thread: &ThreadId) -> Result<Others, Dropped> {
        let participants = self.participants(thread).await.or(Err(Dropped))?;
        participants
            .filter(|participants| participants.contains(&self.person.user))
            .ok_or(Dropped)
    }

    async fn types(&self, payload: &Value) -> Result<(), Dropped> {
        let thread = id(payload, "threadId")
            .and_then(|id| ThreadId::parse(&id).ok())
            .ok_or(Dropped)?;
        if flag(payload, "isTyping")? {
            self.begins_to_type(&thread).await
        } else {
            self.stops_typing(&thread).await
        }
    }

    async fn begins_to_type(&self, thread: &ThreadId) -> Result<(), Dropped> {
        let others = self.fellows(thread).await?;
        let left = lock(&self.typing).begins(thread, &others, Instant::now());
        self.tell_typing(thread, &left.ok_or(Dropped)?, false).await;
        self.tell_typing(thread, &*others, true).await;
        Ok(())
    }

    /// Whoever was told that they type hears that they stopped, whatever has become of the thread or the store.
    async fn stops_typing(&self, thread: &ThreadId) -> Result<(), Dropped> {
        let told = lock(&self.typing).ends(thread);
        let others = match told {
            Some(told) => told,
            // Another window of theirs may have told somebody: it is said again, so often.
            None if lock(&self.typing).may_repeat_the_end() => self.fellows(thread).await?,
            None => return Err(Dropped),
        };
        self.tell_typing(thread, &*others, false).await;
        Ok(())
    }

    async fn tell_typing(&self, thread: &ThreadId, others: impl IntoIterator<Item = &UserId>, is_typing: bool) {
        let Person { tenant, user, name } = &self.person;
        let others = others.into_iter().filter(|other| *other != user);
        let rooms: Vec<String> = others
            .map(|other| rooms::user(tenant, other).as_str().to_owned())
            .collect();
        let payload = events::typing(thread.as_str(), user, name, is_typing);
        if let Some(argument) = events::raw(&payload).filter(|_| !rooms.is_empty()) {
            let published = Published {
                event: events::MESSAGE_TYPING.to_owned(),
                arguments: vec![argument],
                rooms,
                except: Vec::new(),
            };
            self.shared.tell_everywhere(&published).await;
        }
    }

    fn says(&self, payload: &Value) -> Result<(), Dropped> {
        let status = match payload.as_str() {
            Some("online") => Status::Online,
            Some("away") => Status::Away,
            Some(_) | None => return Err(Dropped),
        };
        self.shared.presence.says(&self.key, status);
        Ok(())
    }

    async fn views(&self, payload: &Value) -> Result<(), Dropped> {
        let patient = id(payload, "patientId")
            .and_then(|id| PatientId::parse(&id).ok())
            .ok_or(Dropped)?;
        let (is_viewing, line) = (flag(payload, "isViewing")?, self.line().ok_or(Dropped)?);
        let room = rooms::patient(&self.person.tenant, &patient);
        let is_done = if is_viewing {
            line.join(&room).await
        } else {
            // Whoever views a patient is in their room: what has not begun cannot end, however often it is said.
            line.leave(&room).await
        };
        if !is_done {
            return Err(Dropped);
        }
        self.shared.presence.views(&self.key, patient, is_viewing);
        Ok(())
    }

    async fn tell_unread(&self, line: &dyn Line) {
        let Person { tenant, user, .. } = &self.person;
        let mut told = None;
        // What changes while it is told is told as well.
        for _ in 0..3 {
            let Ok(count) = self.shared.store.unread(tenant, user).await else {
                return;
            };
            if told == Some(count) {
                return;
            }
            line.tell(events::UNREAD_COUNT, &events::unread(count, self.shared.clock.now()));
            told = Some(count);
        }
    }

    /// Whether the tenant's clients together may have one event more heard.
    fn is_within_the_tenants_limit(&self, event: &str, payload: &Value) -> bool {
        self.shared.limits.admits(&self.person.tenant) || matches!(lasting(event, payload), Some(Lasting::Ends(_)))
    }
}

#[async_trait]
impl Party for Client {
    async fn may_be_in(&self, room: &RoomName) -> Result<bool, StoreError> {
        let Person { tenant, user, .. } = &self.person;
        match Place::of(room, tenant) {
            None => Ok(false),
            Some(Place::Tenant | Place::Patient(_)) => Ok(true),
            Some(Place::User(whose)) => Ok(whose == *user),
            Some(Place::Thread(thread)) => {
                let participants = self.participants(&thread).await?;
                Ok(participants.is_some_and(|all| all.contains(user)))
            }
        }
    }

    async fn connected(&self, line: Arc<dyn Line>) {
        *lock(&self.line) = Some(Arc::clone(&line));
        // After a recovery it is in rooms of patients: it views them.
        let now = self.shared.clock.now();
        let viewed = line
            .rooms()
            .into_iter()
            .filter_map(|room| match Place::of(&room, &self.person.tenant) {
                Some(Place::Patient(patient)) => Some((patient, now)),
                Some(Place::Tenant | Place::User(_) | Place::Thread(_)) | None => None,
            });
        let viewed: BTreeMap<_, _> = viewed.collect();
        self.shared.presence.came(&self.key, &self.person, line, viewed);
    }

    async fn settled(&self) {
        if let Some(line) = self.line() {
            self.tell_unread(&*line).await;
        }
        self.shared.presence.settled(&self.key);
    }

    async fn hear(&self, event: &str, payload: &Value) {
        let thread = || payload.as_str().and_then(|id| ThreadId::parse(id).ok());
        let done = if self.is_within_the_tenants_limit(event, payload) {
            match event {
                JOIN_THREAD => self.join_thread(thread(), true).await,
                LEAVE_THREAD => self.join_thread(thread(), false).await,
                events::MESSAGE_TYPING => self.types(payload).await,
                events::USER_STATUS => self.says(payload),
                events::PATIENT_VIEWING => self.views(payload).await,
                _ => Err(Dropped),
            }
        } else {
            Err(Dropped)
        };
        if let Err(Dropped) = done {
            self.shared.drop_one();
        }
    }

    async fn heard_last(&self) {
        let typed = lock(&self.typing).ends_everywhere();
        for (thread, told) in typed {
            self.tell_typing(&thread, &*told, false).await;
        }
    }

    fn departed(&self) {
        lock(&self.line).take();
        self.shared.presence.gone(&self.key);
    }
}

/// A field that must be an id.
fn id(payload: &Value, field: &str) -> Option<String> {
    super::token::text(payload.get(field)?)
}

/// A field that must be true or false.
fn flag(payload: &Value, field: &str) -> Result<bool, Dropped> {
    payload.get(field).and_then(Value::as_bool).ok_or(Dropped)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
