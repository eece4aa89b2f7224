//! What the EHR's backend is answered while the database is gone, and what pages hear.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::{Clinic, Staff, appointment, staff, until};
use crate::support::postgres::Postgres;
use crate::support::{Client, eventually};

/// A clinic whose database can be killed, and somebody whose page is open.
struct Scene {
    clinic: Clinic,
    database: Arc<Postgres>,
    who: Staff,
    page: Client,
    _home: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let database = tokio::task::spawn_blocking(|| Arc::new(Postgres::start()))
            .await
            .unwrap();
        let home = TempDir::new().unwrap();
        let spool = home.path().join("spool.db");
        let builder = Clinic::builder()
            .set("DATABASE_URL", &database.database())
            .set("WARDBELL__STORE__SPOOL", spool.to_str().unwrap())
            .set("WARDBELL__STORE__SPOOL_MAX_BYTES", "1048576");
        let clinic = Clinic::of(builder).await;
        let who = staff("a", "u1");
        let page = clinic.connect(&who).await;
        Self {
            clinic,
            database,
            who,
            page,
            _home: home,
        }
    }

    async fn database_is_back(&self) {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_told_is_known_before_it_is_kept() {
    let mut scene = Scene::new().await;
    let rest = scene.clinic.rest(&scene.who);
    scene.database.kill();
    // Until the spool is full as well: from then on it waits in memory.
    let large = json!({"event": "claim:created", "entity": {"note": "x".repeat(200_000)}, "room": "user:nobody"});
    eventually("the spool is full", async || {
        let answer = rest.post("/api/events", &large).await.expect(202);
        (answer["delivered"] == false).then_some(())
    })
    .await;

    let made = rest.post("/api/appointments", &appointment("A1")).await.expect(202);
    let in_room = json!({"status": "in_room"});
    let changed = rest.patch("/api/appointments/A1/status", &in_room).await.expect(202);
    scene.database_is_back().await;

    assert_eq!(
        (&made["delivered"], &changed["delivered"]),
        (&json!(false), &json!(false))
    );
    let mut whole = appointment("A1");
    assert_eq!(
        until(&mut scene.page, "appointment:created").await["appointment"],
        whole
    );
    whole["status"] = json!("in_room");
    assert_eq!(
        until(&mut scene.page, "appointment:updated").await["appointment"],
        whole
    );
}
