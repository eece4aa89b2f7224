//! The disk is full, or what lies on it is no database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::process::Setup;
use crate::support::{Packet, ServerProcess, eventually};

/// A small file system in memory. Unmounted when it is dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn new(size: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(status.success(), "mount: {status}");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let status = Command::new("dd")
            .args(["if=/dev/zero", "bs=4k", "status=none"])
            .arg(format!("of={}", self.filler().display()))
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "dd ends because nothing is left");
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.folder.path()).status());
    }
}

#[tokio::test]
#[ignore = "needs root: make outage"]
async fn a_full_disk_refuses_alerts_keeps_the_sockets_and_heals_by_itself() {
    let disk = SmallDisk::new("16m");
    fs::create_dir(disk.path()).unwrap();
    // The log goes elsewhere: it must be able to say what happened.
    let log = TempDir::new().unwrap();
    let server = Setup::new()
        .in_folder(&disk.path())
        .logging_to(log.path())
        .start()
        .await;
    let rest = server.rest();
    let mut client = server.visitor().connect().await;
    client.join("patient_P-1").await;
    let alert = |message: &str| json!({"patient_id": "P-1", "alert_type": "critical", "alert_data": {"message": message, "notes": "x".repeat(8_000)}});
    let before = rest.post("/api/alerts/patient", &alert("before")).await;
    assert!(before.status.is_success(), "{}", before.text);
    assert_eq!(client.expect("patient_alert").await["message"], "before");

    disk.fill();
    // A few more may fit into pages that the files own already.
    let mut accepted = Vec::new();
    let refused = eventually("an alert is refused", async || {
        let answer = rest.post("/api/alerts/patient", &alert("during")).await;
        if answer.status.is_success() {
            accepted.push(answer.json()["alert_id"].clone());
            return None;
        }
        Some(answer)
    })
    .await;
    refused.expect_error(503);
    eventually("unready", async || {
        (rest.get("/ready").await.status.as_u16() == 503).then_some(())
    })
    .await;
    assert_eq!(rest.get("/health").await.expect(200)["status"], "healthy");
    for id in &accepted {
        assert_eq!(&client.expect("patient_alert").await["alert_id"], id);
    }
    // The socket is as alive as before.
    client.join("hospital_H-1").await;

    disk.free();
    eventually("ready again", async || {
        rest.get("/ready").await.status.is_success().then_some(())
    })
    .await;
    let after = rest.post("/api/alerts/patient", &alert("after")).await;
    assert!(after.status.is_success(), "{}", after.text);
    match client.next("the alert after").await {
        Packet::Event(name, arguments) if name == "patient_alert" => assert_eq!(arguments[0]["message"], "after"),
        other => panic!("what was refused must not arrive: {other:?}"),
    }

    // What was accepted is there, after a kill as well; what was refused is not.
    let server = server.kill_and_restart().await;
    let history = server
        .rest()
        .get("/api/alerts/history?patient_id=P-1&limit=1000")
        .await
        .expect(200);
    assert_eq!(history.as_array().unwrap().len(), accepted.len() + 2);
}

/// Starts a server on `database` and expects it to refuse, to say which file it is about, and to leave every byte as it was.
async fn refuses_to_start_on(folder: &Path, database: &[u8]) {
    let setup = Setup::new().in_folder(folder);
    fs::write(setup.database(), database).unwrap();

    let mut server: ServerProcess = setup.clone().launch();
    let status = server.ended().await;

    assert!(!status.success(), "{status}");
    assert!(server.log().contains("wardbell.db"), "{}", server.log());
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert!(fs::read(setup.database()).unwrap() == database, "the file was changed");
}

#[tokio::test]
#[ignore = "with the other outages: make outage"]
async fn a_file_of_garbage_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();

    let garbage: Vec<u8> = (0..100_000_u32)
        .map(|i| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect();

    refuses_to_start_on(folder.path(), &garbage).await;
}

#[tokio::test]
#[ignore = "with the other outages: make outage"]
async fn a_truncated_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let setup = Setup::new().in_folder(folder.path());
    let mut server = setup.clone().start().await;
    for number in 0..200 {
        let body = json!({"patient_id": "P-1", "alert_type": "critical", "alert_data": {"number": number, "notes": "x".repeat(2_000)}});
        assert!(
            server
                .rest()
                .post("/api/alerts/patient", &body)
                .await
                .status
                .is_success()
        );
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.ended().await.success());
    let whole = fs::read(setup.database()).unwrap();
    assert!(whole.len() > 100_000, "{} bytes", whole.len());
    for file in ["wardbell.db-wal", "wardbell.db-shm"] {
        drop(fs::remove_file(folder.path().join(file)));
    }

    refuses_to_start_on(folder.path(), &whole[..whole.len() / 2]).await;
}
