//! Alerts that flow while something breaks, and the clients that count them.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use wardbell::clock::{Clock, SystemClock};

use super::report::Row;
use crate::interop::{Library, Options, Stock};
use crate::support::people::SECRET;
use crate::support::process::Setup;
use crate::support::{Answer, Rest, Transport, service};

/// The patient whom all alerts are about.
pub(super) const PATIENT: &str = "P-1";
/// How long it may take until alerts are accepted, or a client has everything after an outage has ended: retransmissions of a
/// connection that stalled for minutes are up to two minutes apart.
const PATIENCE: Duration = Duration::from_mins(5);

/// A server that takes tokens, so that it may listen on the address of a network.
pub(super) fn token_mode() -> Setup {
    Setup::new()
        .set("AUTH_MODE", "token")
        .set("JWT_SECRET_KEY", SECRET)
        .set("LOG_LEVEL", "warn")
}

/// A backend's REST client for a server that takes tokens.
pub(super) fn backend(addr: SocketAddr) -> Rest {
    Rest::new(format!("http://{addr}"))
        .token(&service().token(SystemClock.now()))
        .keeping_connections()
}

/// Posts alerts from several backends until it is told to stop, and notes what became of each.
pub(super) struct Sender {
    is_stopped: Arc<AtomicBool>,
    sent: Arc<Mutex<Sent>>,
    posting: JoinSet<()>,
}

/// What became of the alerts that were posted.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// How many there were.
    pub(super) posted: usize,
    /// The ids of those that were answered with a 2xx.
    pub(super) accepted: Vec<String>,
    /// How many of those are kept on a node's own disk only.
    pub(super) spooled: usize,
    /// How many answers were 503: nothing was promised.
    pub(super) refused: usize,
    /// The slowest answer.
    pub(super) slowest: Duration,
    /// Answers that no backend should get.
    pub(super) surprises: Vec<String>,
}

impl Sender {
    /// So many backends, each of which posts an alert every `pause` and waits for its answer first.
    pub(super) fn start(addr: SocketAddr, backends: usize, pause: Duration) -> Self {
        Self::to_each_of(&[addr], backends, pause)
    }

    /// The same, to several nodes in turn. Where one does not answer, the alert is posted to the next, under the same key.
    pub(super) fn to_each_of(addrs: &[SocketAddr], backends: usize, pause: Duration) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Sent::default()));
        let mut posting = JoinSet::new();
        for number in 0..backends {
            let mut nodes: Vec<Rest> = addrs.iter().map(|addr| backend(*addr)).collect();
            nodes.rotate_left(number % addrs.len());
            let (is_stopped, sent) = (is_stopped.clone(), sent.clone());
            posting.spawn(async move {
                let mut beat = tokio::time::interval(pause);
                beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !is_stopped.load(Ordering::Relaxed) {
                    beat.tick().await;
                    raise(&nodes, &sent).await;
                    nodes.rotate_left(1);
                }
            });
        }
        Self {
            is_stopped,
            sent,
            posting,
        }
    }

    /// Waits until so many more were accepted; how many it were then.
    pub(super) async fn until_accepted(&self, more: usize) -> usize {
        let before = self.sent.lock().await.accepted.len();
        let wanted = before + more;
        let waiting = async {
            while self.sent.lock().await.accepted.len() < wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "{more} alerts were not accepted within {PATIENCE:?}");
        self.sent.lock().await.accepted.len() - before
    }

    /// Stops and answers what became of the alerts.
    pub(super) async fn stop(mut self) -> Sent {
        self.is_stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.posting.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *self.sent.lock().await)
    }
}

