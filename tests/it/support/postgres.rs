//! A real PostgreSQL of the tests' own: a folder of its own, a free port, full sync, an unprivileged user.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use super::certificates::Owned;
use super::process::free_port;

/// A running server. It ends with the process that started it, however that ends.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    /// The server's first process, to be waited for when it is killed: as long as nobody has, its number is taken.
    running: Mutex<Option<Child>>,
    /// Waits for the test's end on its standard input, then stops the server and removes its folder.
    guard: Child,
}

const WITH_TLS: [&str; 3] = ["ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key"];

impl Postgres {
    /// A server of one's own, to be killed and stopped at will.
    pub(crate) fn start() -> Self {
        Self::with(&[], "")
    }

    /// A server that has this certificate.
    pub(crate) fn with_certificate(owned: &Owned, access: &str) -> Self {
        let server = Self::make(&WITH_TLS, access);
        server.take_certificate(owned);
        server.restart();
        server
    }

    /// A server that has this certificate and asks clients for one that this authority has signed.
    pub(crate) fn with_certificate_and_authority(owned: &Owned, authority: &Path, access: &str) -> Self {
        let settings = [&WITH_TLS[..], &["ssl_ca_file=ca.pem"]].concat();
        let server = Self::make(&settings, access);
        server.take_certificate(owned);
        server.take_file(authority, "ca.pem");
        server.restart();
        server
    }

    /// A server with these settings more. What is said about access (`pg_hba.conf`) is all that holds for the
    /// network; without it, everybody is let in.
    pub(crate) fn with(settings: &[&str], access: &str) -> Self {
        let server = Self::make(settings, access);
        server.restart();
        server
    }

    fn make(settings: &[&str], access: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("wardbell-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        as_owner("chown")
            .arg("-R")
            .arg("postgres")
            .arg(&folder)
            .status()
            .unwrap();
        let data = folder.join("data");
        let done = unprivileged(&folder, "initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=wardbell",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "initdb failed");
        let script =
            "read -r _; kill -QUIT $(head -n 1 \"$0/data/postmaster.pid\") 2>/dev/null; sleep 0.2; rm -rf \"$0\"";
        let guard = Command::new("sh")
            .args(["-c", script])
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        if !access.is_empty() {
            // Tests come by the socket in the folder whatever is said about the network.
            let access = format!("local all all trust\n{access}\n");
            std::fs::write(folder.join("data/pg_hba.conf"), access).unwrap();
        }
        Self {
            folder,
            port: free_port(Ipv4Addr::LOCALHOST.into()),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            running: Mutex::new(None),
            guard,
        }
    }

    /// Takes a certificate; the next start uses it.
    pub(crate) fn take_certificate(&self, owned: &Owned) {
        for (from, to) in [(&owned.certificate, "server.pem"), (&owned.key, "server.key")] {
            self.take_file(from, to);
        }
    }

    /// Copies a file to where the server finds it by this name, and can read it.
    pub(crate) fn take_file(&self, from: &Path, to: &str) {
        let to = self.folder.join("data").join(to);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        as_owner("chown").arg("postgres").arg(&to).status().unwrap();
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Whether `psql`, and with it libpq, connects to this URL.
    pub(crate) fn libpq_takes(&self, url: &str) -> bool {
        let done = Command::new("psql")
            .args(["-X", "-q", "-w", "-c", "SELECT 1", url])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            // What a developer keeps in ~/.postgresql must not decide a test.
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        done.status.success()
    }

    /// One server for all tests of this process that leave it alone.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts it (again) on the same port, with the same data.
    pub(crate) fn restart(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))
            .unwrap();
        // What a killed server has left behind ends a moment after it.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut child = unprivileged(&self.folder, "postgres")
                .arg("-D")
                .arg(self.folder.join("data"))
                .arg("-k")
                .arg(&self.folder)
                .args([
                    "-p",
                    &self.port.to_string(),
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "max_connections=200",
                ])
                .args([
                    "-c",
                    "fsync=on",
                    "-c",
                    "synchronous_commit=on",
                    "-c",
                    "shared_buffers=32MB",
                ])
                .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
                .stdout(log.try_clone().unwrap())
                .stderr(log.try_clone().unwrap())
                .spawn()
                .unwrap();
            loop {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if self.answers() {
                    *self.running.lock().unwrap() = Some(child);
                    return;
                }
                assert!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", self.log());
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it and all its processes at once.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
        if let Some(mut child) = self.running.lock().unwrap().take() {
            child.wait().unwrap();
        }
    }

    /// Lets it hang: connections stay, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a hanging one go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// An empty database, as a URL.
    pub(crate) fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ward_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://wardbell@127.0.0.1:{}/{name}", self.port)
    }

    /// What a statement answers, unaligned, without headings.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let done = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "wardbell"])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// The end of what it has logged.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn answers(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
            && Command::new("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .is_ok_and(|status| status.success())
    }

    fn signal(&self, signal: Signal) {
        let postmaster: i32 = std::fs::read_to_string(self.folder.join("data/postmaster.pid"))
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let children =
            std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children")).unwrap_or_default();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        for pid in std::iter::once(postmaster).chain(children) {
            // A child may have ended by itself meanwhile.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        if let Some(mut input) = self.guard.stdin.take() {
            drop(input.write_all(b"\n"));
        }
        drop(self.guard.wait());
    }
}

/// PostgreSQL refuses to run as root.
fn unprivileged(folder: &Path, program: &str) -> Command {
    let mut command = if Uid::effective().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
        command
    } else {
        Command::new(program)
    };
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Does nothing for somebody who is not root, to whom everything belongs already.
fn as_owner(program: &str) -> Command {
    Command::new(if Uid::effective().is_root() { program } else { "true" })
}
