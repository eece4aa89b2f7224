//! The real binary as a process of its own: started, asked, signalled, killed, started again.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Rest, Visitor, eventually, in_time};

/// A running server. Killed when it is dropped; a test that fails shows its log.
pub(crate) struct ServerProcess {
    child: Child,
    addr: SocketAddr,
    setup: Setup,
}

/// How a server is started. A clone starts another one on the same folder.
#[derive(Clone)]
pub(crate) struct Setup {
    address: IpAddr,
    port: Option<u16>,
    folder: Folder,
    log_folder: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

#[derive(Clone)]
enum Folder {
    Ours(Arc<TempDir>),
    Given(PathBuf),
}

impl Setup {
    /// Open mode on 127.0.0.1, a free port, a folder of its own.
    pub(crate) fn new() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: None,
            folder: Folder::Ours(Arc::new(TempDir::new().unwrap())),
            log_folder: None,
            variables: Vec::new(),
        }
    }

    /// With this environment variable.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this environment variable, unless it is set already.
    pub(crate) fn default(self, name: &str, value: &str) -> Self {
        let is_set = self.variables.iter().any(|(set, _)| set == name);
        if is_set { self } else { self.set(name, value) }
    }

    /// Keeps its data in a fresh folder: a clone shares that of the original.
    pub(crate) fn in_a_folder_of_its_own(mut self) -> Self {
        self.folder = Folder::Ours(Arc::new(TempDir::new().unwrap()));
        self
    }

    /// Listens on another address. Open mode refuses any but loopback.
    pub(crate) fn on(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// Keeps its data in this folder.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Folder::Given(folder.to_owned());
        self
    }

    /// Logs to a file in this folder.
    pub(crate) fn logging_to(mut self, folder: &Path) -> Self {
        self.log_folder = Some(folder.to_owned());
        self
    }

    /// Where the server writes.
    pub(crate) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Ours(folder) => folder.path(),
            Folder::Given(folder) => folder,
        }
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder().join("wardbell.db")
    }

    /// Starts the server and does not wait for it.
    pub(crate) fn launch(mut self) -> ServerProcess {
        let port = *self.port.get_or_insert_with(|| free_port(self.address));
        let log = self.open_log();
        let database = self.database();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardbell"));
        command
            .env_clear() // a developer's own AUTH_MODE or DATABASE_URL must not decide a test
            .env("HOST", self.address.to_string())
            .env("PORT", port.to_string())
            .env("DATABASE_URL", format!("sqlite://{}", database.display()))
            .env("AUTH_MODE", "open")
            .env("LOG_LEVEL", "info")
            .envs(
                self.variables
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().expect("the binary that cargo built starts");
        ServerProcess {
            child,
            addr: SocketAddr::new(self.address, port),
            setup: self,
        }
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(self) -> ServerProcess {
        let mut server = self.launch();
        server.until_ready().await;
        server
    }

    fn open_log(&self) -> File {
        let path = self.log();
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn log(&self) -> PathBuf {
        self.log_folder
            .as_deref()
            .unwrap_or_else(|| self.folder())
            .join("server.log")
    }
}

impl ServerProcess {
    /// A server in open mode.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.setup.log()).unwrap_or_default()
    }

    /// A REST client without a token.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(format!("http://{}", self.addr))
    }

    /// Somebody at its door.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::at(self.addr)
    }

    /// Waits until `/ready` says so.
    pub(crate) async fn until_ready(&mut self) {
        let rest = self.rest();
        eventually("the server is ready", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            let answer = rest.attempt(reqwest::Method::GET, "/ready", None).await.ok()?;
            answer.status.is_success().then_some(())
        })
        .await;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Kills it at once, as a power cut would, and gives back how to start it again: on the same port, with the same data.
    pub(crate) fn kill(mut self) -> Setup {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut setup = self.setup.clone();
        setup.port = Some(self.addr.port());
        setup
    }

    /// Kills it and starts it again, on the same port, with the same data.
    pub(crate) async fn kill_and_restart(self) -> Self {
        self.kill().start().await
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        in_time("the server ends", async {
            eventually("the server ends", async || self.child.try_wait().unwrap()).await
        })
        .await
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("---- the server's log ----\n{}", self.log());
        }
    }
}

/// A port that nobody listens on, below those that the kernel hands out: no other test can be given it meanwhile.
pub(crate) fn free_port(address: IpAddr) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let begin = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind((address, *port)).is_ok())
        .expect("a free port")
}
