//! Who takes part in a thread, when it is said by several at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Clinic, message, names, staff};
use crate::support::Client;

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
