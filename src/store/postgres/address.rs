//! Where the database is, as `DATABASE_URL` says it, with libpq's words.
//!
//! The URL carries a password: nothing here ever repeats any part of it but words that are libpq's own.

use std::time::Duration;

use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Settings;
use super::failure::BoxError;
use super::tls::{self, Files, Trust};

/// What libpq understands and we do not, or decide ourselves. Named in the complaint: no password is spelled like this.
const NOT_TAKEN: [&str; 29] = [
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "tcp_user_timeout",
];

/// The address of the database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL of PostgreSQL.
    #[error(
        "must be postgres://user:password@host:port/database?sslmode=…, with special characters percent-encoded \
         and only parameters that are known"
    )]
    Url,
    /// A parameter that libpq has.
    #[error("the parameter {0} is not taken here: leave it out")]
    NotTaken(&'static str),
    /// As many ports or numeric addresses as hosts, or one port.
    #[error("hosts, numeric addresses and ports must be equally many, or one port for all")]
    Hosts,
    /// Another kind of server is asked for than one that can be written to.
    #[error(
        "target_session_attrs must be read-write or primary, which is also what it is without being said: alerts are written"
    )]
    Session,
    /// `sslmode` has another value.
    #[error("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// Everybody can have a certificate of an authority that the system trusts, for some name.
    #[error("sslrootcert=system needs sslmode=verify-full: any less would trust every owner of a public certificate")]
    Weak,
    /// Which authority is to be trusted?
    #[error("sslmode=verify-ca needs the authority in sslrootcert")]
    NoAuthority,
    /// A certificate was given without its key, or the other way round.
    #[error("sslcert and sslkey go together")]
    HalfAnIdentity,
    /// A file with certificates or a key cannot be read.
    #[error("the file of {0} cannot be read as PEM")]
    Pem(&'static str, #[source] BoxError),
    /// A file has no certificate in it.
    #[error("the file of {0} holds no certificate")]
    Empty(&'static str),
    /// The certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] BoxError),
    /// The system has no certificates to trust.
    #[error("this system has no certificate authorities: name a file by sslrootcert")]
    NoAuthorities,
}

/// Whether a connection is encrypted. libpq's `sslmode`, without what it says about trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// `disable`
    Never,
    /// `allow`: where the server does not take it otherwise.
    Reluctant,
    /// `prefer`: where the server can.
    Preferred,
    /// `require`, `verify-ca`, `verify-full`
    Always,
}

/// What a connection needs.
pub(super) struct Address {
    /// For each host what it is connected to with, in the order of the URL.
    pub(super) hosts: Vec<tokio_postgres::Config>,
    pub(super) encryption: Encryption,
    pub(super) tls: MakeRustlsConnect,
}

/// The parameters of the URL that are ours to understand; the others are the client library's.
#[derive(Default)]
struct Parameters {
    mode: Option<String>,
    files: Files,
    session: Option<String>,
}

impl Address {
    pub(super) fn new(settings: &Settings) -> Result<Self, AddressError> {
        use secrecy::ExposeSecret;
        let (url, parameters) = take_parameters(settings.url.expose_secret())?;
        let url: tokio_postgres::Config = url.parse().or(Err(AddressError::Url))?;
        if !matches!(parameters.session.as_deref(), None | Some("read-write" | "primary")) {
            return Err(AddressError::Session);
        }
        let (encryption, trust) = security(parameters.mode.as_deref(), parameters.files.root.as_deref())?;
        let tls = MakeRustlsConnect::new(tls::client(trust, &parameters.files)?);
        let hosts = hosts(&url, &common(&url, settings))?;
        Ok(Self { hosts, encryption, tls })
    }
}

/// What `sslmode` and `sslrootcert` mean together.
fn security(mode: Option<&str>, root: Option<&str>) -> Result<(Encryption, Trust), AddressError> {
    let is_system = root == Some(tls::SYSTEM);
    // A root certificate is looked at in every mode that encrypts; alone it does not make one encrypt.
    let trust = if root.is_some() {
        Trust::Authority
    } else {
        Trust::Anybody
    };
    match mode {
        Some("verify-full") => Ok((Encryption::Always, Trust::AuthorityAndName)),
        None if is_system => Ok((Encryption::Always, Trust::AuthorityAndName)),
        Some("disable" | "allow" | "prefer" | "require" | "verify-ca") if is_system => Err(AddressError::Weak),
        Some("verify-ca") if root.is_none() => Err(AddressError::NoAuthority),
        Some("verify-ca" | "require") => Ok((Encryption::Always, trust)),
        None | Some("prefer") => Ok((Encryption::Preferred, trust)),
        Some("allow") => Ok((Encryption::Reluctant, trust)),
        Some("disable") => Ok((Encryption::Never, trust)),
        Some(_) => Err(AddressError::SslMode),
    }
}

