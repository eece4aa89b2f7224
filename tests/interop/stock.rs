//! Stock clients as processes that tests direct: `socket.io-client` in three versions, python-socketio in two.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Transport, in_time};

/// A client library that is in use out there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// `socket.io-client` in this version.
    JavaScript(&'static str),
    /// python-socketio, `newest` or `oldest`.
    Python(&'static str),
}

impl Library {
    /// Whether it takes part in connection state recovery.
    pub(crate) fn can_recover(self) -> bool {
        matches!(self, Self::JavaScript("4.7.2" | "newest"))
    }
}

/// What a client is started with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    library: Library,
    transport: Transport,
    namespace: Option<String>,
    /// Which of our scripts in `js/` runs it.
    script: &'static str,
    said: Value,
}

/// A running client. Killed when it is dropped.
pub(crate) struct Stock {
    child: Child,
    stdin: ChildStdin,
    happened: mpsc::UnboundedReceiver<Value>,
    /// What it wrote to standard error, for the message of a failing test.
    complaints: Arc<Mutex<String>>,
    name: String,
    /// What it is connected over now, as it says.
    carrier: Option<String>,
    acks: u64,
}

impl Options {
    /// A client of this library over this transport, which says about itself what the existing frontend says.
    pub(crate) fn new(library: Library, transport: Transport) -> Self {
        let said = json!({"query": {"user_id": "u-1", "user_role": "doctor"}});
        Self {
            library,
            transport,
            namespace: None,
            script: "client.mjs",
            said,
        }
    }

    /// With this in Socket.IO's `auth`.
    pub(crate) fn auth(mut self, auth: Value) -> Self {
        self.said["auth"] = auth;
        self
    }

    /// A page of the EHR with these hooks mounted, for `auth`.
    pub(crate) fn ehr_page(transport: Transport, auth: Value, hooks: Value) -> Self {
        let mut said = hooks;
        said["auth"] = auth;
        Self {
            library: Library::JavaScript("newest"),
            transport,
            namespace: None,
            script: "hooks.mjs",
            said,
        }
    }

    /// Keeps the id of its last event and says it when it comes back.
    pub(crate) fn remembering(mut self) -> Self {
        self.said["remember"] = json!(true);
        self
    }

    /// Gives up an attempt to connect after so many milliseconds.
    pub(crate) fn giving_up_after_ms(mut self, timeout: u64) -> Self {
        self.said["timeout"] = json!(timeout);
        self
    }

    /// In this network namespace.
    pub(crate) fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.to_owned());
        self
    }

    /// Starts it; it connects by itself.
    pub(crate) fn start(&self, addr: SocketAddr) -> Stock {
        let (program, mut arguments) = self.program();
        let transport = match self.transport {
            Transport::Polling => "polling",
            Transport::Upgrade => "upgrade",
            Transport::Websocket => "websocket",
        };
        arguments.extend([transport.into(), format!("http://{addr}"), self.said.to_string()]);
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{self:?}: {error}; `make clients` installs it"));

        let (say, happened) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if say
                    .send(serde_json::from_str(&line).unwrap_or(Value::String(line)))
                    .is_err()
                {
                    return;
                }
            }
        });
        let complaints = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let heard = complaints.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let stdin = child.stdin.take().unwrap();
        let name = format!("{:?} over {:?}", self.library, self.transport);
        Stock {
            child,
            stdin,
            happened,
            complaints,
            name,
            carrier: None,
            acks: 0,
        }
    }

    fn program(&self) -> (PathBuf, Vec<String>) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        match self.library {
            Library::JavaScript(version) => {
                let script = here.join("js").join(self.script).to_string_lossy().into_owned();
                ("node".into(), vec![script, version.to_owned()])
            }
            Library::Python(version) => {
                let script = here.join("python/client.py").to_string_lossy().into_owned();
                (here.join("python/.venv").join(version).join("bin/python"), vec![script])
            }
        }
    }
}

