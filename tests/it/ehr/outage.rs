//! What the EHR's backend is answered while the database is gone, and what pages hear.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Clinic, Staff, appointment, message, names, staff, until};
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

    async fn heard(&mut self) -> Vec<(String, Value)> {
        self.clinic.heard(&mut self.page, &self.who).await
    }

    async fn database_is_back(&self) {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || database.restart()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_is_answered_202_while_the_database_is_gone_and_pages_hear() {
    let mut scene = Scene::new().await;
    let rest = scene.clinic.rest(&scene.who);
    scene.database.kill();

    let task = json!({"title": "Call", "assignedTo": "u1"});
    let result = json!({"status": "final", "providerUserId": "u1"});
    let read = json!({"threadId": "T1", "readBy": "u1"});
    for (path, body, told) in [
        ("/api/tasks/K1", &task, "notification:new"),
        ("/api/lab-results/R1", &result, "notification:new"),
        ("/api/messages/M1/read", &read, "message:read"),
        ("/api/appointments/A1", &appointment("A1"), "appointment:updated"),
        // What is here already need not be asked of the database.
        (
            "/api/appointments/A1/status",
            &json!({"status": "in_room"}),
            "appointment:updated",
        ),
    ] {
        let answer = rest.patch(path, body).await.expect(202);

        assert!(answer["event_id"].is_string(), "{path}: {answer}");
        assert_eq!(names(&scene.heard().await), [told], "{path}");
    }
    let again = rest.patch("/api/tasks/K1", &task).await.expect(202);
    assert_eq!(again["event_id"], Value::Null, "that is known here");
    // Nobody but the database knows whom, and of what.
    let nobody_said = json!({"message": message("M1", "T1", "u1")});
    rest.post("/api/messaging/T1/messages", &nobody_said).await.expect(503);
    let in_room = json!({"status": "in_room"});
    rest.patch("/api/appointments/A2/status", &in_room).await.expect(503);
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
