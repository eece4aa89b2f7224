//! `[socket]`

use std::time::Duration;

use serde::Deserialize;

use super::section::{Checks, Section};

/// Socket.IO.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// How often clients are pinged.
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    /// How long they may take to answer.
    #[serde(with = "humantime_serde")]
    pub ping_timeout: Duration,
    /// How long a connection may stay without joining the namespace.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The largest message from a client.
    pub max_message_bytes: usize,
    /// What clients may connect over.
    pub transports: Vec<Transport>,
    /// Origins whose pages may speak to this server; `*` is every page.
    pub cors_origins: Vec<String>,
    /// Rooms that one socket may be in.
    pub max_rooms: usize,
    /// Events that one client may send, a second, for long.
    pub events_per_second: u32,
    /// Events that one client may send at once.
    pub events_burst: u32,
    /// Connections that there may be at once.
    pub max_connections: usize,
    /// Events that may wait for a client that takes none.
    pub slow_client_events: u64,
    /// The same in bytes.
    pub slow_client_bytes: u64,
    /// Bytes that may wait for all clients together.
    pub backlog_bytes: u64,
    /// Whether sockets can take up a session again.
    pub recovery: bool,
    /// Whether what happens on the sockets is logged at level debug.
    pub log_events: bool,
}

/// What a client may connect over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// HTTP long polling.
    Polling,
    /// A websocket.
    Websocket,
}

impl Section for Socket {
    fn validate(&self) -> Vec<(&'static str, String)> {
        let bad_origin = self.cors_origins.iter().find(|origin| !is_origin(origin));
        Checks::default()
            .duration(
                "ping_interval",
                self.ping_interval,
                Duration::from_secs(1),
                Duration::from_mins(10),
            )
            .duration(
                "ping_timeout",
                self.ping_timeout,
                Duration::from_secs(1),
                Duration::from_mins(10),
            )
            .duration(
                "connect_timeout",
                self.connect_timeout,
                Duration::from_secs(1),
                Duration::from_mins(10),
            )
            .require(
                "max_message_bytes",
                (1024..=64 * 1024 * 1024).contains(&self.max_message_bytes),
                "must be between 1024 and 67108864 bytes",
            )
            .require(
                "transports",
                !self.transports.is_empty(),
                "must name polling, websocket or both",
            )
            .require(
                "cors_origins",
                bad_origin.is_none(),
                format!(
                    "{:?} is no origin: write scheme and host, such as https://ward.example, or *",
                    bad_origin.map_or("", String::as_str)
                ),
            )
            .require(
                "max_rooms",
                (1..=100_000).contains(&self.max_rooms),
                "must be between 1 and 100000",
            )
            .require("events_per_second", self.events_per_second >= 1, "must be at least 1")
            .require(
                "events_burst",
                self.events_burst >= self.events_per_second,
                "must be at least socket.events_per_second",
            )
            .require("max_connections", self.max_connections >= 1, "must be at least 1")
            .require(
                "slow_client_events",
                self.slow_client_events >= 16,
                "must be at least 16",
            )
            .require(
                "slow_client_bytes",
                self.slow_client_bytes >= MIN_SLOW_CLIENT_BYTES,
                format!(
                    "must be at least {MIN_SLOW_CLIENT_BYTES} bytes: one large event must not close whoever it is for"
                ),
            )
            .require(
                "backlog_bytes",
                self.backlog_bytes >= self.slow_client_bytes,
                "must not be below socket.slow_client_bytes",
            )
            .done()
    }
}

/// Twice the largest body that can be posted by default.
const MIN_SLOW_CLIENT_BYTES: u64 = 2 * 1024 * 1024;

/// Whether it is `*`, or a scheme and a host as browsers write them in `Origin`: no path, no query, no pattern.
fn is_origin(text: &str) -> bool {
    let host_of = |text: &str| -> Option<bool> {
        let uri: axum::http::Uri = text.parse().ok()?;
        let has_host = matches!(uri.scheme_str()?, "http" | "https") && uri.authority().is_some();
        Some(has_host && uri.path() == "/" && uri.query().is_none() && !text.contains(['@', '*']))
    };
    text == "*" || host_of(text).unwrap_or(false)
}
