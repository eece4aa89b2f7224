//! Making connections: one host after the other, the one that worked last first, encrypted as the address asks for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Encryption};
use super::failure::Failure;
use super::tls::TlsFailure;

/// Makes connections. Their ends are not worth a line in the log: whoever used them says so.
pub(super) struct Connector {
    address: Address,
    /// How long one host may take while there is another.
    patience: Duration,
    /// Which host worked last. After a failover the others would only cost time.
    good: AtomicUsize,
}

type Made = (
    Client,
    Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
);

impl Connector {
    pub(super) fn new(address: Address, patience: Duration) -> Self {
        Self {
            address,
            patience,
            good: AtomicUsize::new(0),
        }
    }

    async fn connect_anywhere(&self) -> Result<Made, Error> {
        let mut order: Vec<_> = self.address.hosts.iter().enumerate().collect();
        order.rotate_left(self.good.load(Ordering::Relaxed));
        let mut order = order.into_iter();
        let mut failure = None;
        while let Some((index, host)) = order.next() {
            let connecting = self.connect(host);
            let made = if order.len() == 0 {
                // For the last one, it is whoever waits who gives up.
                connecting.await
            } else if let Ok(made) = timeout(self.patience, connecting).await {
                made
            } else {
                continue;
            };
            match made {
                Ok(made) => {
                    self.good.store(index, Ordering::Relaxed);
                    return Ok(made);
                }
                // What a server has said tells more than that another is not there.
                Err(error) if failure.as_ref().is_none_or(|known| !is_telling(known)) => failure = Some(error),
                Err(_) => {}
            }
        }
        match failure {
            Some(error) => Err(error),
            // Where there is no host. An address has one, and the last one's outcome is known by now.
            None => std::future::pending().await,
        }
    }

    /// As libpq does it: `prefer` goes without encryption where it does not come about, `allow` with it where nothing else is
    /// taken.
    async fn connect(&self, host: &Config) -> Result<Made, Error> {
        let with = async |mode| {
            let mut config = host.clone();
            config.ssl_mode(mode).connect(self.address.tls.clone()).await
        };
        // There is no TLS on a socket of this machine.
        if host.get_hosts().iter().any(|host| matches!(host, Host::Unix(_))) && host.get_hostaddrs().is_empty() {
            return with(SslMode::Disable).await;
        }
        match self.address.encryption {
            Encryption::Never => with(SslMode::Disable).await,
            Encryption::Always => with(SslMode::Require).await,
            Encryption::Preferred => match with(SslMode::Prefer).await {
                Err(error) if is_refused(&error) || TlsFailure::of(&error).is_some() => {
                    with(SslMode::Disable).await.or(Err(error))
                }
                made => made,
            },
            Encryption::Reluctant => match with(SslMode::Disable).await {
                Err(error) if is_refused(&error) => with(SslMode::Require).await,
                made => made,
            },
        }
    }
}

/// Whether the server does not take such a connection: another kind of it, it may.
fn is_refused(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28000")
}

fn is_telling(error: &Error) -> bool {
    error.as_db_error().is_some() || TlsFailure::of(error).is_some()
}

impl Connect for Connector {
    fn connect(&self, _config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(async move {
            let (client, connection) = self.connect_anywhere().await?;
            let ending = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(
                        error = &Failure::from(error) as &dyn std::error::Error,
                        "a connection has ended"
                    );
                }
            });
            Ok((client, ending))
        })
    }
}
