//! Contract B against the real server: a clinic's EHR, and another clinic beside it that must hear nothing.

mod changes;
mod clients;
mod documentation;
mod handshake;
mod once;
mod outage;
mod presence;
mod recovery;
mod rest;
mod tenants;
mod threads;
mod typing;

use serde_json::{Map, Value, json};
use wardbell::clock::Clock;
use wardbell::domain::Timestamp;

use super::support::server::Builder;
use super::support::socket::Refusal;
use super::support::{Client, Packet, Rest, TestServer, Visitor, in_time};

/// The secret of the EHR's tokens.
pub(crate) const EHR_SECRET: &str = "the-ehrs-own-secret-0123456789abcdef";
/// What the server's clock says in these tests, as the contract writes it.
pub(crate) const NOW: &str = "2026-02-15T10:30:00.123Z";

/// Somebody who works with an EHR.
#[derive(Clone, Debug)]
pub(crate) struct Staff {
    pub(crate) tenant: String,
    pub(crate) user: String,
    claims: Map<String, Value>,
}

/// This user of this clinic.
pub(crate) fn staff(tenant: &str, user: &str) -> Staff {
    Staff {
        tenant: tenant.to_owned(),
        user: user.to_owned(),
        claims: Map::new(),
    }
}

impl Staff {
    /// With this claim in the token; `null` leaves it out.
    pub(crate) fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims.insert(claim.to_owned(), value);
        self
    }

    pub(crate) fn token(&self, now: Timestamp) -> String {
        self.token_signed_with(now, EHR_SECRET)
    }

    pub(crate) fn token_signed_with(&self, now: Timestamp, secret: &str) -> String {
        let mut claims = json!({
            "id": self.user, "tenantId": self.tenant, "role": "provider", "email": format!("{}@clinic.example", self.user),
            "fullName": format!("Dr. {}", self.user), "iat": now.as_secs(), "exp": now.as_secs() + 900, "iss": "derm-app",
        });
        for (claim, value) in &self.claims {
            claims[claim] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    }
}

/// A server with contract B on, and what its clients and backends use.
pub(crate) struct Clinic {
    pub(crate) server: TestServer,
}

impl Clinic {
    pub(crate) fn builder() -> Builder {
        TestServer::builder()
            .set("JWT_SECRET", EHR_SECRET)
            .set("WARDBELL__EHR__ISSUER", "derm-app")
            .set("WARDBELL__EHR__PRESENCE_GRACE", "300ms")
    }

    pub(crate) async fn start() -> Self {
        Self::of(Self::builder()).await
    }

    pub(crate) async fn of(builder: Builder) -> Self {
        let server = builder.start().await;
        Self { server }
    }

    /// This person at the door, as the pages come.
    pub(crate) fn visitor(&self, who: &Staff) -> Visitor {
        let auth = json!({"token": who.token(self.server.clock.now()), "tenantId": who.tenant});
        self.server.visitor().auth(auth)
    }

    /// Connects them, and waits until their listeners are there.
    pub(crate) async fn connect(&self, who: &Staff) -> Client {
        let mut client = self.visitor(who).attempt_without_greeting().await.unwrap();
        until(&mut client, "message:unread-count").await;
        client
    }

    /// The text with which somebody is refused.
    pub(crate) async fn refused(visitor: Visitor) -> String {
        match visitor.attempt_without_greeting().await {
            Err(Refusal::Connect(error)) => error["message"].as_str().unwrap().to_owned(),
            Err(other) => panic!("not refused by CONNECT_ERROR: {other:?}"),
            Ok(_) => panic!("not refused"),
        }
    }

    /// Their backend, with their token.
    pub(crate) fn rest(&self, who: &Staff) -> Rest {
        let rest = self.server.rest().token(&who.token(self.server.clock.now()));
        rest.header("x-tenant-id", &who.tenant)
    }

    /// Says who takes part in a thread.
    pub(crate) async fn thread(&self, who: &Staff, thread: &str, participants: &[&str]) {
        let path = format!("/api/messaging/{thread}/participants");
        let body = json!({"participants": participants});
        self.rest(who).put(&path, &body).await.expect(202);
    }

    /// Everything that is on its way to this client, by a marker that comes behind it.
    pub(crate) async fn heard(&self, client: &mut Client, who: &Staff) -> Vec<(String, Value)> {
        let marker = json!({"event": "claim:paid", "entity": {"marker": true}, "room": format!("user:{}", who.user)});
        self.rest(who).post("/api/events", &marker).await.expect(202);
        let mut heard = Vec::new();
        loop {
            match next(client).await {
                (name, _) if name == "claim:paid" => return heard,
                event => heard.push(event),
            }
        }
    }
}

/// The next event, and its payload.
pub(crate) async fn next(client: &mut Client) -> (String, Value) {
    match client.next("an event").await {
        Packet::Event(name, mut arguments) => (name, arguments.remove(0)),
        other => panic!("instead of an event: {other:?}"),
    }
}

/// Waits for this event, whatever comes before; its payload.
pub(crate) async fn until(client: &mut Client, event: &str) -> Value {
    in_time(event, async {
        loop {
            let (name, payload) = next(client).await;
            if name == event {
                return payload;
            }
        }
    })
    .await
}

/// Waits for this event about this user.
pub(crate) async fn until_about(client: &mut Client, event: &str, user: &str) -> Value {
    loop {
        let payload = until(client, event).await;
        if payload["userId"] == user {
            return payload;
        }
    }
}

/// The names of events.
pub(crate) fn names(heard: &[(String, Value)]) -> Vec<&str> {
    heard.iter().map(|(name, _)| name.as_str()).collect()
}

/// Client events that the server says it has dropped.
pub(crate) async fn dropped(server: &TestServer) -> u64 {
    let text = server.rest().get("/metrics").await.text;
    let name = "wardbell_ehr_client_events_dropped_total ";
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map_or(0, |count| count.parse().unwrap())
}

/// A whole appointment.
pub(crate) fn appointment(id: &str) -> Value {
    json!({
        "id": id, "patientId": "P1", "patientName": "Erika M.", "providerId": "D1", "locationId": "L1",
        "scheduledStart": "2026-02-16T09:00:00.000Z", "scheduledEnd": "2026-02-16T09:30:00.000Z",
        "status": "scheduled", "appointmentTypeId": "T1",
    })
}

/// A whole message.
pub(crate) fn message(id: &str, thread: &str, sender: &str) -> Value {
    json!({"id": id, "threadId": thread, "body": "Please call back", "sender": sender, "createdAt": NOW})
}
