//! `[server]`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::section::{Checks, Section};

/// The longest name of a node. It stands in every polling request.
const MAX_NODE: usize = 32;

/// Who it is, where and how long it listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What this node is called; empty: nothing.
    pub node: String,
    /// The address to listen on.
    #[serde(deserialize_with = "host")]
    pub host: IpAddr,
    /// The port; 0 is any free one.
    pub port: u16,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// How long a soft end may take.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Server {
    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Where a program on the same machine reaches it.
    pub fn local_address(&self) -> SocketAddr {
        let host = match self.host {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) | IpAddr::V6(_) => self.host,
        };
        SocketAddr::new(host, self.port)
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }
}

impl Section for Server {
    fn validate(&self) -> Vec<(&'static str, String)> {
        let is_name = self
            .node
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Checks::default()
            .require(
                "node",
                is_name && self.node.len() <= MAX_NODE,
                "must be at most 32 letters, digits and hyphens",
            )
            .require(
                "max_body_bytes",
                (1024..=64 * 1024 * 1024).contains(&self.max_body_bytes),
                "must be between 1024 and 67108864 bytes",
            )
            .duration(
                "shutdown_grace",
                self.shutdown_grace,
                Duration::ZERO,
                Duration::from_mins(10),
            )
            .done()
    }
}

fn host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Names are not looked up: which interface is opened must not depend on a resolver.
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse()
        .or(Err(de::Error::custom("must be an IP address or localhost")))
}
