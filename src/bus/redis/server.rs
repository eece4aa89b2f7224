//! Which Redis: one server, the master that Sentinels name, or a Cluster; and connections to it.
//!
//! It refuses to know what is said over a connection. Every step has a bound on its time, since a Redis that hangs answers
//! nothing, not even with an error.

use std::fmt;
use std::sync::Once;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub, PubSubSink, PubSubStream};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, TlsCertificates, TlsMode, Value,
};
use secrecy::{ExposeSecret, SecretString};

/// How long it may take to reach one server.
const CONNECT: Duration = Duration::from_secs(1);
/// How long it may take to find and reach the right one.
const CONNECT_OVERALL: Duration = Duration::from_secs(4);
/// Where a URL names no port.
const PORT: u16 = 6379;
/// Where a URL of Sentinels names no port.
const SENTINEL_PORT: u16 = 26379;

/// A Redis that can be connected to. `Debug` and errors never tell its password.
///
/// | URL | is |
/// | --- | --- |
/// | `redis://[user:password@]host[:port][/database]` | one server |
/// | `redis+sentinel://[user:password@]host[:port],host[:port]…/master[/database][?sentinel_user=…&sentinel_password=…]` | the master of that name, asked of those Sentinels |
/// | `redis+cluster://[user:password@]host[:port],host[:port]…` | the Cluster that those servers belong to |
///
/// `rediss`, `rediss+sentinel` and `rediss+cluster` are the same over TLS. User and password are of the server's ACL, written
/// percent-encoded; `:password@` alone is `requirepass`.
#[derive(Clone)]
pub struct Server {
    topology: Topology,
    certificates: Option<TlsCertificates>,
}

#[derive(Clone)]
enum Topology {
    One(ConnectionInfo),
    Sentinels {
        sentinels: Vec<ConnectionAddr>,
        master: String,
        /// Of the servers, where `credentials` are those of the first seed.
        info: ConnectionInfo,
        user: Option<String>,
        password: Option<String>,
    },
    Cluster(Vec<ConnectionInfo>),
}

/// The URL names no Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    /// Not one of the schemes.
    #[error(
        "must begin with redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
    )]
    Scheme,
    /// What comes after the scheme cannot be read.
    #[error("must be [user:password@]host[:port], then /database, or /master for Sentinels")]
    Address,
    /// A URL of Sentinels without a master.
    #[error("must name the master that the Sentinels watch: redis+sentinel://host:26379/mymaster")]
    Master,
    /// Several databases exist on one server only.
    #[error("a Cluster has no numbered databases")]
    Database,
    /// The certificate cannot be read.
    #[error("the file of certificate authorities is not PEM")]
    Certificate,
}

/// Redis cannot be reached, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It said no, or the connection broke.
    #[error("Redis: {}", kind(.0))]
    Redis(#[from] RedisError),
    /// It said nothing in time.
    #[error("Redis does not answer")]
    Silent,
}

/// What went wrong, without what was sent: an error of the server can quote it.
fn kind(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("it answered {code}"),
        None => error.category().to_owned(),
    }
}

impl Server {
    /// Reads a URL. `authorities` are certificate authorities in PEM that TLS trusts instead of the system's.
    ///
    /// # Errors
    /// See [`InvalidServer`]; none of them quotes the URL, which may carry a password.
    pub fn parse(url: &SecretString, authorities: Option<&[u8]>) -> Result<Self, InvalidServer> {
        let url = url.expose_secret();
        let (scheme, rest) = url.split_once("://").ok_or(InvalidServer::Scheme)?;
        let (base, form) = scheme.split_once('+').unwrap_or((scheme, ""));
        if base != "redis" && base != "rediss" {
            return Err(InvalidServer::Scheme);
        }
        let topology = match form {
            "" => Topology::One(seed(base, rest)?),
            "sentinel" => sentinels(base, rest)?,
            "cluster" => Topology::Cluster(cluster(base, rest)?),
            _ => return Err(InvalidServer::Scheme),
        };
        let certificates = authorities.map(|pem| TlsCertificates {
            client_tls: None,
            root_cert: Some(pem.to_vec()),
        });
        let server = Self { topology, certificates };
        server.check_certificates()?;
        Ok(server)
    }

    /// With this password instead of one in the URL.
    #[must_use]
    pub fn with_password(mut self, password: &SecretString) -> Self {
        let protected = |info: &ConnectionInfo| {
            let settings = info.redis_settings().clone().set_password(password.expose_secret());
            info.clone().set_redis_settings(settings)
        };
        match &mut self.topology {
            Topology::One(info) | Topology::Sentinels { info, .. } => *info = protected(info),
            Topology::Cluster(seeds) => *seeds = seeds.iter().map(protected).collect(),
        }
        self
    }

    fn check_certificates(&self) -> Result<(), InvalidServer> {
        if let (Topology::One(info), Some(certificates)) = (&self.topology, &self.certificates)
            && is_tls(info.addr())
        {
            Client::build_with_tls(info.clone(), certificates.clone()).or(Err(InvalidServer::Certificate))?;
        }
        Ok(())
    }

