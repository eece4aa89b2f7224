//! What is done to a server, and which figures are told of it.

use super::load::Rhythm;
use super::member::Transport;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    ConnectsPerSecond,
    CpuPerConnect,
    MemoryPerConnection,
    JoinsPerSecond,
    CpuPerJoin,
    DeliveriesPerSecond,
    CpuPerDelivery,
    PostsPerSecond,
    CpuPerPost,
    P50,
    P99,
    P999,
    LastP50,
    LastP99,
    AnswerP50,
    AnswerP99,
    Resident,
    Peak,
    Refused,
    ClosedByServer,
    ServerBusy,
    GeneratorBusy,
}

impl Figure {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::ConnectsPerSecond => "connects/s",
            Self::CpuPerConnect => "CPU µs/connect",
            Self::MemoryPerConnection => "KB/connection",
            Self::JoinsPerSecond => "joins/s",
            Self::CpuPerJoin => "CPU µs/join",
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::CpuPerDelivery => "CPU µs/delivery",
            Self::PostsPerSecond => "POST/s",
            Self::CpuPerPost => "CPU µs/POST",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::P999 => "p99.9 ms",
            Self::LastP50 => "last member p50 ms",
            Self::LastP99 => "last member p99 ms",
            Self::AnswerP50 => "answer p50 ms",
            Self::AnswerP99 => "answer p99 ms",
            Self::Resident => "resident MB",
            Self::Peak => "peak MB",
            Self::Refused => "refused",
            Self::ClosedByServer => "closed, recovered",
            Self::ServerBusy => "server busy",
            Self::GeneratorBusy => "generator busy",
        }
    }

    pub(crate) const fn decimals(self) -> usize {
        match self {
            Self::ConnectsPerSecond
            | Self::JoinsPerSecond
            | Self::DeliveriesPerSecond
            | Self::PostsPerSecond
            | Self::Refused
            | Self::ClosedByServer => 0,
            Self::CpuPerConnect | Self::CpuPerPost | Self::MemoryPerConnection | Self::Resident | Self::Peak => 1,
            Self::CpuPerJoin
            | Self::CpuPerDelivery
            | Self::P50
            | Self::P99
            | Self::P999
            | Self::LastP50
            | Self::LastP99
            | Self::AnswerP50
            | Self::AnswerP99
            | Self::ServerBusy
            | Self::GeneratorBusy => 2,
        }
    }
}

/// What happens once everybody is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Nothing,
    Post(Rhythm),
    /// For half an hour, while clients come and go.
    Soak,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Peers,
    Nodes,
    WardbellAlone,
}

/// One measurement. Those of one title are rows of one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What makes it another row than its siblings.
    pub(crate) label: &'static str,
    pub(crate) connections: u32,
    /// Of these, how many are in rooms.
    pub(crate) members: u32,
    pub(crate) rooms: u32,
    /// Rooms that each member is in.
    pub(crate) seats: u32,
    pub(crate) transport: Transport,
    pub(crate) has_tokens: bool,
    pub(crate) posters: u32,
    /// POSTs on each connection that need not be answered before the next.
    pub(crate) pipeline: usize,
    pub(crate) act: Act,
    /// Whether the server may answer 503 and close clients, which come back and miss nothing.
    pub(crate) may_shed: bool,
    pub(crate) compared: Compared,
    /// The first is the one that ratios are made of.
    pub(crate) figures: &'static [Figure],
}

const CONNECT: &[Figure] = &[Figure::ConnectsPerSecond, Figure::CpuPerConnect, Figure::GeneratorBusy];
const MEMORY: &[Figure] = &[Figure::MemoryPerConnection, Figure::Resident, Figure::ConnectsPerSecond];
const FANOUT: &[Figure] = &[
    Figure::CpuPerDelivery,
    Figure::DeliveriesPerSecond,
    Figure::ServerBusy,
    Figure::GeneratorBusy,
];
const LATENCY: &[Figure] = &[
    Figure::P50,
    Figure::P99,
    Figure::P999,
    Figure::LastP50,
    Figure::LastP99,
    Figure::AnswerP50,
    Figure::CpuPerDelivery,
];
const INGEST: &[Figure] = &[
    Figure::PostsPerSecond,
    Figure::CpuPerPost,
    Figure::AnswerP50,
    Figure::AnswerP99,
    Figure::ServerBusy,
    Figure::GeneratorBusy,
];
const OVERLOAD: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::PostsPerSecond,
    Figure::Refused,
    Figure::ClosedByServer,
    Figure::LastP99,
    Figure::Peak,
];
const POLLING: &[Figure] = &[
    Figure::CpuPerDelivery,
    Figure::P50,
    Figure::P99,
    Figure::LastP99,
    Figure::ServerBusy,
];
const ROOMS: &[Figure] = &[
    Figure::JoinsPerSecond,
    Figure::CpuPerJoin,
    Figure::MemoryPerConnection,
    Figure::CpuPerDelivery,
];
const SOAK: &[Figure] = &[
    Figure::DeliveriesPerSecond,
    Figure::CpuPerDelivery,
    Figure::P50,
    Figure::P99,
    Figure::Resident,
    Figure::Peak,
];

const LOCK_STEP: Act = Act::Post(Rhythm::Closed { window: Some(1) });
const BACKLOG: Act = Act::Post(Rhythm::Closed { window: Some(8) });
const ENDLESS: Act = Act::Post(Rhythm::Closed { window: None });