/// What connections to all hosts have in common.
fn common(url: &tokio_postgres::Config, settings: &Settings) -> tokio_postgres::Config {
    use secrecy::ExposeSecret;
    let mut config = tokio_postgres::Config::new();
    if let Some(user) = url.get_user() {
        config.user(user);
    }
    match (&settings.password, url.get_password()) {
        (Some(password), _) => config.password(password.expose_secret()),
        (None, Some(password)) => config.password(password),
        (None, None) => &mut config,
    };
    if let Some(database) = url.get_dbname() {
        config.dbname(database);
    }
    config.application_name(url.get_application_name().unwrap_or(&settings.application_name));
    config.channel_binding(url.get_channel_binding());
    config.connect_timeout(settings.connect_timeout);
    // What was sent and is not acknowledged by then is lost; without it a cut cable is noticed after fifteen minutes.
    config.tcp_user_timeout(Duration::from_secs(5));
    config.keepalives(true);
    config.keepalives_idle(Duration::from_secs(5));
    config.keepalives_interval(Duration::from_secs(2));
    config.keepalives_retries(3);
    // After a failover, the primary; never a standby.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    let options = format!("{} {}", url.get_options().unwrap_or_default(), server_side(settings));
    config.options(options.trim());
    config
}

/// One for each host: which of them is tried when is not the client library's to decide.
fn hosts(
    url: &tokio_postgres::Config,
    common: &tokio_postgres::Config,
) -> Result<Vec<tokio_postgres::Config>, AddressError> {
    let (names, addresses, ports) = (url.get_hosts(), url.get_hostaddrs(), url.get_ports());
    let count = names.len().max(addresses.len());
    let is_for_all = |length: usize, others: &[usize]| length == count || others.contains(&length);
    if count == 0 {
        return Err(AddressError::Url);
    }
    if !is_for_all(names.len(), &[0]) || !is_for_all(addresses.len(), &[0]) || !is_for_all(ports.len(), &[0, 1]) {
        return Err(AddressError::Hosts);
    }
    let one = |index: usize| {
        let mut config = common.clone();
        match names.get(index) {
            Some(Host::Tcp(name)) => config.host(name),
            Some(Host::Unix(folder)) => config.host_path(folder),
            None => &mut config,
        };
        if let Some(address) = addresses.get(index) {
            config.hostaddr(*address);
            if names.is_empty() {
                // Without a name the client library refuses TLS; by its number a certificate may be for it, too.
                config.host(address.to_string());
            }
        }
        if let Some(port) = ports.get(index).or(ports.first()) {
            config.port(*port);
        }
        config
    };
    Ok((0..count).map(one).collect())
}

/// What the server is told to watch on its side: a node that dies or stands still must not hold locks that others wait for, a statement must not outlive its
/// asker.
fn server_side(settings: &Settings) -> String {
    // A statement that is slow ends on the server first, so that a silence always means the server.
    let statement_ms = settings.read_timeout.as_millis() * 3 / 4;
    format!(
        "-c statement_timeout={statement_ms} -c lock_timeout={statement_ms} -c idle_in_transaction_session_timeout=1000 \
         -c tcp_user_timeout=5000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 \
         -c client_encoding=UTF8 -c standard_conforming_strings=on -c default_transaction_isolation=read\\ committed \
         -c jit=off"
    )
}

/// The URL without what is ours to understand, and that.
fn take_parameters(url: &str) -> Result<(String, Parameters), AddressError> {
    let mut parameters = Parameters::default();
    let Some((base, query)) = url.rsplit_once('?') else {
        return Ok((url.to_owned(), parameters));
    };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(AddressError::Url)?;
        let wanted = match name {
            "sslmode" => &mut parameters.mode,
            "sslrootcert" => &mut parameters.files.root,
            "sslcert" => &mut parameters.files.certificate,
            "sslkey" => &mut parameters.files.key,
            "target_session_attrs" => &mut parameters.session,
            _ => {
                if let Some(name) = NOT_TAKEN.into_iter().find(|known| *known == name) {
                    return Err(AddressError::NotTaken(name));
                }
                kept.push(pair);
                continue;
            }
        };
        *wanted = Some(percent_decoded(value)?);
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    Ok((url, parameters))
}

