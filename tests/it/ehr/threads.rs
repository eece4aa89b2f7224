//! Who takes part in a thread, when several say it at once or whoever says it does not wait.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wardbell::clock::{Clock as _, SystemClock};

use super::{Clinic, EHR_SECRET, message, names, next, staff};
use crate::support::postgres::Postgres;
use crate::support::process::Setup;
use crate::support::{Client, eventually};

/// Who of these is told of the next message of the thread.
async fn told(clinic: &Clinic, clients: &mut [Client], number: usize) -> Vec<String> {
    let writer = staff("a", "writer");
    let said = json!({"message": message(&format!("M{number}"), "T1", "writer")});
    clinic
        .rest(&writer)
        .post("/api/messaging/T1/messages", &said)
        .await
        .expect(202);
    let mut told = Vec::new();
    for (index, client) in clients.iter_mut().enumerate() {
        let user = format!("u{index}");
        let heard = clinic.heard(client, &staff("a", &user)).await;
        if names(&heard).contains(&"message:new") {
            told.push(user);
        }
    }
    told
}

/// Who takes part, by what is kept.
fn kept(clinic: &Clinic) -> Vec<String> {
    let database = rusqlite::Connection::open(clinic.server.database()).unwrap();
    let facts = "SELECT value FROM facts WHERE tenant = 'a' AND topic = 'participants' AND id = 'T1'";
    let value: String = database.query_row(facts, [], |row| row.get(0)).unwrap();
    serde_json::from_str(&value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_is_said_at_once_that_is_believed_which_was_kept_last() {
    let clinic = Clinic::start().await;
    let who = staff("a", "writer");
    let rest = clinic.rest(&who);
    let users: Vec<String> = (0..8).map(|number| format!("u{number}")).collect();
    let mut clients = Vec::new();
    for user in &users {
        clients.push(clinic.connect(&staff("a", user)).await);
    }

    for round in 0..20 {
        let said: Vec<Value> = users.iter().map(|user| json!({"participants": [user]})).collect();
        let puts = said.iter().map(|body| rest.put("/api/messaging/T1/participants", body));
        for answer in join_all(puts).await {
            answer.expect(202);
        }

        assert_eq!(told(&clinic, &mut clients, round).await, kept(&clinic), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backend_said_that_did_not_wait_for_the_answer_is_believed() {
    let database = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let setup = Setup::new().set("JWT_SECRET", EHR_SECRET);
    let server = setup.set("DATABASE_URL", &database.database()).start().await;
    let (path, third) = ("/api/messaging/T1", staff("a", "u3").token(SystemClock.now()));
    let rest = server.rest().token(&third).header("x-tenant-id", "a");
    let auth = json!({"token": third, "tenantId": "a"});
    let mut client = server.visitor().auth(auth).attempt_without_greeting().await.unwrap();
    let participants = |ids: [&str; 2]| json!({"participants": ids});
    rest.put(&format!("{path}/participants"), &participants(["u1", "u2"]))
        .await
        .expect(202);

    // It is taken and cannot be kept yet when the backend hangs up.
    database.freeze();
    let hasty = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_millis(500));
    let said = hasty
        .build()
        .unwrap()
        .put(format!("http://{}{path}/participants", server.addr()));
    let said = said.bearer_auth(&third).header("x-tenant-id", "a");
    let said = said.json(&participants(["u1", "u3"])).send().await;
    assert!(said.unwrap_err().is_timeout());
    database.thaw();

    let mut number = 0;
    eventually("the third is told of a message", async || {
        number += 1;
        let said = json!({"message": message(&format!("M{number}"), "T1", "u1")});
        rest.post(&format!("{path}/messages"), &said).await.expect(202);
        let marker = json!({"event": "claim:paid", "entity": {}});
        rest.post("/api/events", &marker).await.expect(202);
        let mut is_told = false;
        loop {
            match next(&mut client).await {
                (name, _) if name == "message:new" => is_told = true,
                (name, _) if name == "claim:paid" => return is_told.then_some(()),
                _ => {}
            }
        }
    })
    .await;
}
