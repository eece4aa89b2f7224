//! A server whose database was put back to an older state, as after a restored backup.

use serde_json::Value;

use super::next_alert;
use crate::support::{Client, TestServer};

/// The next alert's offset.
async fn offset(client: &mut Client) -> String {
    let arguments = client.expect_arguments("patient_alert").await;
    arguments[1].as_str().unwrap().to_owned()
}

async fn alerts(server: &TestServer, numbers: std::ops::Range<usize>) {
    for n in numbers {
        server.alert("P1", "critical", &n.to_string()).await;
    }
}

#[tokio::test]
async fn whoever_knows_an_event_that_the_log_has_lost_is_told_so_however_far_the_log_has_grown_since() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = server.visitor().asking_for_recovery().connect().await;
        client.join("patient_P1").await;
        clients.push(client);
    }
    alerts(&server, 0..1).await;
    let (mut knows_more, mut knows_less) = (clients.pop().unwrap(), clients.pop().unwrap());
    let pids = [&knows_more, &knows_less].map(|client| client.pid.clone().unwrap());
    let known = offset(&mut knows_less).await;
    knows_less.vanish();
    offset(&mut knows_more).await;
    let (database, copy) = (server.database(), server.database().with_extension("copy"));
    let setup = server.stop().await;
    std::fs::copy(&database, &copy).unwrap();
    let server = setup.start().await;
    let mut knows_more = server.visitor().returning(&pids[0], None).connect().await;
    assert_eq!(knows_more.pid.as_ref(), Some(&pids[0]));
    next_alert(&mut knows_more).await;
    alerts(&server, 1..4).await;
    let mut lost = String::new();
    for _ in 1..4 {
        lost = offset(&mut knows_more).await;
    }
    knows_more.vanish();

    let setup = server.stop().await;
    std::fs::copy(&copy, &database).unwrap();
    let server = setup.start().await;
    alerts(&server, 10..16).await;
    let mut knows_more = server.visitor().returning(&pids[0], Some(&lost)).connect().await;
    let mut knows_less = server.visitor().returning(&pids[1], Some(&known)).connect().await;

    assert_ne!(knows_more.pid.as_ref(), Some(&pids[0]), "not recovered");
    assert_ne!(knows_more.expect("recovery_gap").await["since"], Value::Null);
    assert_eq!(knows_less.pid.as_ref(), Some(&pids[1]), "recovered");
    for n in 10..16 {
        assert_eq!(next_alert(&mut knows_less).await, n.to_string());
    }
}
