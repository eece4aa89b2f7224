//! The database is lost and restored from a backup that was taken while alerts flowed, by the commands that the README gives.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use wardbell::clock::{Clock, SystemClock};

use super::flow::{PATIENT, Sender, backend, history, post, token_mode};
use crate::cluster::nodes::Cluster;
use crate::interop::{Library, Options, Stock};
use crate::support::{Client, Packet, Transport, Visitor, doctor, eventually};

/// Runs the README's block of commands that begins with this comment.
fn run_readme(title: &str, folder: &Path, variables: &[(&str, &str)]) {
    let readme = include_str!("../../README.md");
    let mut blocks = readme
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"));
    let (commands, _) = blocks
        .find(|(commands, _)| commands.starts_with(title))
        .unwrap_or_else(|| panic!("the README has no commands for {title}"));
    let done = Command::new("sh")
        .args(["-e", "-c", commands])
        .envs(variables.iter().copied())
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{title}: {}\n{said}", done.status);
}

fn auth() -> Value {
    json!({"token": doctor().of("H-1").token(SystemClock.now()), "recovery": true})
}

/// A client that was there and goes away.
struct Away {
    pid: String,
    offset: String,
}

impl Away {
    /// Hears an alert and vanishes.
    async fn from(visitor: Visitor) -> Self {
        let mut client = visitor.auth(auth()).connect().await;
        client.emit("join_room", json!({"room": format!("patient_{PATIENT}")}));
        // The first alert may come before the answer or after it.
        let heard = loop {
            match client.next("an alert").await {
                Packet::Event(name, arguments) if name == "patient_alert" => break arguments,
                Packet::Event(name, _) if name == "room_joined" => {}
                other => panic!("{other:?}"),
            }
        };
        let away = Self {
            pid: client.pid.clone().unwrap(),
            offset: heard[1].as_str().unwrap().to_owned(),
        };
        client.vanish();
        away
    }

    /// Comes back, and is told that it has missed something.
    async fn returns_to_a_gap(self, visitor: Visitor) {
        let mut client = visitor
            .auth(auth())
            .returning(&self.pid, Some(&self.offset))
            .connect()
            .await;
        assert_ne!(client.pid.as_ref(), Some(&self.pid), "not as if nothing had happened");
        client.expect("recovery_gap").await;
    }
}

/// A stock client that stays and comes back by itself.
async fn watcher(addr: std::net::SocketAddr) -> Stock {
    let options = Options::new(Library::JavaScript("newest"), Transport::Websocket).auth(auth());
    let mut client = options.start(addr);
    client.connected().await;
    client.join(&format!("patient_{PATIENT}")).await;
    client
}

/// Waits until it is back and has been told that something is missing.
async fn until_told_of_the_gap(client: &mut Stock) {
    let mut is_back = false;
    loop {
        let happened = client.next("the gap").await;
        match happened["on"].as_str() {
            Some("connect") => {
                assert_eq!(happened["recovered"], false, "{happened}");
                is_back = true;
            }
            Some("recovery_gap") => {
                assert!(is_back);
                return;
            }
            // From before the end.
            Some("patient_alert") => assert!(!is_back, "{happened}"),
            Some("disconnect" | "connect_error" | "connection_response") => {}
            _ => panic!("{happened}"),
        }
    }
}

async fn next_alert(client: &mut Client) -> String {
    let alert = client.expect("patient_alert").await;
    alert["alert_id"].as_str().unwrap().to_owned()
}

