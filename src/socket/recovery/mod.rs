//! Connection state recovery: a client that comes back gets its rooms and every event that it missed, in order, once.
//!
//! # Clients that send `{pid, offset}`
//! Stock `socket.io-client` (since 4.6) does so by itself once CONNECT gave it a `pid` ([`shim`]) and events carry their
//! position as the last argument. Its session is committed before CONNECT is answered and each join before `room_joined`, so
//! that it outlives this process. Of each room, what was published after the later of the client's offset and its joining is
//! owed to it; a client that never received an event sends no offset and is owed everything since it joined. Whoever was
//! connected for a while has got everything up to some time ago, as its answers to pings prove, and the session says so now
//! and then: a quiet client is not held to what it heard days ago.
//!
//! A `pid` that is unknown, or was given to another identity (which looks the same from outside), or whose session could not
//! be kept up to date, gets a fresh session: `recovered === false`. So does one that is owed events which the log may not
//! have any more; both are told `recovery_gap {since}`: everything after that instant may be missing, and where nobody knows
//! the instant it is `null`. There is no partial recovery.
//!
//! # Clients that send `{lastEventId}`
//! Any client may come with `auth: {lastEventId}`, the `event_id` of the last event it knows. It joins its rooms by itself
//! as always; of each it first gets what was published after that event, then `room_joined`, then what happens. It keeps the
//! account of what it has: when it is cut off half way, it comes back with a later `lastEventId` and joins again.

mod copies;
mod offset;
mod recent;
mod replay;
mod sessions;
pub mod shim;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub(super) use offset::Offset;
pub(super) use recent::Recent;
pub(super) use replay::{Interrupted, replay_room, replay_session};
pub(super) use sessions::{Committed, Sessions};

use super::guests::Who;
use super::hub::Hub;
use super::member::{Card, Member};
use super::rooms::Form;
use crate::domain::access::Identity;
use crate::domain::{EventId, Position, RoomName, Timestamp};
use crate::ports::{Session, SessionChange, StoreError};
use crate::telemetry::ResultLabel;

/// How long a client that knows a later event than this server may wait for the server to catch up.
const REPUBLISHING: Duration = Duration::from_secs(3);

/// How a socket begins.
pub(super) struct Beginning {
    pub(super) member: Arc<Member>,
    /// What it missed and cannot be sent.
    pub(super) gap: Option<Gap>,
}

/// Some events were missed and cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// After which instant; `None`: nobody knows.
    pub(super) since: Option<Timestamp>,
}

/// What a client that comes back says it has.
struct Claim<'a> {
    pid: Option<&'a str>,
    offset: Option<&'a Value>,
    last_event_id: Option<&'a str>,
}

