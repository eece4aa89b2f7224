//! The spool before PostgreSQL: the conformance suite while the server is there, and what happens while it is not.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wardbell::bus::local::LocalBus;
use wardbell::clock::{ManualClock, SystemClock};
use wardbell::domain::bed::BedStatus;
use wardbell::domain::{EventId, Fact, Position, TenantId, Topic, UserId};
use wardbell::emitter::{Durability, EmitError, Emitted, Emitter};
use wardbell::ports::{
    Append, Appended, Bus, EventStore, HistoryQuery, MessageFor, Positioned, SPOOLED, StateChange, StateStore,
    StoreError,
};
use wardbell::store::postgres::{PostgresStore, Settings as PostgresSettings};
use wardbell::store::spool::{Settings, SpoolingStore};
use wardbell::telemetry::Metrics;

use super::conformance::{self, Fresh, fixtures::*};
use crate::support::postgres::Postgres;
use crate::support::{eventually, in_time};

async fn fresh() -> Fresh {
    let url = tokio::task::spawn_blocking(|| Postgres::shared().database())
        .await
        .unwrap();
    let home = TempDir::new().unwrap();
    let clock = ManualClock::starting_at(START);
    let store = PostgresStore::open(PostgresSettings::at(url), Arc::new(clock.clone()))
        .await
        .unwrap();
    let settings = Settings::at(home.path().join("spool.db"));
    let store = SpoolingStore::open(store, settings, Arc::new(clock.clone()), Metrics::new())
        .await
        .unwrap();
    Fresh {
        store: Arc::new(store),
        clock,
        _home: Box::new(home),
    }
}

conformance::suite!(fresh);

/// A server of the test's own, and a node's folder.
struct Ground {
    server: Arc<Postgres>,
    url: String,
    home: TempDir,
}

impl Ground {
    async fn new() -> Self {
        tokio::task::spawn_blocking(|| {
            let server = Arc::new(Postgres::start());
            let url = server.database();
            Self {
                server,
                url,
                home: TempDir::new().unwrap(),
            }
        })
        .await
        .unwrap()
    }

    async fn store(&self) -> SpoolingStore {
        self.store_with(self.settings()).await.unwrap()
    }

    fn settings(&self) -> Settings {
        Settings::at(self.home.path().join("spool.db"))
    }

    async fn store_with(&self, settings: Settings) -> Result<SpoolingStore, wardbell::store::spool::OpenError> {
        let store = PostgresStore::open(PostgresSettings::at(&self.url), Arc::new(SystemClock))
            .await
            .unwrap();
        SpoolingStore::open(store, settings, Arc::new(SystemClock), Metrics::new()).await
    }

    async fn restart_server(&self) {
        let server = Arc::clone(&self.server);
        tokio::task::spawn_blocking(move || server.restart()).await.unwrap();
    }
}