async fn newcomer(visitor: Visitor) -> Client {
    let mut client = visitor.auth(auth()).connect().await;
    client.join(&format!("patient_{PATIENT}")).await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn a_sqlite_database_is_restored_from_a_backup_and_nobody_misses_alerts_in_silence() {
    let ground = TempDir::new().unwrap();
    std::fs::create_dir(ground.path().join("data")).unwrap();
    let server = token_mode()
        .in_folder(&ground.path().join("data"))
        .logging_to(ground.path())
        .start()
        .await;
    let addr = server.addr();
    let mut stays = watcher(addr).await;
    let sender = Sender::start(addr, 5, Duration::from_millis(20));
    let from_before = Away::from(server.visitor()).await;
    sender.until_accepted(200).await;
    let kept = history(&backend(addr)).await;

    run_readme("# SQLite, backup", ground.path(), &[]);
    sender.until_accepted(200).await;
    let from_after = Away::from(server.visitor()).await;
    sender.stop().await;
    let setup = server.kill();
    std::fs::write(setup.database(), "nothing that anybody can read").unwrap();
    let mut refused = setup.clone().launch();
    assert!(!refused.ended().await.success(), "a damaged database is refused");
    run_readme("# SQLite, restore", ground.path(), &[]);
    let server = setup.start().await;

    until_told_of_the_gap(&mut stays).await;
    let restored = history(&backend(addr)).await;
    assert!(
        kept.len() >= 200 && kept.is_subset(&restored),
        "everything from before the backup"
    );
    // Past every position that anybody had before.
    for _ in 0..300 {
        post(&backend(addr), "new").await.expect("alerts are accepted");
    }
    from_before.returns_to_a_gap(server.visitor()).await;
    from_after.returns_to_a_gap(server.visitor()).await;
    let mut new = newcomer(server.visitor()).await;
    stays.join(&format!("patient_{PATIENT}")).await;
    let last = post(&backend(addr), "last").await.unwrap();
    assert_eq!(next_alert(&mut new).await, last);
    assert_eq!(stays.expect_event("patient_alert").await["alert_id"], last);
}

/// Loses the database of two nodes, one of which holds accepted alerts in its spool, and restores it.
async fn a_shared_database_is_restored(is_redis_cleared: bool) {
    let ground = TempDir::new().unwrap();
    let mut cluster = Cluster::of(2).await;
    let addrs = cluster.addrs();
    let (url, redis) = (cluster.url.clone(), cluster.redis.url());
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", redis.as_str())];
    let mut stays = watcher(addrs[0]).await;
    let sender = Sender::to_each_of(&addrs, 6, Duration::from_millis(20));
    let from_before = Away::from(cluster.node(0).visitor()).await;
    sender.until_accepted(200).await;
    let kept = history(&backend(addrs[0])).await;

    run_readme("# PostgreSQL, backup", ground.path(), &variables);
    sender.until_accepted(200).await;
    let from_after = Away::from(cluster.node(1).visitor()).await;
    sender.stop().await;
    cluster.database.kill();
    let mut spooled = HashSet::new();
    for _ in 0..3 {
        spooled.extend(post(&backend(addrs[0]), "spooled").await);
    }
    assert_eq!(spooled.len(), 3);
    cluster.kill(0);
    cluster.kill(1);
    let database = cluster.database.clone();
    tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    let name = url.rsplit_once('/').unwrap().1;
    cluster
        .database
        .sql(name, "DROP TABLE events, outcomes CASCADE; TRUNCATE numbering");
    if is_redis_cleared {
        run_readme("# PostgreSQL, restore", ground.path(), &variables);
        assert_eq!(cluster.redis.ask(&["dbsize"]), "0");
    } else {
        // As if somebody had forgotten.
        let elsewhere = [variables[0], ("REDIS_URL", "redis://127.0.0.1:1")];
        run_readme("# PostgreSQL, restore", ground.path(), &elsewhere);
        assert_ne!(cluster.redis.ask(&["xlen", "wardbell:events"]), "0");
    }
    cluster.start(0).await;
    cluster.start(1).await;

    until_told_of_the_gap(&mut stays).await;
    eventually("what was spooled is handed over", async || {
        let metrics = cluster.node(0).rest().get("/metrics").await;
        metrics
            .text
            .lines()
            .any(|line| line == "wardbell_spooled 0")
            .then_some(())
    })
    .await;
    let restored = history(&backend(addrs[1])).await;
    assert!(
        kept.len() >= 200 && kept.is_subset(&restored),
        "everything from before the backup"
    );
    assert!(spooled.is_subset(&restored), "everything that was spooled");
    let mut new = Vec::new();
    for node in 0..2 {
        new.push(newcomer(cluster.node(node).visitor()).await);
    }
    // Past every position that anybody had before, and from both nodes: everybody hears them, once, in one order.
    let mut posted = Vec::new();
    for number in 0..300 {
        posted.push(
            post(&backend(addrs[number % 2]), "new")
                .await
                .expect("alerts are accepted"),
        );
    }
    for client in &mut new {
        for id in &posted {
            assert_eq!(next_alert(client).await, *id);
        }
    }
    from_after.returns_to_a_gap(cluster.node(0).visitor()).await;
    if is_redis_cleared {
        from_before.returns_to_a_gap(cluster.node(1).visitor()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn a_postgresql_database_is_restored_from_a_backup_and_nobody_misses_alerts_in_silence() {
    a_shared_database_is_restored(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the stock clients: make outage"]
async fn a_restore_that_forgets_redis_makes_nobody_miss_alerts_in_silence() {
    a_shared_database_is_restored(false).await;
}