fn percent_decoded(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| {
                char::from(byte?)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                return Err(AddressError::Url);
            };
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).or(Err(AddressError::Url))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, AddressError> {
        Address::new(&Settings::at(url))
    }

    fn complaint(url: &str) -> String {
        let error = address(url).err().unwrap_or_else(|| panic!("took {url}"));
        format!("{error}")
    }

    #[test]
    fn what_the_url_says_about_tls_is_kept_from_the_client_library() {
        let address = address("postgres://u:p%40@db:6432/wardbell?sslmode=require&application_name=x").unwrap();

        assert_eq!(address.encryption, Encryption::Always);
        let host = &address.hosts[0];
        assert_eq!(host.get_user(), Some("u"));
        assert_eq!(host.get_password(), Some(&b"p@"[..]));
        assert_eq!(host.get_dbname(), Some("wardbell"));
        assert_eq!(host.get_application_name(), Some("x"));
        assert_eq!(host.get_ports(), [6432]);
    }

    #[test]
    fn each_host_is_an_address_of_its_own() {
        let address = address("postgres://u@one:1,[::1]:2,%2Frun%2Fpostgresql/w?target_session_attrs=primary").unwrap();

        let hosts: Vec<_> = address
            .hosts
            .iter()
            .map(|host| (host.get_hosts(), host.get_ports()))
            .collect();
        assert_eq!(
            hosts,
            [
                (&[Host::Tcp("one".to_owned())][..], &[1][..]),
                (&[Host::Tcp("::1".to_owned())], &[2]),
                (&[Host::Unix("/run/postgresql".into())], &[5432]),
            ]
        );
        assert!(
            address
                .hosts
                .iter()
                .all(|host| host.get_target_session_attrs() == TargetSessionAttrs::ReadWrite)
        );
    }

    #[test]
    fn a_host_known_by_its_number_alone_can_have_tls() {
        let address = address("postgres://u@/w?hostaddr=10.0.0.1").unwrap();

        assert_eq!(address.hosts[0].get_hosts(), [Host::Tcp("10.0.0.1".to_owned())]);
    }

    #[test]
    fn sslmode_and_sslrootcert_mean_what_they_mean_to_libpq() {
        use Encryption::{Always, Never, Preferred, Reluctant};
        let mean = |mode, root| security(mode, root).map_err(|error| error.to_string());

        assert_eq!(mean(None, None), Ok((Preferred, Trust::Anybody)));
        assert_eq!(mean(Some("disable"), Some("ca.pem")), Ok((Never, Trust::Authority)));
        assert_eq!(mean(Some("allow"), None), Ok((Reluctant, Trust::Anybody)));
        assert_eq!(mean(Some("prefer"), Some("ca.pem")), Ok((Preferred, Trust::Authority)));
        assert_eq!(mean(Some("require"), None), Ok((Always, Trust::Anybody)));
        assert_eq!(mean(Some("require"), Some("ca.pem")), Ok((Always, Trust::Authority)));
        assert_eq!(mean(Some("verify-ca"), Some("ca.pem")), Ok((Always, Trust::Authority)));
        assert_eq!(mean(Some("verify-full"), None), Ok((Always, Trust::AuthorityAndName)));
        assert_eq!(mean(None, Some("system")), Ok((Always, Trust::AuthorityAndName)));
        for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
            assert_eq!(mean(Some(mode), Some("system")), Err(AddressError::Weak.to_string()));
        }
        assert_eq!(
            mean(Some("verify-ca"), None),
            Err(AddressError::NoAuthority.to_string())
        );
        assert_eq!(mean(Some("verify_full"), None), Err(AddressError::SslMode.to_string()));
    }

    #[test]
    fn a_password_from_a_file_wins_over_the_url() {
        let mut settings = Settings::at("postgres://u:old@db/wardbell");
        settings.password = Some("new".to_owned().into());

        let address = Address::new(&settings).unwrap();

        assert_eq!(address.hosts[0].get_password(), Some(&b"new"[..]));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_its_name() {
        for (url, part) in [
            ("postgres://u@db/w?target_session_attrs=any", "read-write"),
            ("postgres://u@db/w?target_session_attrs=read-only", "read-write"),
            ("postgres://u@db/w?gssencmode=disable", "gssencmode"),
            ("postgres://u@db/w?connect_timeout=10", "connect_timeout"),
            ("postgres://u@db/w?sslcrl=x", "sslcrl"),
            ("postgres://u@db/w?hostaddr=::1,10.0.0.1", "equally many"),
            ("postgres://u@db1:1,db2:2,db3:3/w?port=4", "equally many"),
            ("postgres:///w", "must be postgres://"),
            ("postgres://u@::1/w", "must be postgres://"),
            ("postgres://u@db/w?sslmode=verify-ca", "sslrootcert"),
            (
                "postgres://u@db/w?sslmode=verify-full&sslrootcert=/nowhere",
                "sslrootcert",
            ),
            (
                "postgres://u@db/w?sslmode=verify-full&sslrootcert=/dev/null",
                "holds no certificate",
            ),
            ("postgres://u@db/w?sslcert=/dev/null", "sslkey"),
        ] {
            assert!(complaint(url).contains(part), "{url}: {}", complaint(url));
        }
    }

    #[test]
    fn no_complaint_repeats_the_password() {
        for url in [
            "postgres://u:hunter2@db/wardbell?sslmode=maybe",
            "postgres://u:hunter2@db/wardbell?hunter2=1",
            "postgres://u:hunter2@db:port/wardbell",
            "postgres://u:hunter2?@db/wardbell",
            "postgres://u:hunter2@db/w?sslmode=verify-full&sslrootcert=/nowhere/hunter2",
            "hunter2",
        ] {
            let error = address(url).err().unwrap_or_else(|| panic!("took {url}"));
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