impl Stock {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next thing that happens, whatever it is; but a polling client changes over to its websocket whenever it likes, and
    /// that is only noted.
    pub(crate) async fn next(&mut self, what: &str) -> Value {
        loop {
            let happened = self.next_of_all(what).await;
            if happened["on"] != "upgrade" {
                return happened;
            }
        }
    }

    /// Waits until it is connected over this transport.
    pub(crate) async fn until_over(&mut self, transport: &str) {
        while self.carrier.as_deref() != Some(transport) {
            let happened = self.next_of_all("another transport").await;
            assert!(
                happened["on"] == "upgrade" || happened["on"] == "connect",
                "{}: {happened}",
                self.name
            );
        }
    }

    async fn next_of_all(&mut self, what: &str) -> Value {
        let what = format!("{}: {what}", self.name);
        let Some(happened) = in_time(&what, self.happened.recv()).await else {
            panic!("{what}: the client has ended:\n{}", self.complaints.lock().unwrap());
        };
        if let Some(transport) = happened["transport"].as_str() {
            self.carrier = Some(transport.to_owned());
        }
        happened
    }

    /// What has happened and was not asked for yet, or will happen next; `None` once the client has ended.
    pub(crate) async fn recv(&mut self) -> Option<Value> {
        self.happened.recv().await
    }

    /// The next thing that happens, which must be this; all that is said of it.
    pub(crate) async fn expect(&mut self, on: &str) -> Value {
        let happened = self.next(on).await;
        assert_eq!(
            happened["on"],
            on,
            "{}: {happened}\n{}",
            self.name,
            self.complaints.lock().unwrap()
        );
        happened
    }

    /// The next thing that happens, which must be this event with one argument, or with two where the second is recovery's
    /// offset; the first.
    pub(crate) async fn expect_event(&mut self, event: &str) -> Value {
        let happened = self.expect(event).await;
        let arguments = happened["args"].as_array().unwrap();
        let is_as_promised = match arguments.as_slice() {
            [payload] => payload.is_object(),
            [payload, offset] => payload.is_object() && offset.is_string(),
            _ => false,
        };
        assert!(is_as_promised, "{}: {happened}", self.name);
        arguments[0].clone()
    }

    /// Waits until it is connected and greeted.
    pub(crate) async fn connected(&mut self) -> Value {
        let connected = self.expect("connect").await;
        let greeting = self.expect_event("connection_response").await;
        assert_eq!(greeting["status"], "connected", "{greeting}");
        connected
    }

    /// Emits without asking for an answer.
    pub(crate) fn emit(&mut self, event: &str, payload: Value) {
        self.tell(json!({"emit": [event, payload]}));
    }

    /// Emits with a callback and waits for what it is called with, which must be the next thing but for events that are
    /// given back in order.
    pub(crate) async fn call(&mut self, event: &str, payload: Value) -> (Value, Vec<Value>) {
        self.acks += 1;
        self.tell(json!({"emit": [event, payload], "ack": self.acks}));
        let mut passed = Vec::new();
        loop {
            let happened = self.next("an acknowledgement").await;
            if happened["on"] == "ack" {
                assert_eq!(happened["ack"], self.acks, "{happened}");
                assert_eq!(happened["args"].as_array().map(Vec::len), Some(1), "{happened}");
                return (happened["args"][0].clone(), passed);
            }
            passed.push(happened);
        }
    }

    /// Joins a room, which must be allowed.
    pub(crate) async fn join(&mut self, room: &str) {
        self.emit("join_room", json!({"room": room}));
        let joined = self.expect_event("room_joined").await;
        assert_eq!(joined["room"], room, "{joined}");
    }

    /// Has an EHR's page replace its socket, as it does with a fresh token.
    pub(crate) fn refresh(&mut self, token: &str) {
        self.tell(json!({"refresh": token}));
    }

    fn tell(&mut self, what: Value) {
        writeln!(self.stdin, "{what}").unwrap_or_else(|error| {
            panic!(
                "{}: the client has ended ({error}):\n{}",
                self.name,
                self.complaints.lock().unwrap()
            )
        });
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