    /// A connection of its own. A command that is not answered within `patience` fails.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<Link, LinkError> {
        ready_for_tls();
        match tokio::time::timeout(CONNECT_OVERALL, self.reach(patience)).await {
            Ok(link) => link,
            Err(_) => Err(LinkError::Silent),
        }
    }

    async fn reach(&self, patience: Duration) -> Result<Link, LinkError> {
        if let Topology::Cluster(seeds) = &self.topology {
            let mut builder = ClusterClientBuilder::new(seeds.clone())
                .connection_timeout(CONNECT)
                .response_timeout(patience)
                .overall_response_timeout(Some(patience))
                .retries(2);
            if let Some(certificates) = &self.certificates {
                builder = builder.certs(certificates.clone());
            }
            return Ok(Link::Cluster(builder.build()?.get_async_connection().await?));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(patience));
        let connection = self
            .client()
            .await?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Link::One(connection))
    }

    /// A connection that hears what is published on these channels, and on all that match these patterns. In a Cluster it is
    /// one to any of the servers: each hears what is published on any.
    pub(crate) async fn subscribe(
        &self,
        channels: &[String],
        patterns: &[String],
    ) -> Result<(PubSubSink, PubSubStream), LinkError> {
        ready_for_tls();
        let begin = async {
            let mut connection = self.listen().await?;
            if !channels.is_empty() {
                connection.subscribe(channels).await?;
            }
            if !patterns.is_empty() {
                connection.psubscribe(patterns).await?;
            }
            Ok(connection.split())
        };
        tokio::time::timeout(CONNECT_OVERALL, begin)
            .await
            .unwrap_or(Err(LinkError::Silent))
    }

    async fn listen(&self) -> Result<PubSub, LinkError> {
        let Topology::Cluster(seeds) = &self.topology else {
            return Ok(self.client().await?.get_async_pubsub().await?);
        };
        let mut last = LinkError::Silent;
        for seed in seeds {
            let client = self.client_of(seed.clone())?;
            match tokio::time::timeout(CONNECT, client.get_async_pubsub()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error.into(),
                Err(_) => last = LinkError::Silent,
            }
        }
        Err(last)
    }

    async fn client(&self) -> Result<Client, RedisError> {
        match &self.topology {
            Topology::One(info) => self.client_of(info.clone()),
            Topology::Cluster(seeds) => match seeds.first() {
                Some(seed) => self.client_of(seed.clone()),
                None => Err((redis::ErrorKind::InvalidClientConfig, "no server").into()),
            },
            Topology::Sentinels {
                sentinels,
                master,
                info,
                user,
                password,
            } => {
                let mut builder =
                    SentinelClientBuilder::new(sentinels.clone(), master.clone(), SentinelServerType::Master)?
                        .set_client_to_redis_db(info.redis_settings().db());
                if let Some(name) = info.redis_settings().username() {
                    builder = builder.set_client_to_redis_username(name);
                }
                if let Some(secret) = info.redis_settings().password() {
                    builder = builder.set_client_to_redis_password(secret);
                }
                if let Some(name) = user {
                    builder = builder.set_client_to_sentinel_username(name);
                }
                if let Some(secret) = password {
                    builder = builder.set_client_to_sentinel_password(secret);
                }
                if is_tls(info.addr()) {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure);
                    if let Some(certificates) = &self.certificates {
                        builder = builder
                            .set_client_to_redis_certificates(certificates.clone())
                            .set_client_to_sentinel_certificates(certificates.clone());
                    }
                }
                builder.build()?.async_get_client().await
            }
        }
    }

    fn client_of(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        match &self.certificates {
            Some(certificates) if is_tls(info.addr()) => Client::build_with_tls(info, certificates.clone()),
            Some(_) | None => Client::open(info),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = match &self.topology {
            Topology::One(info) => vec![info.addr().to_string()],
            Topology::Sentinels { sentinels, .. } => sentinels.iter().map(ToString::to_string).collect(),
            Topology::Cluster(seeds) => seeds.iter().map(|seed| seed.addr().to_string()).collect(),
        };
        f.debug_tuple("Server").field(&addresses).finish()
    }
}

/// A connection to whichever Redis it is.
#[derive(Clone)]
pub(crate) enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// `rustls` wants to be told once which implementation of its algorithms to use.
fn ready_for_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody else may have told it already; then that is used.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

fn is_tls(address: &ConnectionAddr) -> bool {
    matches!(address, ConnectionAddr::TcpTls { .. })
}

fn seed(base: &str, rest: &str) -> Result<ConnectionInfo, InvalidServer> {
    let url = format!("{base}://{rest}");
    url.into_connection_info().or(Err(InvalidServer::Address))
}

/// The part before `@`, with it, and the rest.
fn split_credentials(authority: &str) -> (&str, &str) {
    match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    }
}

/// Each of `hosts` as a server with these credentials.
fn seeds(base: &str, authority: &str, port: u16, tail: &str) -> Result<Vec<ConnectionInfo>, InvalidServer> {
    let (credentials, hosts) = split_credentials(authority);
    hosts
        .split(',')
        .map(|host| {
            let info = seed(base, &format!("{credentials}{host}{tail}"))?;
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Ok(if has_port { info } else { with_port(info, port) })
        })
        .collect()
}

