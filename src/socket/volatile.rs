//! Tells sockets of this node something that is no event of ours: now or never, without a position.
//!
//! Whoever tells speaks to the clients of one contract only. A room's name decides nothing about that: whatever is named, a
//! socket of the other contract does not hear it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;
use socketioxide::operators::BroadcastOperators;
use socketioxide::socket::Sid;

use super::SocketServer;
use super::delivery::TURN;
use super::guests::Who;
use super::hub::Hub;
use super::rooms::Form;
use super::told::Told;
use crate::domain::RoomName;
use crate::ports::{Published, Volatile};

/// The contract whose clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Ours,
    Guests,
}

impl Audience {
    fn has(self, who: &Who) -> bool {
        match who {
            Who::Ours(_) => self == Self::Ours,
            Who::Guest(_) => self == Self::Guests,
        }
    }
}

/// Tells the clients of one contract.
pub struct Voice {
    hub: Arc<Hub>,
    io: SocketIo,
    audience: Audience,
}

impl SocketServer {
    /// Tells clients of our own contract, and nobody else.
    pub fn voice_to_ours(&self) -> Voice {
        self.voice(Audience::Ours)
    }

    /// Tells clients of the other contract, and nobody else.
    pub fn voice_to_guests(&self) -> Voice {
        self.voice(Audience::Guests)
    }

    fn voice(&self, audience: Audience) -> Voice {
        Voice {
            hub: Arc::clone(&self.hub),
            io: self.io.clone(),
            audience,
        }
    }
}

#[async_trait]
impl Volatile for Voice {
    async fn tell(&self, published: &Published) {
        let Published {
            event,
            arguments,
            rooms,
            except,
        } = published;
        let is_for_everybody = rooms.is_empty();
        let sockets: Vec<SocketRef> = if is_for_everybody {
            self.io.of("/").map(BroadcastOperators::sockets).unwrap_or_default()
        } else {
            self.sockets_in(rooms).into_values().collect()
        };
        let left_out: HashSet<Sid> = self.sockets_in(except).into_keys().collect();
        let told = Told::new(event, arguments.iter().map(|argument| &**argument), None);
        for chunk in sockets.chunks(TURN) {
            for socket in chunk.iter().filter(|socket| !left_out.contains(&socket.id)) {
                let Some(member) = self.hub.member_of(socket) else {
                    continue;
                };
                if !self.audience.has(&member.who) {
                    // Everybody means everybody of one contract; whoever named a room or a socket meant somebody else.
                    if !is_for_everybody {
                        self.hub.metrics.withheld.inc();
                    }
                    continue;
                }
                if !member.tell(socket, &told) {
                    tracing::debug!(conn.id = member.conn.id, "a socket was gone before it was told");
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Voice {
    /// Who is in one of these rooms. As in every Socket.IO server, a socket's id is a room of its own.
    fn sockets_in(&self, rooms: &[String]) -> HashMap<Sid, SocketRef> {
        let names: Vec<RoomName> = rooms.iter().map(|room| RoomName::from(room.as_str())).collect();
        let tallies = self.hub.rooms.of(&names);
        let listeners = tallies
            .iter()
            .flat_map(|(_, tally)| [tally.listeners(Form::Plain), tally.listeners(Form::Positioned)]);
        let conns: HashSet<u64> = listeners
            .flat_map(|listeners| listeners.iter().map(|(_, conn)| conn.id).collect::<Vec<_>>())
            .collect();
        let members = conns.into_iter().filter_map(|conn| self.hub.members.on(conn));
        let ids = members.map(|member| member.sid);
        let alone = rooms.iter().filter_map(|room| room.parse().ok());
        let sockets = ids.chain(alone).filter_map(|id| self.io.get_socket(id));
        sockets.map(|socket| (socket.id, socket)).collect()
    }
}
