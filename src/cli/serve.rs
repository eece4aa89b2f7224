//! `wardbell serve`: runs the server until it is told to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinError;

use super::{Error, say};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Algorithm, Config, Format, Mode};
use crate::shutdown::{Ending, Shutdown};
use crate::telemetry::{LogFormat, init_logging};

/// How long the store may take to close once everything else was cut short.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Serves until the end.
pub(super) fn serve(config: Config, file: Option<&Path>) -> Result<(), Error> {
    let format = match config.log.format {
        Format::Human => LogFormat::Human,
        Format::Json => LogFormat::Json,
    };
    init_logging(&log_filter(&config), format)
        .context("cannot log")
        .map_err(Error::Server)?;
    for note in &config.notes {
        if note.is_warning {
            tracing::warn!("{}", note.message);
        } else {
            tracing::info!("{}", note.message);
        }
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::System {
            what: "cannot start the runtime",
            source,
        })?;
    // On a worker's thread: glibc keeps the memory of threads apart, and what the start has used is used again by connections.
    let run = runtime.spawn(run(config, file.map(Path::to_owned)));
    let served = match runtime.block_on(run).map_err(JoinError::try_into_panic) {
        Ok(served) => served,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(cancelled)) => Err(Error::Server(cancelled.into())),
    };
    // Whatever still blocks a thread must not hold up the end: what was answered is on disk already.
    runtime.shutdown_background();
    served
}

/// Every socket is an open file; a shell usually allows 1,024 where the system would allow far more.
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "open files allowed"),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "could not raise the limit of open files; it bounds how many clients can connect"
        ),
    }
}

async fn run(config: Config, file: Option<PathBuf>) -> Result<(), Error> {
    let shutdown = Shutdown::on_signals(config.server.shutdown_grace).map_err(|source| Error::System {
        what: "cannot listen to signals",
        source,
    })?;
    let (address, mode, node) = (config.server.address(), config.auth.mode, config.server.node.clone());
    let is_human = config.log.format == Format::Human;
    let hint = Hint {
        mode,
        algorithm: config.auth.algorithm,
        file: file.as_deref(),
    };

    // The port opens last: whoever can connect is served.
    let app = App::build(config, Arc::new(SystemClock)).await.map_err(Error::Server)?;
    let listening = TcpListener::bind(address)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = listening.map_err(|source| Error::Listen { address, source })?;

    tracing::info!(
        server.address = %address,
        server.node = node,
        server.version = env!("CARGO_PKG_VERSION"),
        auth.mode = mode.as_str(),
        "listening"
    );
    if is_human {
        say(&hint.text(address))?;
    }
    let hard = shutdown.hard().clone();
    let cut = async {
        hard.cancelled().await;
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        ended = Box::pin(app.run(listener, shutdown)) => match ended.map_err(Error::Server)? {
            Ending::Complete => tracing::info!("stopped"),
            Ending::Cut(tasks) => tracing::warn!(tasks, "stopped; some tasks were still busy and were cut"),
        },
        () = cut => tracing::warn!("stopped at once"),
    }
    Ok(())
}

fn log_filter(config: &Config) -> String {
    // What these say of a lost connection, once for each, the store says once for all. Whoever names them hears them.
    let quiet = "tokio_postgres=warn,deadpool=error";
    let level = &config.log.level;
    if config.socket.log_events {
        format!("{quiet},{level},wardbell::socket=debug,socketioxide=debug,engineioxide=debug")
    } else {
        format!("{quiet},{level}")
    }
}

/// What a person who has just started the server wants to try.
struct Hint<'a> {
    mode: Mode,
    algorithm: Algorithm,
    file: Option<&'a Path>,
}

