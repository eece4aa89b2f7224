//! Clients that freeze, never read, or come and go.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::task::JoinSet;

use super::flow::{Counter, PATIENT, Sender, settle, token_mode};
use super::is_soak;
use crate::support::process::Setup;
use crate::support::{Rest, ServerProcess, Transport, eventually};

fn short_pings(setup: Setup) -> Setup {
    setup
        .set("SOCKET_IO_PING_INTERVAL", "1")
        .set("SOCKET_IO_PING_TIMEOUT", "2")
}

#[tokio::test]
#[ignore = "needs the stock clients: make outage"]
async fn a_frozen_client_misses_nothing_once_it_moves_again() {
    let server = short_pings(token_mode()).start().await;
    let mut counters = Vec::new();
    for transport in Transport::ALL {
        counters.push(Counter::start(server.addr(), transport, None).await);
    }
    let sender = Sender::start(server.addr(), 20, Duration::from_millis(50));

    for counter in &counters {
        kill(Pid::from_raw(i32::try_from(counter.pid()).unwrap()), Signal::SIGSTOP).unwrap();
    }
    // Longer than the pings bear, and far more events than a buffer holds.
    sender.until_accepted(3_000).await;
    for counter in &counters {
        kill(Pid::from_raw(i32::try_from(counter.pid()).unwrap()), Signal::SIGCONT).unwrap();
    }

    settle("client frozen", server.addr(), sender, &counters).await;
}

#[tokio::test]
#[ignore = "with the other outages: make outage"]
async fn a_client_that_never_reads_is_gone_from_its_rooms() {
    let server = short_pings(Setup::new()).start().await;
    let rest = server.rest();
    for transport in Transport::ALL {
        let room = format!("patient_{PATIENT}");
        let mut client = server.visitor().over(transport).connect().await;
        client.join(&room).await;
        assert_eq!(members(&rest, &room).await, 1);

        client.hold_still();
        // More than the kernel's buffers take.
        for _ in 0..100 {
            let alert_data = json!({"notes": "x".repeat(100_000)});
            let body = json!({"patient_id": PATIENT, "alert_type": "critical", "alert_data": alert_data});
            assert!(rest.post("/api/alerts/patient", &body).await.status.is_success());
        }

        eventually(&format!("{transport:?}: gone"), async || {
            (members(&rest, &room).await == 0 && connections(&rest).await == 0).then_some(())
        })
        .await;
    }
}

async fn members(rest: &Rest, room: &str) -> u64 {
    rest.get("/api/status/socket").await.expect(200)["rooms"][room]
        .as_u64()
        .unwrap_or(0)
}

async fn connections(rest: &Rest) -> u64 {
    rest.get("/api/status/socket").await.expect(200)["active_connections"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
#[ignore = "with the other outages: make outage"]
async fn thousands_who_come_and_go_leave_nothing_behind() {
    let (warm_up, cycles) = if is_soak() { (10_000, 100_000) } else { (1_000, 3_000) };
    // Pings that find out soon who has vanished, and bear it when two busy cores let a client wait.
    let setup = Setup::new()
        .set("SOCKET_IO_PING_INTERVAL", "4")
        .set("SOCKET_IO_PING_TIMEOUT", "8");
    let server = setup.start().await;
    let rest = server.rest();

    come_and_go(&server, warm_up).await;
    eventually("everybody is gone", async || {
        (connections(&rest).await == 0).then_some(())
    })
    .await;
    let before = resident_kib(server.pid());
    come_and_go(&server, cycles).await;
    eventually("everybody is gone", async || {
        (connections(&rest).await == 0).then_some(())
    })
    .await;
    let after = resident_kib(server.pid());

    let status = rest.get("/api/status/socket").await.expect(200);
    assert_eq!(status["rooms"], json!({}), "{status}");
    eprintln!("{cycles} connections came and went: {before} KiB before, {after} KiB after");
    // What leaks leaks at least a few hundred bytes a connection; allocators keep a few megabytes for themselves.
    let growth = after.saturating_sub(before);
    assert!(
        growth < 8 * 1024,
        "memory grew by {growth} KiB over {cycles} connections"
    );
}

/// So many connections, thirty-two at a time, over each transport, of which every second one leaves without a goodbye.
async fn come_and_go(server: &ServerProcess, cycles: usize) {
    let mut coming = JoinSet::new();
    for number in 0..cycles {
        if coming.len() >= 32 {
            coming.join_next().await.unwrap().unwrap();
        }
        let visitor = server.visitor().over(Transport::ALL[number % 3]);
        coming.spawn(async move {
            let mut client = visitor.asking_for_recovery().connect().await;
            client.join(&format!("patient_P-{}", number % 50)).await;
            if number % 2 == 0 {
                client.vanish();
            } else {
                client.leave_politely().await;
            }
        });
    }
    while let Some(gone) = coming.join_next().await {
        gone.unwrap();
    }
}

/// The memory that the process has in RAM.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