fn with_port(info: ConnectionInfo, port: u16) -> ConnectionInfo {
    let mut address = info.addr().clone();
    if let ConnectionAddr::Tcp(_, default) | ConnectionAddr::TcpTls { port: default, .. } = &mut address {
        *default = port;
    }
    info.set_addr(address)
}

fn cluster(base: &str, rest: &str) -> Result<Vec<ConnectionInfo>, InvalidServer> {
    let authority = rest.trim_end_matches('/');
    if authority.contains(['/', '?', '#']) {
        return Err(InvalidServer::Database);
    }
    seeds(base, authority, PORT, "")
}

fn sentinels(base: &str, rest: &str) -> Result<Topology, InvalidServer> {
    let (authority, path) = rest.split_once('/').ok_or(InvalidServer::Master)?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (master, database) = path.split_once('/').unwrap_or((path, "0"));
    if master.is_empty() {
        return Err(InvalidServer::Master);
    }
    let servers = seeds(base, authority, SENTINEL_PORT, &format!("/{database}"))?;
    let info = servers.first().cloned().ok_or(InvalidServer::Address)?;
    // The URL parser of the client library reads queries, percent-encoding and all.
    let parsed = redis::parse_redis_url(&format!("redis://h/?{query}")).ok_or(InvalidServer::Address)?;
    let asked = |name: &str| {
        parsed
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    Ok(Topology::Sentinels {
        sentinels: servers.iter().map(|server| server.addr().clone()).collect(),
        master: master.to_owned(),
        info,
        user: asked("sentinel_user"),
        password: asked("sentinel_password"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, InvalidServer> {
        Server::parse(&url.to_owned().into(), None)
    }

    #[test]
    fn one_server_by_name_port_database_and_credentials() {
        let Topology::One(info) = parse("redis://ward:p%40ss@cache:6390/3").unwrap().topology else {
            panic!("one server");
        };

        assert_eq!(info.addr().to_string(), "cache:6390");
        assert_eq!(info.redis_settings().username(), Some("ward"));
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 3);
    }

    #[test]
    fn sentinels_name_the_master_and_may_have_their_own_password() {
        let url = "redis+sentinel://ward:one@s1,s2:26380/alerts/2?sentinel_password=t%26wo";
        let Topology::Sentinels {
            sentinels,
            master,
            info,
            user,
            password,
        } = parse(url).unwrap().topology
        else {
            panic!("sentinels");
        };

        let addresses: Vec<String> = sentinels.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["s1:26379", "s2:26380"]);
        assert_eq!(master, "alerts");
        assert_eq!(info.redis_settings().password(), Some("one"));
        assert_eq!(info.redis_settings().db(), 2);
        assert_eq!((user, password), (None, Some("t&wo".to_owned())));
    }

    #[test]
    fn a_cluster_is_named_by_some_of_its_servers() {
        let Topology::Cluster(seeds) = parse("rediss+cluster://:pw@a:7000,b").unwrap().topology else {
            panic!("a cluster");
        };

        let addresses: Vec<String> = seeds.iter().map(|seed| seed.addr().to_string()).collect();
        assert_eq!(addresses, ["a:7000", "b:6379"]);
        assert!(seeds.iter().all(|seed| is_tls(seed.addr())));
        assert!(seeds.iter().all(|seed| seed.redis_settings().password() == Some("pw")));
    }

    #[test]
    fn a_password_beside_the_url_is_the_servers_and_keeps_the_user() {
        let password = SecretString::from("sesame");
        for url in [
            "redis://ward@cache",
            "redis+sentinel://ward@s1/alerts",
            "redis+cluster://ward@a,b",
        ] {
            let infos = match parse(url).unwrap().with_password(&password).topology {
                Topology::One(info) | Topology::Sentinels { info, .. } => vec![info],
                Topology::Cluster(seeds) => seeds,
            };

            for info in infos {
                let settings = info.redis_settings();
                assert_eq!(
                    (settings.username(), settings.password()),
                    (Some("ward"), Some("sesame"))
                );
            }
        }
    }

    #[test]
    fn what_names_no_redis_is_refused_with_the_reason() {
        for (url, reason) in [
            ("", InvalidServer::Scheme),
            ("cache:6379", InvalidServer::Scheme),
            ("http://cache", InvalidServer::Scheme),
            ("redis+raft://cache", InvalidServer::Scheme),
            ("redis://", InvalidServer::Address),
            ("redis://cache:none", InvalidServer::Address),
            ("redis+sentinel://s1", InvalidServer::Master),
            ("redis+sentinel://s1/", InvalidServer::Master),
            ("redis+cluster://a,b/1", InvalidServer::Database),
        ] {
            assert_eq!(parse(url).err(), Some(reason), "{url:?}");
        }
    }

    #[test]
    fn nothing_that_is_printed_tells_a_password() {
        let server = parse("redis://ward:sesame@cache").unwrap();

        assert_eq!(format!("{server:?}"), r#"Server(["cache:6379"])"#);
    }
}
