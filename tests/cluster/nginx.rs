//! A real nginx with the configuration that we ship, in front of nodes of the tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::certificates::Certificates;
use crate::support::eventually;
use crate::support::process::free_port;

/// A running nginx. It ends when it is dropped.
pub(crate) struct Nginx {
    folder: TempDir,
    certificates: Certificates,
    port: u16,
    plain_port: u16,
    master: Child,
}

impl Nginx {
    /// In front of these three nodes, which are called `a`, `b` and `c`: `nginx/wardbell.conf` and `nginx/several-nodes.conf`
    /// with other addresses and nothing else changed.
    pub(crate) async fn before(nodes: [SocketAddr; 3]) -> Self {
        let folder = tempfile::Builder::new().prefix("wardbell-nginx-").tempdir().unwrap();
        let certificates = tokio::task::spawn_blocking(Certificates::new).await.unwrap();
        let (port, plain_port) = (
            free_port(Ipv4Addr::LOCALHOST.into()),
            free_port(Ipv4Addr::LOCALHOST.into()),
        );

        let written = folder.path().display().to_string();
        let server = replaced(
            &shipped("wardbell.conf"),
            &[
                ("listen 443 ", &format!("listen 127.0.0.1:{port} ")),
                ("listen 80;", &format!("listen 127.0.0.1:{plain_port};")),
                // One address is enough here.
                ("    listen [::]:443 ssl http2;\n", ""),
                ("    listen [::]:80;\n", ""),
                (
                    "/etc/nginx/tls/wardbell.crt",
                    &certificates.file("server.pem").display().to_string(),
                ),
                (
                    "/etc/nginx/tls/wardbell.key",
                    &certificates.file("server.key").display().to_string(),
                ),
                ("/var/log/nginx", &written),
            ],
        );
        let [a, b, c] = nodes.map(|node| node.to_string());
        let upstreams = replaced(
            &shipped("several-nodes.conf"),
            &[("10.0.0.11:5000", &a), ("10.0.0.12:5000", &b), ("10.0.0.13:5000", &c)],
        );
        std::fs::write(folder.path().join("wardbell.conf"), server).unwrap();
        std::fs::write(folder.path().join("nodes.conf"), upstreams).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), around(&written)).unwrap();

        let master = Command::new("nginx")
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx; scripts/prepare installs it");
        let mut nginx = Self {
            folder,
            certificates,
            port,
            plain_port,
            master,
        };
        eventually("nginx listens", async || {
            if let Some(status) = nginx.master.try_wait().unwrap() {
                panic!("nginx ended with {status}:\n{}", nginx.log("error.log"));
            }
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()
        })
        .await;
        nginx
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where it speaks without TLS.
    pub(crate) fn plain_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plain_port)
    }

    /// The authority that has signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.certificates.file("ca.pem")
    }

    /// One of its logs.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers.
        let master = nix::unistd::Pid::from_raw(i32::try_from(self.master.id()).unwrap());
        nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGTERM).ok();
        drop(self.master.wait());
        if std::thread::panicking() {
            let access = self.log("access.log");
            let lines: Vec<&str> = access.lines().collect();
            let failed = lines.iter().rev().filter(|line| !line.contains(" 200 ")).take(20);
            eprintln!("---- nginx, last answers that were no 200 ----");
            failed.for_each(|line| eprintln!("{line}"));
            eprintln!("---- nginx, errors ----\n{}", self.log("error.log"));
        }
    }
}

/// What an administrator's nginx.conf has around it.
fn around(folder: &str) -> String {
    format!(
        "worker_processes 2;\nworker_rlimit_nofile 8192;\ndaemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         include {folder}/nodes.conf;\ninclude {folder}/wardbell.conf;\n}}\n"
    )
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text with each of these replaced; each must be there.
fn replaced(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the shipped file has no {from:?}");
        text.replace(from, to)
    })
}
