//! Who is measured: wardbell as it is released, and servers that do its job with less.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::Launch;
use super::support::people::SECRET;
use super::support::postgres::Postgres;
use super::support::redis::Redis;

/// A server that does our job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The release binary with SQLite at full sync.
    Wardbell,
    /// axum and socketioxide, nothing else.
    Bare,
    /// `socket.io` on Node's own HTTP server.
    Node,
    /// python-socketio, ASGI, uvicorn.
    Python,
    /// Flask-SocketIO with threads, as the servers that wardbell replaces.
    Flask,
    /// One wardbell with PostgreSQL and Redis.
    OneNode,
    /// Three of them.
    ThreeNodes,
}

/// What nodes share, as a fresh one for each run.
pub(crate) struct Backbone {
    postgres: Postgres,
    redis: Option<Redis>,
}

impl Backbone {
    pub(crate) fn start() -> Self {
        Self {
            postgres: Postgres::start(),
            redis: None,
        }
    }
}

impl Peer {
    /// Those that are compared by name.
    pub(crate) const SINGLE: [Self; 5] = [Self::Wardbell, Self::Bare, Self::Node, Self::Python, Self::Flask];
    /// The same program on one node and on three.
    pub(crate) const CLUSTER: [Self; 3] = [Self::Wardbell, Self::OneNode, Self::ThreeNodes];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wardbell => "wardbell",
            Self::Bare => "bare",
            Self::Node => "node",
            Self::Python => "python",
            Self::Flask => "flask",
            Self::OneNode => "one node",
            Self::ThreeNodes => "three nodes",
        }
    }

    pub(crate) const fn is_wardbell(self) -> bool {
        matches!(self, Self::Wardbell | Self::OneNode | Self::ThreeNodes)
    }

    const fn needs_backbone(self) -> bool {
        matches!(self, Self::OneNode | Self::ThreeNodes)
    }

    /// Whether a connection takes several POSTs in a row; Werkzeug closes it after the first.
    pub(crate) const fn may_pipeline(self) -> bool {
        !matches!(self, Self::Flask)
    }

    /// The program, where it is there.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let folder = folder();
        let (program, proof) = match self {
            Self::Wardbell | Self::OneNode | Self::ThreeNodes => (wardbell(), wardbell()),
            Self::Bare => {
                let program = folder.join("bare/target/release/wardbell-peer-bare");
                (program.clone(), program)
            }
            Self::Node => ("node".into(), folder.join("node/node_modules/socket.io/package.json")),
            Self::Python => {
                let program = folder.join("python/.venv/asgi/bin/python");
                (program.clone(), program)
            }
            Self::Flask => {
                let program = folder.join("python/.venv/flask/bin/python");
                (program.clone(), program)
            }
        };
        proof.exists().then_some(program)
    }

    /// How its processes are started, each run anew.
    pub(crate) fn launches(self, has_tokens: bool, backbone: &mut Option<Backbone>) -> Vec<Launch> {
        let file = |path: &str| vec![folder().join(path).display().to_string()];
        let mut variables = Vec::new();
        let arguments = match self {
            Self::Bare => Vec::new(),
            Self::Node => {
                variables.push(("NODE_ENV", "production".to_owned()));
                file("node/server.js")
            }
            Self::Python => file("python/asgi_server.py"),
            Self::Flask => file("python/flask_server.py"),
            Self::Wardbell | Self::OneNode | Self::ThreeNodes => {
                variables.push(("LOG_LEVEL", "warn".to_owned()));
                if has_tokens {
                    variables.push(("AUTH_MODE", "token".to_owned()));
                    variables.push(("JWT_SECRET_KEY", SECRET.to_owned()));
                } else {
                    variables.push(("AUTH_MODE", "open".to_owned()));
                }
                vec!["serve".to_owned()]
            }
        };
        if self.needs_backbone() {
            let backbone = backbone.get_or_insert_with(Backbone::start);
            let redis = backbone.redis.insert(Redis::durable());
            variables.push(("REDIS_URL", redis.url()));
            variables.push(("DATABASE_URL", backbone.postgres.database()));
        }
        let program = self.program().unwrap_or_default();
        let count = if self == Self::ThreeNodes { 3 } else { 1 };
        (0..count)
            .map(|_| Launch {
                program: program.clone(),
                arguments: arguments.clone(),
                variables: variables.clone(),
                says_when_ready: self.is_wardbell(),
            })
            .collect()
    }

    /// What it is, for the report.
    pub(crate) fn version(self) -> String {
        match self {
            Self::Wardbell => printed(Command::new(wardbell()).arg("--version")),
            Self::OneNode | Self::ThreeNodes => {
                let postgres = printed(Command::new("postgres").arg("--version"));
                let redis = printed(Command::new("redis-server").arg("--version"));
                format!("{postgres}; {}", redis.split(" sha").next().unwrap_or_default())
            }
            Self::Bare => locked(&folder().join("bare/Cargo.lock"), &["socketioxide", "axum", "tokio"]),
            Self::Node => {
                let package = std::fs::read_to_string(folder().join("node/node_modules/socket.io/package.json"));
                let package: serde_json::Value = serde_json::from_str(&package.unwrap_or_default()).unwrap_or_default();
                let node = printed(Command::new("node").arg("--version"));
                format!("Node {node}, socket.io {}", package["version"].as_str().unwrap_or("?"))
            }
            Self::Python => self.python_packages(&["python-socketio", "uvicorn", "uvloop"]),
            Self::Flask => self.python_packages(&["Flask-SocketIO", "python-socketio", "Flask", "Werkzeug"]),
        }
    }

    fn python_packages(self, names: &[&str]) -> String {
        let script = "import sys, platform; from importlib.metadata import version as v; \
                      print(', '.join([f'Python {platform.python_version()}'] + [f'{n} {v(n)}' for n in sys.argv[1:]]))";
        printed(
            Command::new(self.program().unwrap_or_default())
                .args(["-c", script])
                .args(names),
        )
    }
}

/// `WARDBELL_BIN`, else what cargo has built for this.
fn wardbell() -> PathBuf {
    std::env::var_os("WARDBELL_BIN").map_or_else(|| env!("CARGO_BIN_EXE_wardbell").into(), PathBuf::from)
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers"))
}

fn printed(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// These packages' versions as a Cargo.lock says.
fn locked(file: &Path, names: &[&str]) -> String {
    let lock = std::fs::read_to_string(file).unwrap_or_default();
    let version = |name: &&str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    names.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}