impl Hint<'_> {
    fn text(&self, address: SocketAddr) -> String {
        let mode = match self.mode {
            Mode::Open => "open mode: no token is asked of anybody; this machine only",
            Mode::Token => "token mode: REST and sockets need a token",
            Mode::Legacy => "LEGACY MODE: REST needs a token, sockets are believed what they say",
        };
        let (prerequisite, authorization) = match (self.mode, self.algorithm) {
            (Mode::Open, _) => ("", String::new()),
            // A token printed here would end up in logs, so the line has one signed when it runs.
            (Mode::Token | Mode::Legacy, Algorithm::Hs256) => (
                ", in a shell that has this server's environment",
                format!("$({} token --role service)", self.command()),
            ),
            (Mode::Token | Mode::Legacy, Algorithm::Rs256 | Algorithm::Es256) => {
                (", with a token of your backend's in $TOKEN", "$TOKEN".to_owned())
            }
        };
        let authorization = match authorization.as_str() {
            "" => String::new(),
            token => format!(" \\\n    -H \"Authorization: Bearer {token}\""),
        };
        format!(
            "wardbell {version} on http://{reachable}\n{mode}\n\nRaise an alert{prerequisite}:\n\n  \
             curl http://{reachable}/api/alerts/patient{authorization} \\\n    \
             -H 'Content-Type: application/json' \\\n    \
             -d '{{\"patient_id\":\"P1\",\"alert_type\":\"critical\",\"alert_data\":{{\"message\":\"SpO2 84 %\"}}}}'\n",
            version = env!("CARGO_PKG_VERSION"),
            reachable = reachable(address),
        )
    }

    /// This program as a shell finds it again.
    fn command(&self) -> String {
        let program = std::env::current_exe().unwrap_or_else(|_| "wardbell".into());
        let mut words = vec![quoted(&program)];
        if let Some(file) = self.file {
            words.push("--config".to_owned());
            words.push(quoted(file));
        }
        words.join(" ")
    }
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
    if is_plain {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The address with a host that can be connected to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(mode: Mode, algorithm: Algorithm, address: &str) -> String {
        let file = Some(Path::new("/etc/ward bell/it's.toml"));
        Hint { mode, algorithm, file }.text(address.parse().unwrap())
    }

    #[test]
    fn an_open_server_is_tried_without_a_token() {
        let text = hint(Mode::Open, Algorithm::Hs256, "127.0.0.1:5000");

        assert!(
            text.contains("open mode") && text.contains("curl http://127.0.0.1:5000/api/alerts/patient"),
            "{text}"
        );
        assert!(!text.contains("Authorization"), "{text}");
    }

    #[test]
    fn a_server_with_a_secret_is_tried_with_a_token_signed_on_the_spot() {
        let text = hint(Mode::Token, Algorithm::Hs256, "127.0.0.1:5000");

        assert!(
            text.contains(r" --config '/etc/ward bell/it'\''s.toml' token --role service)"),
            "{text}"
        );
    }

    #[test]
    fn a_server_with_a_public_key_is_tried_with_a_token_of_the_backends() {
        let text = hint(Mode::Token, Algorithm::Es256, "127.0.0.1:5000");

        assert!(
            text.contains("Authorization: Bearer $TOKEN") && !text.contains("token --role"),
            "{text}"
        );
    }

    #[test]
    fn a_server_on_every_address_is_tried_on_this_machine() {
        assert!(hint(Mode::Token, Algorithm::Hs256, "0.0.0.0:80").contains("curl http://127.0.0.1:80/"));
        assert!(hint(Mode::Token, Algorithm::Hs256, "[::]:80").contains("curl http://[::1]:80/"));
    }

    #[test]
    fn socket_logs_are_switched_on_beside_the_level() {
        let environment = crate::config::Environment::from([("SOCKET_IO_LOGGER", "true"), ("LOG_LEVEL", "warn")]);

        let filter = log_filter(&Config::load(None, &environment).unwrap());

        assert_eq!(
            filter,
            "tokio_postgres=warn,deadpool=error,warn,wardbell::socket=debug,socketioxide=debug,engineioxide=debug"
        );
    }
}
