//! Certificates of the tests' own, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// An authority, and what it has signed.
pub(crate) struct Certificates(TempDir);

/// Of one who owns a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// For `openssl ca`, which alone can say when a certificate begins and ends.
const CONFIG: &str = "
[ca]
default_ca = ours
[ours]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 2
policy = policy
unique_subject = no
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
";

impl Certificates {
    /// A fresh authority, in `ca.pem`, and a server's certificate for 127.0.0.1, in `server.pem` and `server.key`.
    pub(crate) fn new() -> Self {
        let certificates = Self(TempDir::new().unwrap());
        std::fs::write(certificates.file("openssl.cnf"), CONFIG).unwrap();
        std::fs::write(certificates.file("index.txt"), "").unwrap();
        certificates.sign_oneself("ca", "ca", "basicConstraints=critical,CA:TRUE");
        certificates.issue("server", "127.0.0.1", "subjectAltName=IP:127.0.0.1");
        certificates
    }

    /// One of the files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The authority's own certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// A certificate for this common name, signed by the authority. Without an extension it is one of version 1.
    pub(crate) fn issue(&self, file: &str, name: &str, extension: &str) -> Owned {
        self.issue_by("ca", file, name, extension, &[])
    }

    /// One that has expired.
    pub(crate) fn issue_expired(&self, file: &str, name: &str, extension: &str) -> Owned {
        let span = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"];
        self.issue_by("ca", file, name, extension, &span)
    }

    /// One that is signed by an authority which ours has signed, and brings that one's certificate along.
    pub(crate) fn issue_through_another(&self, file: &str, name: &str, extension: &str) -> Owned {
        let between = self.issue("between", "between", "basicConstraints=critical,CA:TRUE");
        let owned = self.issue_by("between", file, name, extension, &[]);
        let chain = [&owned.certificate, &between.certificate].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(&owned.certificate, chain.concat()).unwrap();
        owned
    }

    /// One that nobody has signed but its owner, as `openssl req -x509` makes them.
    pub(crate) fn sign_oneself(&self, file: &str, name: &str, extension: &str) -> Owned {
        let owned = self.owned(file);
        self.openssl("req -x509 -config openssl.cnf -newkey rsa:2048 -nodes -days 2")
            .args(["-subj", &format!("/CN={name}"), "-addext", extension])
            .args([Path::new("-keyout"), &owned.key, Path::new("-out"), &owned.certificate])
            .run();
        owned
    }

    fn issue_by(&self, authority: &str, file: &str, name: &str, extension: &str, span: &[&str]) -> Owned {
        let (owned, authority) = (self.owned(file), self.owned(authority));
        self.openssl("req -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -out request.pem")
            .args(["-subj", &format!("/CN={name}")])
            .args([Path::new("-keyout"), &owned.key])
            .run();
        let mut signing = self.openssl("ca -batch -notext -config openssl.cnf -in request.pem");
        signing
            .args([Path::new("-cert"), &authority.certificate])
            .args([Path::new("-keyfile"), &authority.key])
            .args([Path::new("-out"), &owned.certificate])
            .args(span);
        if !extension.is_empty() {
            std::fs::write(self.file("extensions"), extension).unwrap();
            signing.args(["-extfile", "extensions"]);
        }
        signing.run();
        owned
    }

    fn owned(&self, file: &str) -> Owned {
        Owned {
            certificate: self.file(&format!("{file}.pem")),
            key: self.file(&format!("{file}.key")),
        }
    }

    fn openssl(&self, arguments: &str) -> Command {
        let mut command = Command::new("openssl");
        command
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }
}

trait Run {
    fn run(&mut self);
}

impl Run for Command {
    fn run(&mut self) {
        let done = self.output().unwrap();
        assert!(
            done.status.success(),
            "{self:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}