/// A node: a store, an emitter and a local bus.
struct Node {
    store: SpoolingStore,
    emitter: Emitter,
    told: mpsc::Receiver<Positioned>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Node {
    async fn start(store: SpoolingStore) -> Self {
        let last = store.last_position().await.unwrap_or(Position::START);
        let bus = Arc::new(LocalBus::after(last));
        let told = bus.subscribe();
        let (emitter, task) = Emitter::new(Arc::new(store.clone()), bus, Arc::new(SystemClock), Metrics::new());
        let stop = CancellationToken::new();
        let ended = tokio::spawn(task.run(stop.clone()));
        Self {
            store,
            emitter,
            told,
            stop,
            ended,
        }
    }

    async fn told(&mut self) -> Positioned {
        in_time("an event is told", self.told.recv()).await.unwrap()
    }

    async fn handed_over(&self) {
        eventually("everything is handed over", async || {
            self.store.waiting().await.ok().filter(|waiting| *waiting == 0)
        })
        .await;
    }

    /// Ends as a crash does: nothing is closed.
    async fn crash(self) {
        self.ended.abort();
        drop(self.ended.await);
        drop((self.store, self.emitter, self.told, self.stop));
    }
}

/// An event of twenty kilobytes.
fn large() -> wardbell::domain::Event {
    wardbell::domain::Event {
        payload: wardbell::domain::Payload::from_json(format!("{{\"x\":\"{}\"}}", "x".repeat(20_000))),
        ..event(&["a"])
    }
}

async fn in_log(store: &SpoolingStore) -> Vec<EventId> {
    let page = store.published_after(Position::START, 10_000).await.unwrap();
    page.into_iter().map(|one| one.event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_gone_alerts_are_told_kept_and_handed_over_in_order_when_it_is_back() {
    let ground = Ground::new().await;
    let mut node = Node::start(ground.store().await).await;
    let before = alert("P1");
    assert_eq!(
        node.emitter.emit(append([before.clone()])).await.unwrap(),
        Emitted::Now(Durability::Committed)
    );
    assert_eq!(node.told().await.event.id, before.id);

    ground.server.kill();
    let alerts: Vec<_> = (0..50).map(|_| alert("P1")).collect();
    let mut positions = Vec::new();
    for alert in &alerts {
        let emitted = node.emitter.emit(append([alert.clone()])).await.unwrap();
        assert_eq!(emitted, Emitted::Now(Durability::Spooled));
        let told = node.told().await;
        assert_eq!(told.event.id, alert.id);
        positions.push(told.position);
    }
    assert!(node.store.is_spooling());
    assert!(positions.is_sorted() && positions[0] > Position::from_sequence(1));
    assert_eq!(node.store.waiting().await.unwrap(), 50);
    let record = node.store.alert(alerts[7].id).await.unwrap().unwrap();
    assert!(record.published_at.is_some());
    assert_eq!(node.store.position_of(alerts[7].id).await.unwrap(), Some(positions[7]));
    ground.restart_server().await;
    node.handed_over().await;

    let after = alert("P1");
    node.emitter.emit(append([after.clone()])).await.unwrap();
    let expected: Vec<EventId> = [&before]
        .into_iter()
        .chain(&alerts)
        .chain([&after])
        .map(|one| one.id)
        .collect();
    assert_eq!(in_log(&node.store).await, expected);
    for (alert, position) in alerts.iter().zip(positions) {
        assert_eq!(node.store.position_of(alert.id).await.unwrap(), Some(position));
    }
    assert_eq!(node.told().await.event.id, after.id, "nothing is told twice");
    let query = HistoryQuery {
        patient_id: Some(patient("P1")),
        limit: 100,
        ..HistoryQuery::default()
    };
    assert_eq!(node.store.history(&query).await.unwrap().alerts.len(), 52);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_and_starts_again_during_the_outage_loses_nothing_and_doubles_nothing_in_the_store() {
    let ground = Ground::new().await;
    let node = Node::start(ground.store().await).await;
    node.emitter.emit(append([event(&["a"])])).await.unwrap();
    ground.server.kill();
    let mut kept = Vec::new();
    for _ in 0..20 {
        let event = event(&["a"]);
        kept.push(event.id);
        assert_eq!(
            node.emitter.emit(append([event])).await.unwrap(),
            Emitted::Now(Durability::Spooled)
        );
    }

    node.crash().await;
    let node = Node::start(
        eventually("the spool is free", async || {
            ground.store_with(ground.settings()).await.ok()
        })
        .await,
    )
    .await;
    let last = event(&["a"]);
    kept.push(last.id);
    node.emitter.emit(append([last])).await.unwrap();
    assert_eq!(node.store.waiting().await.unwrap(), 21);
    ground.restart_server().await;
    node.handed_over().await;

    let log = in_log(&node.store).await;
    assert_eq!(log.len(), 22);
    assert!(kept.iter().all(|id| log.contains(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_handing_over_and_forgetting_hands_over_again_without_doubling() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    ground.server.kill();
    let batch: Vec<Append> = (0..10)
        .map(|n| Append {
            once: Some(once(&format!("k{n}"), 1, "{}")),
            ..append([alert("P1")])
        })
        .collect();
    let kept = eventually("the outage is noticed", async || store.commit(batch.clone()).await.ok()).await;
    assert!(kept.iter().all(|outcome| matches!(outcome, Appended::Spooled(_))));
    // What the spool holds is in the store already: as if the node had died just before it forgot.
    let copy = ground.home.path().join("copy");
    store.close().await;
    drop(store);
    std::fs::create_dir(&copy).unwrap();
    for file in ["spool.db", "spool.db-wal"] {
        drop(std::fs::copy(ground.home.path().join(file), copy.join(file)));
    }
    ground.restart_server().await;
    let first = eventually("the spool is free", async || {
        ground.store_with(ground.settings()).await.ok()
    })
    .await;
    eventually("everything is handed over", async || {
        first.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;

    let again = ground.store_with(Settings::at(copy.join("spool.db"))).await.unwrap();
    assert_eq!(again.waiting().await.unwrap(), 10);
    eventually("everything is handed over", async || {
        again.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;

    let log = in_log(&again).await;
    assert_eq!((log.len(), log.iter().collect::<HashSet<_>>().len()), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_another_node_has_answered_just_before_the_outage_has_its_effect_once() {
    let ground = Ground::new().await;
    let other = PostgresStore::open(PostgresSettings::at(&ground.url), Arc::new(SystemClock));
    let other = other.await.unwrap();
    let with_key = |key: &str, body: u8, outcome: &str| Append {
        once: Some(once(key, body, outcome)),
        ..append([alert("P1"), event(&["a"])])
    };
    let first = with_key("k1", 1, "the other's");
    commit(&other, first.clone()).await;
    commit(&other, with_key("k2", 1, "the other's")).await;
    let mut node = Node::start(ground.store().await).await;
    ground.server.kill();

    let again = with_key("k1", 1, "ours");
    let another_body = with_key("k2", 2, "ours");
    let new = with_key("k3", 1, "ours");
    for append in [&again, &another_body, &new] {
        let emitted = node.emitter.emit(append.clone()).await.unwrap();
        assert_eq!(emitted, Emitted::Now(Durability::Spooled));
        assert_eq!(
            node.told().await.event.id,
            append.events[0].id,
            "rather twice than never"
        );
        node.told().await;
    }
    ground.restart_server().await;
    node.handed_over().await;

    let log = in_log(&node.store).await;
    let has = |append: &Append| append.events.iter().filter(|event| log.contains(&event.id)).count();
    assert_eq!(has(&first), 2);
    assert_eq!(has(&again), 0, "its effect is there already");
    assert_eq!(has(&another_body), 2, "another alert under the same key is not lost");
    assert_eq!(has(&new), 2);
    assert_eq!(log.len(), 8);
    for (key, outcome) in [("k1", "the other's"), ("k2", "the other's"), ("k3", "ours")] {
        let once = once(key, 1, outcome);
        let kept = node.store.outcome_of(&once.scope, key).await.unwrap();
        assert_eq!(kept, Some((once.fingerprint, once.outcome)), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_again_during_the_outage_has_its_effect_once() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    let asking = |key: &str, body| Append {
        once: Some(once(key, body, key)),
        ..append([alert("P1")])
    };
    store.commit(vec![asking("before", 1)]).await.unwrap();
    ground.server.kill();

    let outcomes = store
        .commit(vec![
            asking("before", 1),
            asking("during", 1),
            asking("during", 1),
            asking("during", 2),
        ])
        .await
        .unwrap();
    let again = store.commit(vec![asking("during", 1)]).await.unwrap();

    assert_eq!(outcomes[0], Appended::Repeated("before".to_owned()));
    assert!(matches!(&outcomes[1], Appended::Spooled(numbers) if numbers[0] >= SPOOLED));
    assert_eq!(
        outcomes[2..],
        [Appended::Repeated("during".to_owned()), Appended::KeyReused]
    );
    assert_eq!(again, [Appended::Repeated("during".to_owned())]);
    let known = store.outcome_of("caller POST /api", "during").await.unwrap();
    assert_eq!(known, Some(([1; 32], "during".to_owned())));
    assert_eq!(store.outcome_of("caller POST /api", "new").await.unwrap(), None);
    ground.restart_server().await;
    eventually("everything is handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;
    let afterwards = store.commit(vec![asking("during", 1)]).await.unwrap();
    assert_eq!(afterwards, [Appended::Repeated("during".to_owned())]);
    assert_eq!(in_log(&store).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ehr_says_during_the_outage_is_known_afterwards() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    let (tenant, user) = (TenantId::parse("a").unwrap(), UserId::parse("u1").unwrap());
    ground.server.kill();
    let fact = Fact {
        tenant: tenant.clone(),
        topic: Topic::Participants,
        id: "T1".to_owned(),
        value: r#"["u1"]"#.to_owned(),
        at: START,
    };
    let letter = |message: &str| MessageFor {
        tenant: tenant.clone(),
        user: user.clone(),
        message: message.to_owned(),
        at: START,
    };
    let changes = [
        StateChange::Fact(fact.clone()),
        StateChange::Unread(letter("M1")),
        StateChange::Unread(letter("M2")),
        StateChange::Read(letter("M1")),
    ];

    let outcomes = store.commit(vec![changing(changes)]).await.unwrap();

    assert!(matches!(outcomes[..], [Appended::Spooled(_)]), "{outcomes:?}");
    let known = store.fact(&tenant, Topic::Participants, "T1").await.unwrap();
    assert_eq!(known.as_ref(), Some(&fact), "while the store is away");
    assert!(store.fact(&tenant, Topic::Participants, "T2").await.is_err());
    ground.restart_server().await;
    eventually("everything is handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;
    assert_eq!(
        store.fact(&tenant, Topic::Participants, "T1").await.unwrap(),
        Some(fact)
    );
    assert_eq!(store.unread(&tenant, &user).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ehr_says_and_waits_here_is_newer_than_what_the_store_has() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    let database = ground.url.rsplit_once('/').unwrap().1;
    ground
        .server
        .sql(database, "ALTER TABLE events ADD CHECK (payload <> 'poison')");
    let said = |value: &str, seconds| {
        StateChange::Fact(Fact {
            tenant: TenantId::parse("a").unwrap(),
            topic: Topic::Participants,
            id: "T1".to_owned(),
            value: value.to_owned(),
            at: at(seconds),
        })
    };
    let known = async || {
        let tenant = TenantId::parse("a").unwrap();
        let fact = store.fact(&tenant, Topic::Participants, "T1").await.unwrap();
        fact.map(|fact| fact.value)
    };
    commit(&store, changing([said("before", 1)])).await;
    let mut poison = event(&["a"]);
    poison.payload = wardbell::domain::Payload::from_json("poison");
    // It is not published, so that the spool holds it for seconds although the store is there.
    let spooled = Append {
        changes: vec![said("first", 2), said("then", 2)],
        ..append([poison])
    };

    let outcomes = store.commit(vec![spooled]).await.unwrap();
    let held = known().await;
    commit(&store, changing([said("by another node, later", 3)])).await;
    let later = known().await;

    assert!(matches!(outcomes[..], [Appended::Spooled(_)]), "{outcomes:?}");
    assert_eq!(held.as_deref(), Some("then"));
    assert_eq!(later.as_deref(), Some("by another node, later"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_store_can_decide_is_refused_during_the_outage_and_the_rest_is_kept() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    commit(
        &store,
        changing([StateChange::PatientHospital(patient("P1"), hospital("H1"))]),
    )
    .await;
    ground.server.kill();
    let change = StateChange::Bed {
        bed: bed("H1", "B1", None, BedStatus::Occupied),
        expected: 0,
        raised: Vec::new(),
    };
    let moved = StateChange::PatientHospital(patient("P2"), hospital("H2"));

    let outcomes = store
        .commit(vec![changing([change]), changing([moved]), append([alert("P1")])])
        .await
        .unwrap();

    assert!(
        matches!(
            &outcomes[..],
            [Appended::Conflict, Appended::Spooled(_), Appended::Spooled(_)]
        ),
        "{outcomes:?}"
    );
    assert!(matches!(
        store.bed_board(&hospital("H1")).await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(store.hospital_of(&patient("P1")).await.unwrap(), Some(hospital("H1")));
    assert_eq!(store.hospital_of(&patient("P2")).await.unwrap(), Some(hospital("H2")));
    assert!(store.hospital_of(&patient("P3")).await.is_err(), "nothing is guessed");
    assert!(store.recent_alerts(&patient("P1"), START).await.unwrap().is_empty());
    ground.restart_server().await;
    eventually("everything is handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;
    assert_eq!(store.hospital_of(&patient("P2")).await.unwrap(), Some(hospital("H2")));
    assert!(store.beds(&hospital("H1")).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_makes_nobody_wait_longer_than_promised() {
    let ground = Ground::new().await;
    let node = Node::start(ground.store().await).await;
    node.emitter.emit(append([event(&["a"])])).await.unwrap();

    ground.server.freeze();
    let posts = (0..30).map(|n| {
        let emitter = node.emitter.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(100 * n)).await;
            let begun = Instant::now();
            (emitter.emit(append([event(&["a"])])).await, begun.elapsed())
        }
    });
    let posts = futures_util::future::join_all(posts).await;
    ground.server.thaw();

    for (outcome, took) in posts {
        assert!(matches!(outcome, Ok(Emitted::Now(Durability::Spooled))), "{outcome:?}");
        // The contract's bound, not a measure of speed.
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    node.handed_over().await;
    assert_eq!(in_log(&node.store).await.len(), 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_is_full_refuses_and_keeps_what_it_has() {
    let ground = Ground::new().await;
    let store = ground
        .store_with(Settings {
            max_bytes: 300_000,
            ..ground.settings()
        })
        .await
        .unwrap();
    ground.server.kill();

    let mut kept = 0;
    let refused = loop {
        match store.commit(vec![append([large()])]).await {
            Ok(outcomes) => {
                assert!(matches!(outcomes[0], Appended::Spooled(_)));
                kept += 1;
                assert!(kept < 100, "it never fills");
            }
            Err(error) => break error,
        }
    };

    assert!(matches!(refused, StoreError::Unavailable(_)));
    assert!(kept > 3);
    assert_eq!(store.waiting().await.unwrap(), kept);
    ground.restart_server().await;
    eventually("everything is handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;
    assert_eq!(in_log(&store).await.len() as u64, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_the_store_refuses_for_good_is_put_aside_and_holds_nobody_up() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    let database = ground.url.rsplit_once('/').unwrap().1;
    let check = "ALTER TABLE events ADD CHECK (payload <> 'poison')";
    ground.server.sql(database, check);
    ground.server.kill();
    let mut poison = event(&["a"]);
    poison.payload = wardbell::domain::Payload::from_json("poison");
    let (before, after) = (event(&["a"]), event(&["a"]));
    for event in [&before, &poison, &after] {
        store.commit(vec![append([event.clone()])]).await.unwrap();
    }

    ground.restart_server().await;
    eventually("the others are handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;

    assert_eq!(in_log(&store).await, [before.id, after.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_exceeds_a_limit_of_the_server_is_put_aside_and_holds_nobody_up() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    // More than a page of an index can hold, and nothing that could be compressed.
    let fact = Fact {
        tenant: TenantId::parse("a").unwrap(),
        topic: Topic::Appointment,
        id: (0..300).map(|_| uuid::Uuid::new_v4().to_string()).collect(),
        value: "{}".to_owned(),
        at: START,
    };
    let poison = Append {
        changes: vec![StateChange::Fact(fact)],
        ..append([event(&["a"])])
    };
    let (beside, after) = (event(&["a"]), alert("P1"));

    // All that share a commit with it are spooled with it.
    let outcomes = store.commit(vec![poison, append([beside.clone()])]).await.unwrap();
    assert!(
        matches!(outcomes[..], [Appended::Spooled(_), Appended::Spooled(_)]),
        "{outcomes:?}"
    );
    store.commit(vec![append([after.clone()])]).await.unwrap();
    eventually("the others are handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;

    let log: HashSet<EventId> = in_log(&store).await.into_iter().collect();
    assert_eq!(log, HashSet::from([beside.id, after.id]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spooled_waits_for_a_table_that_somebody_has_taken_away() {
    let ground = Ground::new().await;
    let store = ground.store().await;
    let database = ground.url.rsplit_once('/').unwrap().1;
    let rollbacks = || {
        let count = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        ground.server.sql(database, count).trim().parse::<u64>().unwrap()
    };
    ground.server.sql(database, "ALTER TABLE events RENAME TO elsewhere");
    let event = event(&["a"]);

    let outcomes = store.commit(vec![append([event.clone()])]).await.unwrap();
    assert!(matches!(outcomes[..], [Appended::Spooled(_)]), "{outcomes:?}");
    let before = rollbacks();
    eventually("it was tried several times", async || {
        (rollbacks() > before + 2).then_some(())
    })
    .await;
    ground.server.sql(database, "ALTER TABLE elsewhere RENAME TO events");
    eventually("it is handed over", async || {
        store.waiting().await.ok().filter(|n| *n == 0)
    })
    .await;

    assert_eq!(in_log(&store).await, [event.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_of_another_process_and_a_file_that_is_none_are_refused_and_left_alone() {
    let ground = Ground::new().await;
    let first = ground.store().await;
    let second = ground.store_with(ground.settings()).await;
    let garbage = ground.home.path().join("garbage.db");
    std::fs::write(&garbage, "this is a letter to my aunt".repeat(100)).unwrap();
    let third = ground.store_with(Settings::at(&garbage)).await;

    assert!(second.is_err() && third.is_err());
    assert_eq!(
        std::fs::read(Path::new(&garbage)).unwrap(),
        "this is a letter to my aunt".repeat(100).as_bytes()
    );
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_disk_and_without_the_server_a_post_is_refused() {
    let ground = Ground::new().await;
    let node = Node::start(
        ground
            .store_with(Settings {
                max_bytes: 1,
                ..ground.settings()
            })
            .await
            .unwrap(),
    )
    .await;
    ground.server.kill();

    let refused = node.emitter.emit(append([large()])).await;

    assert!(
        matches!(refused, Err(EmitError::Unavailable(StoreError::Unavailable(_)))),
        "{refused:?}"
    );
}
