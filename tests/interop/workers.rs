//! Workers as hospitals run them, unchanged, in front of three nodes, one of which dies in the middle.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wardbell::clock::{Clock, SystemClock};

use super::{Library, Options, Stock};
use crate::cluster::nodes::Cluster;
use crate::support::process::Setup;
use crate::support::redis::Redis;
use crate::support::{Transport, doctor, eventually, in_time, service};

/// Alerts that a worker raises while nodes come and go.
const ALERTS: u64 = 150;
/// After how many of them a node dies.
const DEATH: u64 = 50;

/// What a worker is made of.
#[derive(Clone, Copy)]
enum Kind {
    /// A Celery worker process with Flask-SocketIO 5.3.5, and somebody who gives it tasks.
    Celery,
    /// The newest python-socketio.
    Python,
    /// `@socket.io/redis-emitter`.
    Node,
}

impl Kind {
    /// The channel that it publishes on, as our metrics name it.
    const fn bridge(self) -> &'static str {
        match self {
            Self::Celery | Self::Python => "python",
            Self::Node => "node",
        }
    }
}

/// A running worker that does as it is told.
struct Worker {
    /// What it says and is told; and, with Celery, whoever works off what it queues.
    processes: Vec<Child>,
    stdin: ChildStdin,
    done: mpsc::UnboundedReceiver<String>,
}

impl Worker {
    fn start(kind: Kind, redis: &Redis) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        let environment = |name: &str, program: &str| here.join("python/.venv").join(name).join("bin").join(program);
        let mut processes = Vec::new();
        let mut command = match kind {
            Kind::Celery => {
                let mut celery = Command::new(environment("celery-worker", "celery"));
                // It warns of being root.
                celery.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                celery.args([
                    "--app",
                    "celery_worker",
                    "worker",
                    "--pool",
                    "solo",
                    "--loglevel",
                    "error",
                ]);
                processes.push(spawn(celery.current_dir(here.join("python")), redis));
                let mut command = Command::new(environment("celery-worker", "python"));
                command.arg("celery_worker.py").current_dir(here.join("python"));
                command
            }
            Kind::Python => {
                let mut command = Command::new(environment("newest-worker", "python"));
                command.arg(here.join("python/newest_worker.py"));
                command
            }
            Kind::Node => {
                let mut command = Command::new("node");
                command.arg(here.join("js/worker.mjs"));
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = spawn(&mut command, redis);
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (say, done) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    return;
                }
            }
        });
        processes.push(process);
        Self { processes, stdin, done }
    }

    /// Has it emit an event, and waits until it says that it has, or has queued it.
    async fn emit(&mut self, event: &str, payload: &Value, room: &str) {
        let line = json!({"event": event, "payload": payload, "room": room});
        writeln!(self.stdin, "{line}").unwrap();
        let done = in_time("the worker has emitted", self.done.recv()).await;
        assert!(done.is_some(), "the worker has ended");
    }
}

fn spawn(command: &mut Command, redis: &Redis) -> Child {
    command
        .env("REDIS_URL", format!("{}/0", redis.url()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `make clients` installs it"))
}

impl Drop for Worker {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Celery's worker answers to a signal only after its task; nothing is lost with it here.
            kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), Signal::SIGKILL).ok();
            drop(process.wait());
        }
    }
}

/// What the `n`th alert says: everything that JSON and Python's plain values can.
fn payload(n: u64) -> Value {
    json!({
        "n": n, "patient_id": "P1", "alert_type": "critical", "message": "SpO₂ 84 %", "temperature": 38.6, "stable": false,
        "vitals": {"heart_rate": 118, "history": [97, 91.5, null]}, "id": 9_007_199_254_740_991_u64,
    })
}

