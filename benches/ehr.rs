//! Contract B under load, from outside: the real binary with SQLite, websockets, and REST as the EHR's backend speaks it.
//!
//! `cargo bench --bench ehr` runs both parts, twenty seconds each, and prints a line for each; `cargo bench --bench ehr -- 60`
//! takes longer.
//!
//! 1. A thousand users in twenty tenants, 500 events a second: how many deliveries, how many of them late, none lost.
//! 2. One socket of another tenant that misbehaves (a thousand joins a second, malformed payloads of 100 kB, ids of 10 MB):
//!    what a well-behaved tenant's clients notice of it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement may panic, and says what it has measured"
)]

#[path = "../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "written for the tests, of which this needs a part"
)]
mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Message;
use wardbell::clock::{Clock, SystemClock};

use support::process::Setup;
use support::{Rest, ServerProcess};

const SECRET: &str = "the-ehrs-own-secret-0123456789abcdef";
const TENANTS: usize = 20;
const USERS: usize = 50;
const EVENTS_PER_SECOND: usize = 500;
/// In the payload, so that every receiver finds out when it was sent: `~1771151400000000~`.
const MARK: char = '~';

fn micros() -> u64 {
    u64::try_from(SystemClock.now().as_micros()).unwrap()
}

fn token(tenant: &str, user: &str) -> String {
    let now = micros() / 1_000_000;
    let claims =
        json!({"id": user, "tenantId": tenant, "role": "provider", "fullName": user, "iat": now, "exp": now + 3_600});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// What all clients have received: the marked events of each, and how long they took.
#[derive(Default)]
struct Received {
    by_user: Mutex<HashMap<String, usize>>,
    latencies: Mutex<Vec<u64>>,
    total: AtomicUsize,
}

impl Received {
    fn note(&self, who: &str, sent_at: u64) {
        *self.by_user.lock().unwrap().entry(who.to_owned()).or_default() += 1;
        self.latencies.lock().unwrap().push(micros().saturating_sub(sent_at));
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    fn percentiles(&self) -> String {
        let mut all = std::mem::take(&mut *self.latencies.lock().unwrap());
        all.sort_unstable();
        let at = |share: f64| {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an index"
            )]
            let index = ((all.len() as f64 - 1.0) * share) as usize;
            all.get(index).map_or(0.0, |micros| {
                f64::from(u32::try_from(*micros).unwrap_or(u32::MAX)) / 1_000.0
            })
        };
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms of {}",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            all.len()
        )
    }
}

/// Connects a user, who then receives for ever. Answers once their listeners would be there.
async fn listener(addr: SocketAddr, tenant: String, user: String, received: Arc<Received>) {
    let url = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let auth = json!({"token": token(&tenant, &user), "tenantId": tenant});
    socket.send(Message::text(format!("40{auth}"))).await.unwrap();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let mut ready = Some(ready);
    let who = format!("{tenant}/{user}");
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            match text.as_str() {
                "2" => socket.send(Message::text("3")).await.unwrap(),
                text if text.contains("message:notification") => {}
                text => {
                    if let Some(sent_at) = text.split(MARK).nth(1).and_then(|mark| mark.parse().ok()) {
                        received.note(&who, sent_at);
                    } else if text.contains("message:unread-count")
                        && let Some(ready) = ready.take()
                    {
                        ready.send(()).unwrap();
                    } else if text.starts_with("44") {
                        panic!("{who}: {text}");
                    }
                }
            }
        }
    });
    tokio::time::timeout(Duration::from_mins(1), is_ready)
        .await
        .expect("connected in time")
        .unwrap();
}

async fn server() -> ServerProcess {
    Setup::new()
        .set("JWT_SECRET", SECRET)
        .set("LOG_LEVEL", "warn")
        .start()
        .await
}

fn backend(server: &ServerProcess, tenant: &str) -> Rest {
    let rest = server.rest().keeping_connections().token(&token(tenant, "backend"));
    rest.header("x-tenant-id", tenant)
}

/// One request, and who must receive what follows from it.
fn request(number: usize) -> (String, Value, Vec<String>) {
    let mark = format!("{MARK}{}{MARK}", micros());
    let user = |index: usize| format!("u{}", index % USERS);
    match number % 10 {
        0..=6 => {
            let body = json!({"event": "claim:updated", "entity": {"id": number.to_string(), "note": mark}});
            ("/api/events".to_owned(), body, (0..USERS).map(user).collect())
        }
        7 | 8 => {
            let to = user(number);
            let room = format!("user:{to}");
            let body = json!({"event": "claim:updated", "entity": {"note": mark}, "room": room});
            ("/api/events".to_owned(), body, vec![to])
        }
        _ => {
            let participants: Vec<String> = (0..3).map(|index| user(number / 10 + index)).collect();
            let message = json!({"id": format!("m{number}"), "threadId": "t", "body": mark, "sender": participants[0],
                                 "createdAt": "2026-02-15T10:30:00Z"});
            let body = json!({"message": message, "participants": participants});
            (
                format!("/api/messaging/t{number}/messages"),
                strip_thread(body),
                participants,
            )
        }
    }
}

