//! Tells sockets of this node something that is no event of ours: now or never, without a position.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde::ser::{Serialize, SerializeTuple, Serializer};
use serde_json::value::RawValue;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Sid;

use super::guests::Who;
use super::rooms::Form;
use super::{Arrival, SocketServer};
use crate::domain::RoomName;
use crate::ports::{Published, Volatile};

/// Sockets that are told before others get a turn.
const AT_ONCE: usize = 256;

/// The arguments of an event, as many as there are.
struct Arguments<'a>(&'a [Box<RawValue>]);

impl Serialize for Arguments<'_> {
    /// A tuple: that is what the library takes apart into arguments.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

#[async_trait]
impl Volatile for SocketServer {
    async fn tell(&self, published: &Published) {
        let Published {
            event,
            arguments,
            rooms,
            except,
        } = published;
        let sockets: Vec<SocketRef> = if rooms.is_empty() {
            let everybody = self.io.of("/").map(BroadcastOperators::sockets).unwrap_or_default();
            everybody.into_iter().filter(is_ours).collect()
        } else {
            sockets_in(&self.io, rooms).into_values().collect()
        };
        let left_out: HashSet<Sid> = sockets_in(&self.io, except).into_keys().collect();
        let bytes = arguments.iter().map(|argument| argument.get().len() as u64).sum();
        for chunk in sockets.chunks(AT_ONCE) {
            for socket in chunk.iter().filter(|socket| !left_out.contains(&socket.id)) {
                let Some(Arrival { member, .. }) = socket.extensions.get::<Arrival>() else {
                    continue;
                };
                member.note_sent(bytes);
                if socket.emit(event, &Arguments(arguments)).is_err() {
                    tracing::debug!(conn.id = member.conn.id, "a socket was gone before it was told");
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Everybody means everybody of our own contract.
fn is_ours(socket: &SocketRef) -> bool {
    let arrival = socket.extensions.get::<Arrival>();
    arrival.is_some_and(|arrival| matches!(arrival.member.who, Who::Ours(_)))
}

/// Who is in one of these rooms. As in every Socket.IO server, a socket's id is a room of its own.
fn sockets_in(io: &SocketIo, rooms: &[String]) -> HashMap<Sid, SocketRef> {
    let mut found = HashMap::new();
    let Some(everybody) = io.of("/").filter(|_| !rooms.is_empty()) else {
        return found;
    };
    let forms = |room: &String| {
        let room = RoomName::from(room.as_str());
        [Form::Plain.room(&room), Form::Positioned.room(&room)]
    };
    let names: Vec<String> = rooms.iter().flat_map(forms).collect();
    let members = everybody.within(names).sockets();
    let alone = rooms.iter().filter_map(|room| io.get_socket(room.parse().ok()?));
    found.extend(members.into_iter().chain(alone).map(|socket| (socket.id, socket)));
    found
}