/// Posts an alert to the first of these nodes that answers.
async fn raise(nodes: &[Rest], sent: &Mutex<Sent>) {
    sent.lock().await.posted += 1;
    let key = uuid::Uuid::new_v4().to_string();
    for node in nodes {
        let begun = Instant::now();
        let answer = try_to_post(&node.clone().header("idempotency-key", &key), "flowing").await;
        let mut sent = sent.lock().await;
        sent.slowest = sent.slowest.max(begun.elapsed());
        match answer {
            // A node that is gone answers nothing.
            Ok(None) => continue,
            Ok(Some(answer)) if answer.status.is_success() => {
                let raised = answer.json();
                sent.spooled += usize::from(raised["durable"] == "spooled");
                sent.accepted.push(raised["alert_id"].as_str().unwrap().to_owned());
            }
            Ok(Some(answer)) if answer.status == 503 => sent.refused += 1,
            Ok(Some(answer)) => sent.surprises.push(format!("{}: {}", answer.status, answer.text)),
            Err(Hung) => sent.surprises.push("no answer and no end".to_owned()),
        }
        return;
    }
}

/// There was no answer in ten seconds, and no end either.
struct Hung;

/// Posts one alert that no limiter holds back. `None`: nobody is there.
async fn try_to_post(rest: &Rest, message: &str) -> Result<Option<Answer>, Hung> {
    let body = json!({"patient_id": PATIENT, "alert_type": "critical", "alert_data": {"message": message}}).to_string();
    let posting = rest.attempt(reqwest::Method::POST, "/api/alerts/patient", Some(body));
    match tokio::time::timeout(Duration::from_secs(10), posting).await {
        Ok(answered) => Ok(answered.ok()),
        Err(_) => Err(Hung),
    }
}

/// Posts one alert: its id, if it was accepted. That a server which is down or full accepts nothing is no failure of the
/// sender's.
pub(super) async fn post(rest: &Rest, message: &str) -> Option<String> {
    let answer = try_to_post(rest, message).await.ok()??;
    answer
        .status
        .is_success()
        .then(|| answer.json()["alert_id"].as_str().unwrap().to_owned())
}

/// A stock client that counts every alert it hears.
pub(super) struct Counter {
    name: String,
    heard: Arc<Mutex<Heard>>,
    pid: u32,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    order: Vec<String>,
    /// The position of the last one, and how often one came that stands before it.
    last_position: (u64, u64),
    out_of_order: usize,
    connects: usize,
    recovered: usize,
    /// When the last one came, and the longest time between two.
    last_at: Option<Instant>,
    longest_gap: Duration,
    /// Anything that no client should see, such as a failed recovery.
    surprises: Vec<Value>,
}

impl Counter {
    /// The newest JavaScript client, connected and in the patient's room.
    pub(super) async fn start(addr: SocketAddr, transport: Transport, namespace: Option<&str>) -> Self {
        let auth = json!({"token": service_for_sockets(), "recovery": true});
        let mut options = Options::new(Library::JavaScript("newest"), transport)
            .auth(auth)
            .giving_up_after_ms(3_000);
        if let Some(namespace) = namespace {
            options = options.in_namespace(namespace);
        }
        let mut client = options.start(addr);
        client.connected().await;
        client.join(&format!("patient_{PATIENT}")).await;

        let heard = Arc::new(Mutex::new(Heard {
            connects: 1,
            ..Heard::default()
        }));
        let pid = client.pid();
        let listening = tokio::spawn(listen(client, heard.clone()));
        Self {
            name: format!("{transport:?}").to_lowercase(),
            heard,
            pid,
            listening,
        }
    }

    /// The client's process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// How many alerts it has heard, repetitions included.
    pub(super) async fn count(&self) -> usize {
        self.heard.lock().await.order.len()
    }

    /// Waits until it has heard this alert.
    pub(super) async fn until_heard(&self, id: &str) {
        let waiting = async {
            while !self.heard.lock().await.order.iter().rev().any(|heard| heard == id) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let heard = self.heard.lock().await;
            panic!(
                "{}: heard {} alerts, not the last one; surprises: {:?}",
                self.name,
                heard.order.len(),
                heard.surprises
            );
        }
    }