/// The path says which thread it is.
fn strip_thread(mut body: Value) -> Value {
    body["message"].as_object_mut().unwrap().remove("threadId");
    body
}

async fn a_thousand_users(seconds: u64) {
    let server = server().await;
    let received = Arc::new(Received::default());
    let begun = Instant::now();
    let mut joining = tokio::task::JoinSet::new();
    for number in 0..TENANTS * USERS {
        let (tenant, user) = (format!("t{}", number / USERS), format!("u{}", number % USERS));
        joining.spawn(listener(server.addr(), tenant, user, received.clone()));
        if joining.len() >= 64 {
            joining.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(joined) = joining.join_next().await {
        joined.unwrap();
    }
    println!(
        "1,000 users in 20 tenants connected in {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    let backends: Vec<Rest> = (0..TENANTS)
        .map(|tenant| backend(&server, &format!("t{tenant}")))
        .collect();
    let total = EVENTS_PER_SECOND * usize::try_from(seconds).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(EVENTS_PER_SECOND).unwrap());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut expected: HashMap<String, usize> = HashMap::new();
    let mut posting = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for number in 0..total {
        ticks.tick().await;
        let tenant = number % TENANTS;
        let (path, body, to) = request(number / TENANTS);
        for user in to {
            *expected.entry(format!("t{tenant}/{user}")).or_default() += 1;
        }
        let backend = backends[tenant].clone();
        posting.spawn(async move {
            let answer = backend.post(&path, &body).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            assert_eq!(answer.json()["delivered"], true);
        });
        while posting.try_join_next().is_some() {}
    }
    let took = begun.elapsed();
    while let Some(posted) = posting.join_next().await {
        posted.unwrap();
    }
    let all: usize = expected.values().sum();
    let deadline = Instant::now() + Duration::from_secs(30);
    while received.total.load(Ordering::Relaxed) < all && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let got = received.by_user.lock().unwrap().clone();
    let lost: usize = expected
        .iter()
        .map(|(who, count)| count.saturating_sub(got.get(who).copied().unwrap_or(0)))
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = total as f64 / took.as_secs_f64();
    println!(
        "{total} events at {rate:.0}/s, {all} deliveries, {lost} lost, {} too many: {}",
        received.total.load(Ordering::Relaxed) - (all - lost),
        received.percentiles()
    );
    assert_eq!(lost, 0);
}

/// A socket of another tenant that does what it must not, until it is told to stop.
async fn misbehave(addr: SocketAddr, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let url = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await else {
            continue;
        };
        let auth = json!({"token": token("rude", "rude"), "tenantId": "rude"});
        socket.send(Message::text(format!("40{auth}"))).await.unwrap();
        let malformed = format!(r#"42["message:typing",{{"threadId":"{}"}}]"#, "x".repeat(100_000));
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for tick in 0..300 {
            ticks.tick().await;
            let joins = (0..10).map(|number| format!(r#"42["message:join-thread","t{tick}-{number}"]"#));
            for join in joins.chain((tick % 5 == 0).then(|| malformed.clone())) {
                if socket.feed(Message::text(join)).await.is_err() {
                    break;
                }
            }
            if socket.flush().await.is_err() || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        // An id of ten megabytes ends the connection.
        let huge = format!(r#"42["message:join-thread","{}"]"#, "x".repeat(10_000_000));
        drop(socket.send(Message::text(huge)).await);
    }
}

async fn a_rude_neighbour(seconds: u64) {
    let server = server().await;
    let received = Arc::new(Received::default());
    for number in 0..10 {
        listener(server.addr(), "t0".to_owned(), format!("u{number}"), received.clone()).await;
    }
    let backend = backend(&server, "t0");
    let stop = Arc::new(AtomicBool::new(false));
    for with_neighbour in [false, true] {
        let neighbour = with_neighbour.then(|| tokio::spawn(misbehave(server.addr(), stop.clone())));
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..seconds * 50 {
            ticks.tick().await;
            let body = json!({"event": "claim:updated", "entity": {"note": format!("{MARK}{}{MARK}", micros())}});
            backend.post("/api/events", &body).await.expect(202);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let with = if with_neighbour {
            "with a rude neighbour"
        } else {
            "alone"
        };
        println!("a tenant {with}: {}", received.percentiles());
        stop.store(true, Ordering::Relaxed);
        if let Some(neighbour) = neighbour {
            neighbour.await.unwrap();
        }
        stop.store(false, Ordering::Relaxed);
    }
    let metrics = server.rest().get("/metrics").await.text;
    let dropped = metrics
        .lines()
        .find(|line| line.starts_with("wardbell_ehr_client_events_dropped_total"));
    println!("{}", dropped.unwrap_or("nothing was dropped"));
}

fn main() {
    // cargo passes `--bench` as well.
    let seconds = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        a_thousand_users(seconds).await;
        a_rude_neighbour(seconds.min(20)).await;
    });
}
