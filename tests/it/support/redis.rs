//! A real Redis of the tests' own: a folder of its own, a free port, killed and started again at will.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::process::free_port;

/// A running server. It ends with the process that started it, however that ends.
pub(crate) struct Redis {
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    running: Mutex<Option<Running>>,
}

struct Running {
    server: Child,
    /// Kills the server when the test's end of its standard input is closed.
    guard: Child,
}

impl Redis {
    /// An empty server that keeps nothing over a restart.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// An empty server whose data survive being killed.
    pub(crate) fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// A server with these arguments more.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let port = free_port(Ipv4Addr::LOCALHOST.into());
        let mut all = vec![
            "--port".to_owned(),
            port.to_string(),
            "--save".to_owned(),
            String::new(),
        ];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self::launch(port, all)
    }

    /// A server that takes part in a Cluster.
    pub(crate) fn cluster_node() -> Self {
        let port = free_port(Ipv4Addr::LOCALHOST.into());
        let bus = free_port(Ipv4Addr::LOCALHOST.into());
        let arguments = format!(
            "--port {port} --cluster-enabled yes --cluster-port {bus} --cluster-node-timeout 2000 --save  --appendonly no"
        );
        Self::launch(port, split(&arguments))
    }

    /// A Sentinel that watches `master` under the name `alerts`.
    pub(crate) fn sentinel(master: &Self, quorum: u8) -> Self {
        let port = free_port(Ipv4Addr::LOCALHOST.into());
        let mut sentinel = Self {
            folder: folder(),
            port,
            arguments: Vec::new(),
            running: Mutex::new(None),
        };
        let config = format!(
            "port {port}\nsentinel monitor alerts 127.0.0.1 {} {quorum}\n\
             sentinel down-after-milliseconds alerts 1000\nsentinel failover-timeout alerts 3000\n",
            master.port
        );
        let file = sentinel.folder().join("sentinel.conf");
        std::fs::write(&file, config).unwrap();
        sentinel.arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        sentinel.restart();
        sentinel
    }

    fn launch(port: u16, arguments: Vec<String>) -> Self {
        let redis = Self {
            folder: folder(),
            port,
            arguments,
            running: Mutex::new(None),
        };
        redis.restart();
        redis
    }

    /// Starts it (again) on the same port, with what it has kept.
    pub(crate) fn restart(&self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("server.log"))
            .unwrap();
        let server = Command::new("redis-server")
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(self.folder())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill -9 $0 2>/dev/null"])
            .arg(server.id().to_string())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.running.lock().unwrap() = Some(Running { server, guard });
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.answers() {
            assert!(Instant::now() < deadline, "Redis does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it at once, as a power cut would.
    pub(crate) fn kill(&self) {
        let Some(mut running) = self.running.lock().unwrap().take() else {
            return;
        };
        // A stopped process is killed as well; it only must not stay stopped if that fails.
        kill(pid(&running.server), Signal::SIGCONT).ok();
        running.server.kill().unwrap();
        running.server.wait().unwrap();
        end(&mut running.guard);
    }

    /// Lets it hang: connections stay, nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a hanging one go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// As a URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// What it answers to a command, as `redis-cli` prints it.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        let done = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(command)
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Where it keeps its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn answers(&self) -> bool {
        TcpStream::connect(self.addr()).is_ok() && !self.log().contains("Fatal")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("server.log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.lock().unwrap();
        kill(pid(&running.as_ref().expect("it runs").server), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("wardbell-redis-").tempdir().unwrap()
}

fn split(arguments: &str) -> Vec<String> {
    arguments.split(' ').map(str::to_owned).collect()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn end(guard: &mut Child) {
    if let Some(mut input) = guard.stdin.take() {
        drop(input.write_all(b"\n"));
    }
    drop(guard.wait());
}