    /// What became of the alerts with these ids, of which the last has been heard.
    pub(super) async fn row(&self, outage: &str, sent: &Sent) -> Row {
        let heard = self.heard.lock().await;
        assert!(heard.surprises.is_empty(), "{}: {:?}", self.name, heard.surprises);
        let mut times: HashMap<&str, usize> = HashMap::new();
        for id in &heard.order {
            *times.entry(id).or_default() += 1;
        }
        let received = sent.accepted.iter().filter(|id| times.contains_key(id.as_str()));
        let received = received.count();
        Row {
            outage: outage.to_owned(),
            client: self.name.clone(),
            posted: sent.posted,
            accepted: sent.accepted.len(),
            received,
            missed: sent.accepted.len() - received,
            duplicates: times.values().map(|times| times - 1).sum(),
            out_of_order: heard.out_of_order,
            reconnects: heard.connects - 1,
            recovered: heard.recovered,
            longest_gap: heard.longest_gap,
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn service_for_sockets() -> String {
    crate::support::doctor().of("H-1").token(SystemClock.now())
}

async fn listen(mut client: Stock, heard: Arc<Mutex<Heard>>) {
    while let Some(happened) = client.recv().await {
        let mut heard = heard.lock().await;
        match happened["on"].as_str() {
            Some("patient_alert") => {
                let id = happened["args"][0]["alert_id"].as_str().unwrap().to_owned();
                // The offset that recovery adds is the event's place in the one order.
                let position = position(happened["args"][1].as_str().unwrap());
                if position < heard.last_position {
                    heard.out_of_order += 1;
                }
                heard.last_position = position;
                let now = Instant::now();
                if let Some(before) = heard.last_at.replace(now) {
                    heard.longest_gap = heard.longest_gap.max(now - before);
                }
                heard.order.push(id);
            }
            Some("connect") => {
                heard.connects += 1;
                if happened["recovered"] == true {
                    heard.recovered += 1;
                } else {
                    heard.surprises.push(happened);
                }
            }
            Some("disconnect" | "connect_error" | "connection_response" | "upgrade") => {}
            _ => heard.surprises.push(happened),
        }
    }
}

/// Reads `major-minor-event`.
fn position(offset: &str) -> (u64, u64) {
    let mut parts = offset.split('-').map(|part| part.parse().ok());
    (parts.next().flatten().unwrap(), parts.next().flatten().unwrap())
}

/// The id of every alert in the history: what the server says was accepted.
pub(super) async fn history(rest: &Rest) -> HashSet<String> {
    let mut path = format!("/api/alerts/history?patient_id={PATIENT}&limit=1000");
    let mut ids = HashSet::new();
    loop {
        let page = rest.get(&path).await;
        let alerts = page.expect(200);
        ids.extend(
            alerts
                .as_array()
                .unwrap()
                .iter()
                .map(|alert| alert["alert_id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page.header("link").and_then(next_page) else {
            break;
        };
        path = next;
    }
    ids
}

/// The address in `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (address, relation) = link.split_once('>')?;
    relation
        .contains("rel=\"next\"")
        .then(|| address.trim_start_matches('<').to_owned())
}

/// Ends the flow with a last alert, waits until every client has heard it, and checks what each has heard.
pub(super) async fn settle(outage: &str, addr: SocketAddr, sender: Sender, counters: &[Counter]) -> Sent {
    let mut sent = sender.stop().await;
    let rest = backend(addr);
    let last = post(&rest, "last").await.expect("the server accepts alerts again");
    sent.posted += 1;
    sent.accepted.push(last.clone());
    let history = history(&rest).await;

    for counter in counters {
        counter.until_heard(&last).await;
        counter.row(outage, &sent).await.check();
    }
    for id in &sent.accepted {
        assert!(history.contains(id), "{id} was accepted and is not in the history");
    }
    assert!(sent.surprises.is_empty(), "{:?}", sent.surprises);
    sent
}