/// Why a session is not taken up.
enum Denied {
    /// It does not exist for this identity.
    Refused,
    /// What it is owed may be gone; since when, if anybody knows.
    Gap(Option<Timestamp>),
    /// The store cannot say.
    Unavailable(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

/// Gives a socket the session that it comes back for, or a fresh one.
///
/// `rooms` are those that it is in from the beginning: a client of the other contract. It is told of what happens in them as
/// if it had come back for that, once its listeners are there.
pub(super) async fn begin(
    hub: &Arc<Hub>,
    mut card: Card,
    rooms: &[RoomName],
    understands: bool,
    auth: &Value,
) -> Beginning {
    let claim = Claim {
        pid: auth.get("pid").and_then(Value::as_str),
        offset: auth.get("offset").filter(|offset| !offset.is_null()),
        last_event_id: auth.get("lastEventId").and_then(Value::as_str),
    };
    let is_promised = understands && hub.settings.is_recovery_on;
    let mut gap = None;

    if let Some(pid) = claim.pid.filter(|_| is_promised) {
        let (result, denied) = match session_for(hub, pid, &card, claim.offset).await {
            Ok((session, held_since)) if card.conn.give_pid(session.pid.clone()) => {
                card.form = Form::Positioned;
                let member = Member::new(Arc::clone(hub), card);
                member.take_up_session(&session, held_since);
                if let Some(before) = hub.sessions.hold(&session.pid, &member) {
                    before.replaced();
                }
                drop(member.rewrite_session(hub.clock.now()));
                count(hub, "recovered");
                return Beginning { member, gap: None };
            }
            // Or a second CONNECT on one connection: the one with a pid has gone by.
            Ok(_) | Err(Denied::Refused) => ("refused", Gap { since: None }),
            Err(Denied::Gap(since)) => ("gap", Gap { since }),
            Err(Denied::Unavailable(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not read a session");
                ("unavailable", Gap { since: None })
            }
        };
        count(hub, result);
        gap = Some(denied);
    }

    let is_ours = matches!(card.who, Who::Ours(_));
    let member = fresh(hub, card, rooms, is_promised).await;
    if let Some(id) = claim.last_event_id.filter(|_| is_ours) {
        gap = match position_after(hub, id).await {
            Ok(position) => {
                count(hub, "recovered");
                member.resume_after(position);
                None
            }
            Err(since) => {
                count(hub, "gap");
                Some(Gap { since })
            }
        };
    }
    Beginning { member, gap }
}

/// A socket with a fresh session, if it is promised one and the store keeps it.
async fn fresh(hub: &Arc<Hub>, mut card: Card, rooms: &[RoomName], is_promised: bool) -> Arc<Member> {
    card.form = Form::Plain;
    let began_at = hub.recent.last();
    let rooms: BTreeMap<RoomName, Position> = rooms.iter().map(|room| (room.clone(), began_at)).collect();
    let in_rooms = |member: Arc<Member>| {
        if let Who::Guest(_) = member.who {
            member.catch_up_in(&rooms);
        }
        member
    };
    if is_promised {
        let (pid, held_since) = (new_pid(), hub.clock.now());
        let session = Session {
            pid: pid.clone(),
            owner: card.owner,
            began_at,
            rooms: rooms.clone(),
            seen_at: held_since,
        };
        let is_stored = hub
            .sessions
            .save(Some(SessionChange::Open(session.clone())))
            .wait()
            .await;
        // A store that is away gets it when it is back, from whoever holds it then.
        let is_kept = is_stored || hub.sessions.copies.keep(&session, held_since).await;
        if is_kept && card.conn.give_pid(pid.clone()) {
            card.form = Form::Positioned;
            let member = Member::new(Arc::clone(hub), card);
            member.open_session(pid.clone(), began_at, held_since);
            hub.sessions.hold(&pid, &member);
            hub.sessions.copies.note_changed(&pid);
            return in_rooms(member);
        }
    }
    in_rooms(Member::new(Arc::clone(hub), card))
}

/// The session as it can be taken up: of the rooms those that this identity may still be in, each with the position after
/// which its events are owed; and since when it is held from now on.
async fn session_for(
    hub: &Hub,
    pid: &str,
    Card { who, owner, .. }: &Card,
    offset: Option<&Value>,
) -> Result<(Session, Timestamp), Denied> {
    if !shim::is_pid(pid) {
        return Err(Denied::Refused);
    }
    if hub.sessions.holder(pid).is_some_and(|holder| holder.owner == *owner) {
        // Its last join may still be on its way to the store.
        hub.sessions.settled().await;
    }
    let (mut session, held_since) = kept_session(hub, pid, owner).await?;
    let offset: Option<Offset> = match offset {
        None => None,
        Some(Value::String(offset)) => Some(offset.parse().or(Err(Denied::Refused))?),
        Some(_) => return Err(Denied::Refused),
    };
    // After a crash, what was delivered and not noted as published is published again; the client may be back before that.
    // Otherwise it is a position that was never given: made up, or from before this server lost its log.
    let offset = match offset {
        None => None,
        Some(offset) => {
            let reached = tokio::time::timeout(REPUBLISHING, hub.recent.reaches(offset.position));
            if reached.await.is_err() {
                return Err(Denied::Gap(offset.event.and_then(offset::raised_at)));
            }
            Some(offset.owed_after(hub).await?)
        }
    };

    let mut rooms = BTreeMap::new();
    for (name, at) in session.rooms {
        let may_be_in = match who.may_be_in(&name, &*hub.access).await {
            // It was let in when that could be found out, and has not left since.
            Err(StoreError::Unavailable(_)) => true,
            answer => answer?,
        };
        if may_be_in {
            rooms.insert(name, offset.map_or(at, |offset| offset.max(at)));
        }
    }
    let in_memory = hub.recent.reaches_back_to();
    let is_beyond_memory = rooms.values().any(|owed_after| *owed_after < in_memory);
    // What is in memory needs no store, which may be away.
    let horizon = if is_beyond_memory {
        hub.store.horizon().await?
    } else {
        Position::START
    };
    if rooms.values().any(|owed_after| *owed_after < horizon) {
        // Before it was last seen it may have been deaf for as long as a heartbeat takes to find out.
        let deaf = hub.settings.ping_interval + hub.settings.ping_timeout;
        return Err(Denied::Gap(Some(session.seen_at.minus(deaf))));
    }
    session.rooms = rooms;
    Ok((session, held_since))
}

/// The session as it is kept: in the store, beside it, or in both. What only one of them knows counts, as far back as either
/// says that it is owed: a change may have reached one of them alone.
///
/// Also since when it is held from now on: later than it was so far, by whichever clock.
async fn kept_session(hub: &Hub, pid: &str, owner: &[u8; 32]) -> Result<(Session, Timestamp), Denied> {
    let (stored, copy) = tokio::join!(hub.store.session(pid), hub.sessions.copies.copy(pid));
    let copy = copy.filter(|(session, _)| session.owner == *owner);
    let before = copy.as_ref().map(|(_, held_since)| held_since.as_micros());
    let now = hub.clock.now().as_micros();
    let held_since = Timestamp::from_micros(before.map_or(now, |before| now.max(before.saturating_add(1))));
    let stored = match stored {
        Ok(stored) => stored.filter(|session| session.owner == *owner && hub.sessions.is_trusted(pid)),
        Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) if copy.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    match (stored, copy) {
        (Some(mut session), Some((copy, _))) => {
            for (room, at) in copy.rooms {
                let owed_after = session.rooms.entry(room).or_insert(at);
                *owed_after = at.min(*owed_after);
            }
            session.seen_at = session.seen_at.max(copy.seen_at);
            Ok((session, held_since))
        }
        (Some(session), None) | (None, Some((session, _))) => Ok((session, held_since)),
        (None, None) => Err(Denied::Refused),
    }
}

/// The position of the event that a client knows last. `Err`: it cannot be told what came after; since when, if the id says.
async fn position_after(hub: &Hub, id: &str) -> Result<Position, Option<Timestamp>> {
    let id: EventId = id.parse().or(Err(None))?;
    let raised_at = offset::raised_at(id);
    let found = async { Ok::<_, StoreError>((hub.store.position_of(id).await?, hub.store.horizon().await?)) };
    match found.await {
        Ok((Some(position), horizon)) if position >= horizon => Ok(position),
        Ok(_) => Err(raised_at),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not find a client's last event"
            );
            Err(raised_at)
        }
    }
}

fn count(hub: &Hub, result: &'static str) {
    hub.metrics.recoveries.get_or_create(&ResultLabel { result }).inc();
}

/// 244 random bits: nobody guesses it.
fn new_pid() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whose session one of our own clients has. A fresh token of the same person is the same owner; another role, hospital or kind of proof is not.
pub(super) fn owner(identity: &Identity) -> [u8; 32] {
    let Identity {
        user_id,
        role,
        hospital_id,
        staff_id,
        patient_id,
        name: _,
        proof,
    } = identity;
    let proof = match proof {
        crate::domain::access::Proof::Token => "token",
        crate::domain::access::Proof::Claimed => "claimed",
        crate::domain::access::Proof::Open => "open",
    };
    let mut hash = Sha256::new();
    let parts = [
        Some(user_id.as_str()),
        Some(role.as_str()),
        hospital_id.as_ref().map(crate::domain::HospitalId::as_str),
        staff_id.as_ref().map(crate::domain::StaffId::as_str),
        patient_id.as_ref().map(crate::domain::PatientId::as_str),
        Some(proof),
    ];
    for part in parts {
        // Ids have no control characters: what is not there differs from what is empty, and no two lists run together.
        hash.update(part.map_or("\u{1}", |part| part));
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Writes a session anew that nobody here holds: whoever held it has gone, perhaps to another node, which has copied it.
async fn write_last_copy(hub: &Hub, pid: String) -> Committed {
    let copy = hub.sessions.copies.copy(&pid).await;
    if hub.sessions.holder(&pid).is_some() {
        return Committed::nothing(); // taken up meanwhile: its holder knows better, the next time
    }
    let change = match copy {
        Some((session, _)) => SessionChange::Open(session),
        None => SessionChange::Forget { pid },
    };
    hub.sessions.save(Some(change))
}

/// Keeps the sessions of connected sockets fresh, and writes anew those that could not be kept.
pub(super) struct Upkeep {
    next_refresh: Instant,
    /// Where the log ended when.
    ends: VecDeque<(Instant, Position)>,
}

impl Upkeep {
    /// How often to look for sessions that are behind.
    pub(super) const EVERY: Duration = Duration::from_secs(1);
    /// How often a connected socket's session is written with what it is known to have got.
    const REFRESH: Duration = Duration::from_mins(15);
    /// Sessions that are written together.
    const PART: usize = 128;

    pub(super) fn new() -> Self {
        Self {
            next_refresh: Instant::now() + Self::REFRESH,
            ends: VecDeque::new(),
        }
    }

    /// Does what is due.
    pub(super) async fn tick(&mut self, hub: &Hub) {
        for (pid, holder) in hub.sessions.behind() {
            let written = match holder {
                Some(member) => member.rewrite_session(hub.clock.now()),
                None => write_last_copy(hub, pid).await,
            };
            if !written.wait().await {
                break; // the store is still down
            }
        }
        let now = Instant::now();
        if now >= self.next_refresh {
            self.next_refresh = now + Self::REFRESH;
            self.refresh(hub, now).await;
        }
    }

    /// Who is still connected has answered a ping that was sent after everything that was delivered a heartbeat ago.
    async fn refresh(&mut self, hub: &Hub, now: Instant) {
        let heartbeat = hub.settings.ping_interval + hub.settings.ping_timeout;
        self.ends.push_back((now, hub.recent.last()));
        // Twice as long, because the library skips pings while it upgrades a transport.
        let Some(&(noted, end)) = self
            .ends
            .iter()
            .rev()
            .find(|(noted, _)| now.duration_since(*noted) > 2 * heartbeat)
        else {
            return;
        };
        while self.ends.front().is_some_and(|(older, _)| *older < noted) {
            self.ends.pop_front();
        }
        // A part at a time: the changes of a part share a commit, and joins of others come in between.
        for part in hub.members.all().chunks(Self::PART) {
            let at = hub.clock.now();
            let written: Vec<Committed> = part
                .iter()
                .map(|member| member.advance_session((noted, end), at))
                .collect();
            for written in written {
                if !written.wait().await {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::open_identity;
    use crate::domain::access::{Proof, Role};
    use crate::domain::{HospitalId, StaffId};

    #[test]
    fn a_session_belongs_to_one_identity() {
        let open = open_identity();
        let others = [
            Identity {
                role: Role::Nurse,
                ..open.clone()
            },
            Identity {
                proof: Proof::Claimed,
                ..open.clone()
            },
            Identity {
                hospital_id: HospitalId::parse("h1").ok(),
                ..open.clone()
            },
            Identity {
                staff_id: StaffId::parse("h1").ok(),
                ..open.clone()
            },
        ];

        for (i, other) in others.iter().enumerate() {
            assert_ne!(owner(&open), owner(other));
            assert!(others.iter().skip(i + 1).all(|another| owner(another) != owner(other)));
        }
        assert_eq!(
            owner(&open),
            owner(&Identity {
                name: Some("Ada".to_owned()),
                ..open.clone()
            })
        );
    }

    #[test]
    fn pids_are_long_and_can_be_written_into_connect() {
        let (one, other) = (new_pid(), new_pid());

        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert!(shim::is_pid(&one));
    }
}