/// How many messages a node has counted with one of these results.
async fn counted(cluster: &Cluster, node: usize, kind: Kind, results: &[&str]) -> u64 {
    let metrics = cluster.node(node).rest().get("/metrics").await.text;
    let count = |result: &&str| {
        let name = format!(
            r#"wardbell_bridge_messages_total{{bridge="{}",result="{result}"}} "#,
            kind.bridge()
        );
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    results.iter().map(count).sum()
}

async fn watcher(cluster: &Cluster, node: usize, library: Library, transport: Transport) -> Stock {
    let token = doctor().of("H1").token(SystemClock.now());
    let mut client = Options::new(library, transport)
        .auth(json!({"token": token}))
        .start(cluster.node(node).addr());
    client.connected().await;
    client.join("patient_P1").await;
    client
}

async fn reaches_every_client_once_although_a_node_dies(kind: Kind) {
    let setup = Setup::new().set("WARDBELL__BRIDGES__ENABLED", "true");
    let mut cluster = Cluster::with(vec![setup; 3]).await;
    for node in 0..3 {
        let rest = cluster.node(node).rest();
        eventually("the node hears workers", async || {
            rest.get("/metrics")
                .await
                .text
                .contains("wardbell_bridge_up 1")
                .then_some(())
        })
        .await;
    }
    let mut clients = Vec::new();
    for node in 0..3 {
        clients.push(vec![
            watcher(&cluster, node, Library::JavaScript("4.7.2"), Transport::Upgrade).await,
            watcher(&cluster, node, Library::JavaScript("newest"), Transport::Websocket).await,
        ]);
    }
    let mut worker = Worker::start(kind, &cluster.redis);

    for n in 0..DEATH {
        worker.emit("patient_alert", &payload(n), "patient_P1").await;
    }
    // Whoever raises is the one whose death matters; with Celery, as soon as the first task is done.
    let dead = eventually("one of them raises", async || {
        for node in 0..3 {
            if counted(&cluster, node, kind, &["raised"]).await > 0 {
                return Some(node);
            }
        }
        None
    })
    .await;
    let killing = async { cluster.kill(dead) };
    let emitting = async {
        for n in DEATH..ALERTS {
            worker.emit("patient_alert", &payload(n), "patient_P1").await;
        }
    };
    tokio::join!(emitting, killing);
    drop(clients.remove(dead));
    let alive: Vec<usize> = (0..3).filter(|node| *node != dead).collect();

    for client in clients.iter_mut().flatten() {
        for n in 0..ALERTS {
            let mut alert = client.expect_event("patient_alert").await;
            let fields = alert.as_object_mut().unwrap();
            let id = fields.remove("event_id").unwrap();
            assert_eq!(fields.remove("alert_id"), Some(id));
            assert_eq!(alert, payload(n));
        }
    }
    // Nothing is still on its way: each of the nodes has done with everything that it has heard.
    for node in &alive {
        eventually("every message is settled", async || {
            let settled = counted(&cluster, *node, kind, &["raised", "taken_over", "repeated"]).await;
            (settled >= ALERTS).then_some(())
        })
        .await;
    }
    worker.emit("patient_alert", &json!({"n": ALERTS}), "patient_P1").await;
    for client in clients.iter_mut().flatten() {
        assert_eq!(
            client.expect_event("patient_alert").await["n"],
            ALERTS,
            "nothing came twice"
        );
    }
    let rest = cluster.rest(alive[0], &service());
    let history = rest
        .get("/api/alerts/history?patient_id=P1&limit=500")
        .await
        .expect(200);
    let mut numbers: Vec<u64> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["n"].as_u64().unwrap())
        .collect();
    // It is in the order of the clocks of two nodes.
    numbers.sort_unstable();
    assert_eq!(numbers, (0..=ALERTS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make interop"]
async fn a_celery_worker_with_flask_socketio_reaches_every_client_once_although_a_node_dies() {
    reaches_every_client_once_although_a_node_dies(Kind::Celery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make interop"]
async fn the_newest_python_socketio_reaches_every_client_once_although_a_node_dies() {
    reaches_every_client_once_although_a_node_dies(Kind::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make interop"]
async fn a_node_service_reaches_every_client_once_although_a_node_dies() {
    reaches_every_client_once_although_a_node_dies(Kind::Node).await;
}
