//! Processes that speak JSON lines: many stock clients in one, and backends that post.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::nginx::Nginx;
use crate::support::Transport;

/// How long hundreds of clients on two busy cores may take for anything.
const PATIENCE: Duration = Duration::from_mins(3);

/// A Node program that says what happens and does as it is told. Killed when it is dropped.
struct Program {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    said: mpsc::UnboundedReceiver<Value>,
}

impl Program {
    fn start(script: &'static str, nginx: &Nginx, options: &Value) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(script);
        let authority: PathBuf = nginx.authority();
        let mut child = Command::new("node")
            .arg(path)
            .args([nginx.url(), options.to_string()])
            .env("NODE_EXTRA_CA_CERTS", authority)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}; `make clients` installs what it needs"));
        let (say, said) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().unwrap();
        Self {
            name: script,
            child,
            stdin,
            said,
        }
    }

    fn tell(&mut self, what: Value) {
        writeln!(self.stdin, "{what}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    async fn next(&mut self, what: &str) -> Value {
        let said = tokio::time::timeout(PATIENCE, self.said.recv()).await;
        let Ok(said) = said else {
            let stragglers = self.stragglers().await;
            panic!("{}: {what}: not within {PATIENCE:?}; {stragglers}", self.name);
        };
        said.unwrap_or_else(|| panic!("{}: {what}: it has ended", self.name))
    }

    /// Those of a crowd that are not where they should be, for the message of a failing test.
    async fn stragglers(&mut self) -> String {
        self.tell(json!({"report": true}));
        let said = tokio::time::timeout(Duration::from_secs(5), self.said.recv()).await;
        let clients = said
            .ok()
            .flatten()
            .map(|said| said["clients"].clone())
            .unwrap_or_default();
        let clients = clients.as_array().map(Vec::as_slice).unwrap_or_default();
        let stragglers = clients
            .iter()
            .filter(|client| client["isJoined"] == false || client["isWaitedFor"] == true);
        stragglers.map(Value::to_string).collect::<Vec<_>>().join("\n")
    }

    async fn expect(&mut self, on: &str) -> Value {
        let said = self.next(on).await;
        assert_eq!(said["on"], on, "{}: {said}", self.name);
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What one client of a crowd has to tell.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    /// Of `socket.io-client`.
    pub(super) version: String,
    pub(super) transport: String,
    /// The node of each of its connections, in their order.
    pub(super) nodes: Vec<String>,
    /// How many of them had their session back.
    pub(super) recovered: usize,
    /// Connections that failed or ended: `{on, reason, status}`, with the HTTP status of a poll that failed.
    pub(super) troubles: Vec<Value>,
    /// What no client should be told.
    pub(super) surprises: Vec<Value>,
    /// The message of each alert, in the order in which they came.
    pub(super) heard: Vec<String>,
}

/// Stock clients in a few processes, all in one room.
pub(super) struct Crowd(Vec<Program>);

impl Crowd {
    /// Connects so many clients of each of these libraries over each transport, and waits until they are all in the room.
    pub(super) async fn gather(nginx: &Nginx, token: &str, room: &str, versions: &[&str], each: usize) -> Self {
        let programs = Transport::ALL.map(|transport| {
            let transport = format!("{transport:?}").to_lowercase();
            let groups: Vec<Value> = versions
                .iter()
                .map(|version| json!({"version": version, "transport": transport, "count": each}))
                .collect();
            let options = json!({"room": room, "token": token, "groups": groups});
            Program::start("crowd.mjs", nginx, &options)
        });
        let mut crowd = Self(programs.into());
        for program in &mut crowd.0 {
            program.expect("joined").await;
        }
        crowd
    }

    /// Waits until each has heard all these alerts.
    pub(super) async fn until_heard(&mut self, messages: &[String]) {
        for program in &mut self.0 {
            program.tell(json!({"until": messages}));
        }
        for program in &mut self.0 {
            program.expect("heard").await;
        }
    }

    /// What each of them has to tell.
    pub(super) async fn report(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        for program in &mut self.0 {
            program.tell(json!({"report": true}));
            let told = program.expect("report").await;
            let clients: Vec<Told> = serde_json::from_value(told["clients"].clone()).unwrap();
            all.extend(clients);
        }
        all
    }
}

/// Backends that post through nginx, each alert once.
pub(super) struct Backends {
    program: Program,
    /// The messages of the alerts that were answered with a 2xx.
    pub(super) accepted: Vec<String>,
    /// Those that were not, and why.
    pub(super) refused: Vec<(String, Value)>,
}

impl Backends {
    /// So many, each of which pauses so long after each answer.
    pub(super) fn start(nginx: &Nginx, token: &str, patient: &str, backends: usize, pause: Duration) -> Self {
        let options = json!({
            "patient": patient, "token": token, "backends": backends,
            "pauseMs": u64::try_from(pause.as_millis()).unwrap(),
        });
        Self {
            program: Program::start("backends.mjs", nginx, &options),
            accepted: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Notes what happens next; what it was called.
    async fn note(&mut self, what: &str) -> String {
        let said = self.program.next(what).await;
        let message = said["message"].as_str().unwrap_or_default().to_owned();
        match said["on"].as_str() {
            Some("accepted") => self.accepted.push(message),
            Some("refused") => self.refused.push((message, said["why"].clone())),
            _ => {}
        }
        said["on"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until so many more were accepted.
    pub(super) async fn until_accepted(&mut self, more: usize) {
        let wanted = self.accepted.len() + more;
        while self.accepted.len() < wanted {
            self.note("an alert is accepted").await;
        }
    }

    /// Stops them, and posts one more alert, which must be accepted.
    pub(super) async fn finish_with(&mut self, message: &str) {
        self.program.tell(json!({"stop": true}));
        while self.note("the backends stop").await != "stopped" {}
        self.program.tell(json!({"post": message}));
        self.note(message).await;
        assert_eq!(self.accepted.last().map(String::as_str), Some(message));
    }
}
