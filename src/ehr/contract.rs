//! Who is let in as a client of the EHR (contract B, §1).

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::party::Client;
use super::shared::Shared;
use super::token::{self, Person, Verified};
use super::{events, rooms};
use crate::domain::{PatientId, ThreadId, Timestamp};
use crate::ports::{Contract, Guest, Hello, Lasting};

/// What pages say instead of a token that they are not shown: it is in the cookie.
const PLACEHOLDERS: [&str; 4] = ["", "__http_only_cookie__", "cookie", "__cookie__"];

pub(super) const JOIN_THREAD: &str = "message:join-thread";
pub(super) const LEAVE_THREAD: &str = "message:leave-thread";

/// Contract B at the door.
pub(super) struct Door(pub(super) Arc<Shared>);

impl Door {
    /// The token that the client brings, in its `auth` or in the cookie.
    fn token<'a>(&self, hello: &Hello<'a>) -> Option<&'a str> {
        match hello.auth.get("token") {
            Some(Value::String(token)) if !PLACEHOLDERS.contains(&token.as_str()) => Some(token),
            Some(Value::Null | Value::String(_)) | None => self.cookie(hello.cookies?),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
        }
    }

    fn cookie<'a>(&self, cookies: &'a str) -> Option<&'a str> {
        let named = |cookie: &'a str| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == self.0.settings.cookie).then_some(value.trim_matches('"'))
        };
        cookies.split(';').find_map(named).filter(|token| !token.is_empty())
    }
}

impl Contract for Door {
    fn is_for(&self, hello: &Hello<'_>) -> bool {
        hello.auth.get("tenantId").is_some() || self.token(hello).and_then(token::claimed_tenant).is_some()
    }

    fn admit(&self, hello: &Hello<'_>, now: Timestamp) -> Result<Guest, &'static str> {
        // The order and the texts are API: the pages look for them, and do not come again.
        let token = self.token(hello).ok_or("Authentication token required")?;
        let tenant = hello.auth.get("tenantId").and_then(token::text);
        let tenant = tenant.ok_or("Tenant ID required")?;
        let verified = self.0.tokens.verify(token, now);
        let Verified { person, expires_at } = verified.or(Err("Invalid authentication token"))?;
        if person.tenant.as_str() != tenant {
            return Err("Invalid tenant ID");
        }
        Ok(Guest {
            owner: owner(&person),
            expires_at: Some(expires_at),
            rooms: vec![rooms::tenant(&person.tenant), rooms::user(&person.tenant, &person.user)],
            party: Arc::new(Client::new(Arc::clone(&self.0), person)),
        })
    }

    fn events(&self) -> &'static [&'static str] {
        &[
            JOIN_THREAD,
            LEAVE_THREAD,
            events::MESSAGE_TYPING,
            events::USER_STATUS,
            events::PATIENT_VIEWING,
        ]
    }

    fn lasting(&self, event: &str, payload: &Value) -> Option<Lasting> {
        lasting(event, payload)
    }

    fn dropped(&self) {
        self.0.drop_one();
    }
}

/// What a client says that it begins or ends. That somebody stopped must never be what is dropped: nobody would say it again.
pub(super) fn lasting(event: &str, payload: &Value) -> Option<Lasting> {
    let text = |field: &str| payload.get(field).and_then(token::text);
    let (what, field) = match event {
        events::MESSAGE_TYPING => (
            ThreadId::parse(&text("threadId")?).ok()?.as_str().to_owned(),
            "isTyping",
        ),
        events::PATIENT_VIEWING => (
            PatientId::parse(&text("patientId")?).ok()?.as_str().to_owned(),
            "isViewing",
        ),
        _ => return None,
    };
    let goes_on = payload.get(field)?.as_bool()?;
    Some(if goes_on {
        Lasting::Begins(what)
    } else {
        Lasting::Ends(what)
    })
}

/// Whose session it is. Owners of contract A begin with a user's id, which has no control character.
fn owner(person: &Person) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in ["\u{2}ehr", person.tenant.as_str(), person.user.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize().into()
}