/// Websockets that are all in one room, and one connection that posts to it.
const BASE: Scenario = Scenario {
    name: "",
    title: "",
    label: "",
    connections: 1_000,
    members: u32::MAX,
    rooms: 1,
    seats: 1,
    transport: Transport::Websocket,
    has_tokens: false,
    posters: 1,
    pipeline: 1,
    act: Act::Nothing,
    may_shed: false,
    compared: Compared::Peers,
    figures: FANOUT,
};

const fn open(per_second: u32) -> Act {
    Act::Post(Rhythm::Open {
        per_second: per_second as f64,
    })
}

const fn growth(name: &'static str, title: &'static str, label: &'static str) -> Scenario {
    Scenario {
        name,
        title,
        label,
        act: LOCK_STEP,
        ..BASE
    }
}

const MORE_MEMBERS: &str = "Growth: members of one room, lock step";
const MORE_ROOMS: &str = "Growth: rooms, 100 of 1,000 sockets in each, lock step";
const MORE_SOCKETS: &str = "Growth: sockets, 100 of them in the room, lock step";

/// All there is, in the order of the report.
#[rustfmt::skip]
pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "connect10000", title: "Connecting: 10,000 websockets, each with its own token (which only wardbell checks), each joins a room",
        connections: 10_000, rooms: 100, has_tokens: true, figures: CONNECT, ..BASE },
    Scenario { name: "idle5000", title: "Memory: 5,000 idle websockets", connections: 5_000, rooms: 50, figures: MEMORY, ..BASE },
    Scenario { name: "lockstep1000", title: "Fan-out in lock step: the next alert once all 1,000 members have the last", act: LOCK_STEP, ..BASE },
    Scenario { name: "backlog1000", title: "Fan-out under backlog: up to 8 alerts undelivered, 1,000 members", pipeline: 2, act: BACKLOG, ..BASE },
    Scenario { name: "backlog5000", title: "Fan-out under backlog: up to 8 alerts undelivered, 5,000 members",
        connections: 5_000, pipeline: 2, act: BACKLOG, ..BASE },
    Scenario { name: "latency100", title: "Latency: 100 alerts/s to 100 members each, from the scheduled time",
        rooms: 10, posters: 10, act: open(100), figures: LATENCY, ..BASE },
    Scenario { name: "latency1000", title: "Latency: 20 alerts/s to 1,000 members each, from the scheduled time", act: open(20), figures: LATENCY, ..BASE },
    Scenario { name: "ingest0", title: "Ingest: 256 connections that post, nobody listens",
        connections: 0, rooms: 256, posters: 256, act: ENDLESS, figures: INGEST, ..BASE },
    Scenario { name: "ingest1", title: "Ingest: 256 connections that post, one member each",
        connections: 256, rooms: 256, posters: 256, act: ENDLESS, figures: INGEST, ..BASE },
    Scenario { name: "overload1000", title: "Overload: 64 POSTs pipelined without a pause, 1,000 members",
        pipeline: 64, act: ENDLESS, may_shed: true, figures: OVERLOAD, ..BASE },
    Scenario { name: "polling1000", title: "Long polling: 1,000 clients, 10 alerts/s to all",
        transport: Transport::Polling, act: open(10), figures: POLLING, ..BASE },
    Scenario { name: "rooms100", title: "Rooms: 10,000 sockets, each in 100 of 10,000 rooms",
        connections: 10_000, rooms: 10_000, seats: 100, act: LOCK_STEP, figures: ROOMS, ..BASE },
    Scenario { connections: 100, ..growth("members100", MORE_MEMBERS, "100") },
    Scenario { connections: 1_000, ..growth("members1000", MORE_MEMBERS, "1,000") },
    Scenario { connections: 10_000, ..growth("members10000", MORE_MEMBERS, "10,000") },
    Scenario { rooms: 10, ..growth("rooms10", MORE_ROOMS, "10") },
    Scenario { rooms: 100, seats: 10, ..growth("rooms100of1000", MORE_ROOMS, "100") },
    Scenario { rooms: 1_000, seats: 100, ..growth("rooms1000", MORE_ROOMS, "1,000") },
    Scenario { connections: 100, ..growth("sockets100", MORE_SOCKETS, "100") },
    Scenario { connections: 1_000, members: 100, ..growth("sockets1000", MORE_SOCKETS, "1,000") },
    Scenario { connections: 10_000, members: 100, ..growth("sockets10000", MORE_SOCKETS, "10,000") },
    Scenario { name: "nodes", title: "Nodes: 100 members in each of 10 rooms, up to 16 alerts undelivered; one core for all nodes, PostgreSQL and Redis beside the load",
        rooms: 10, posters: 10, act: Act::Post(Rhythm::Closed { window: Some(16) }), compared: Compared::Nodes, ..BASE },
    Scenario { name: "soak", title: "Soak: 200 alerts/s to 90 members each, 2,000 clients that come and go",
        connections: 2_000, rooms: 20, posters: 20, act: Act::Soak, compared: Compared::WardbellAlone, figures: SOAK, ..BASE },
];

impl Scenario {
    /// The rooms of a client, ascending: evenly spread, so that every room has as many members.
    pub(crate) fn rooms_of(&self, client: u32) -> Vec<u32> {
        if client >= self.members {
            return Vec::new();
        }
        let stride = self.rooms / self.seats;
        let mut rooms: Vec<u32> = (0..self.seats)
            .map(|seat| (client + seat * stride) % self.rooms)
            .collect();
        rooms.sort_unstable();
        rooms
    }
}

impl PartialEq for Scenario {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
