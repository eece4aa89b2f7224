//! A server under test: started on a core of its own with an empty folder, watched from outside, killed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::support::process::free_port;

/// The core that servers run on, and the one of the generator.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const GENERATOR_CORE: usize = 1;
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);
/// `USER_HZ`, in which /proc counts CPU time on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// How one process is started. It is told `PORT`.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Whether `/ready` says when it is; else it is ready once it listens.
    pub(crate) says_when_ready: bool,
}

/// What a server has used so far, all its processes together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_kb: f64,
    /// The most that was ever resident.
    pub(crate) peak_kb: f64,
}

/// Running processes, killed when this is dropped.
pub(crate) struct Server {
    children: Vec<Child>,
    addrs: Vec<SocketAddr>,
    folders: Vec<TempDir>,
}

impl Server {
    /// Starts these processes and waits until they are ready.
    pub(crate) fn start(launches: Vec<Launch>, is_pinned: bool) -> Result<Self, String> {
        let mut server = Self {
            children: Vec::new(),
            addrs: Vec::new(),
            folders: Vec::new(),
        };
        for launch in launches {
            server.launch(launch, is_pinned)?;
        }
        Ok(server)
    }

    fn launch(&mut self, launch: Launch, is_pinned: bool) -> Result<(), String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let port = free_port(Ipv4Addr::LOCALHOST.into());
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let path = folder.path().join("server.log");
        let log = File::create(&path).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = if is_pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", &SERVER_CORE.to_string()]).arg(&launch.program);
            command
        } else {
            Command::new(&launch.program)
        };
        let child = command
            .args(&launch.arguments)
            .env_clear() // what a developer has set must not decide a measurement
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORT", port.to_string())
            .env(
                "DATABASE_URL",
                format!("sqlite://{}/wardbell.db", folder.path().display()),
            )
            .env("WARDBELL__STORE__SPOOL", folder.path().join("spool.db"))
            .envs(launch.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{}: {error}", launch.program.display()))?;
        self.children.push(child);
        self.addrs.push(addr);
        self.folders.push(folder);

        let begun = Instant::now();
        while !is_ready(addr, launch.says_when_ready) {
            let has_ended = self
                .children
                .last_mut()
                .is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            if has_ended || begun.elapsed() > START {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(format!("{} does not start: {log}", launch.program.display()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Where its processes listen.
    pub(crate) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// What its processes have complained about, the last few lines of each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = |folder: &TempDir| std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
        let is_complaint = |line: &&str| ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word));
        let of_one = |text: String| text.lines().filter(is_complaint).map(str::to_owned).collect::<Vec<_>>();
        self.folders
            .iter()
            .flat_map(|folder| of_one(log(folder)).into_iter().rev().take(5))
            .collect()
    }

    /// Whether all its processes run.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.children
            .iter_mut()
            .all(|child| matches!(child.try_wait(), Ok(None)))
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for child in &self.children {
            let file = |name| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
            usage.cpu_seconds += cpu_seconds(&file("stat"));
            let status = file("status");
            usage.resident_kb += status_kb(&status, "VmRSS:");
            usage.peak_kb += status_kb(&status, "VmHWM:");
        }
        usage
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn is_ready(addr: SocketAddr, says_when_ready: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect(addr) else {
        return false;
    };
    if !says_when_ready {
        return true;
    }
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// `utime` and `stime` of /proc/…/stat, after the name, which may contain anything.
fn cpu_seconds(stat: &str) -> f64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

fn status_kb(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}

/// The CPU time of the generator.
pub(crate) fn own_cpu_seconds() -> f64 {
    cpu_seconds(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Keeps this process to the generator's core. `false`: there is only one core.
pub(crate) fn pin_generator() -> bool {
    let mut cores = CpuSet::new();
    cores.set(GENERATOR_CORE).is_ok() && sched_setaffinity(Pid::from_raw(0), &cores).is_ok()
}
