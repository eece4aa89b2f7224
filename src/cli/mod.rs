//! The command line: what can be asked of the binary, and how it answers. It refuses to know how a server is built.

mod emit;
mod healthcheck;
mod serve;
mod token;

use std::io::{self, Write as _};
use std::iter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::app::settings;
use crate::auth::{Authenticator, SignError};
use crate::config::{Config, Database, Environment, Invalid, Problem};
use crate::store::postgres::{AddressError, Nodes};

/// The alert server for hospitals: REST in, Socket.IO out, nothing accepted is lost.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Arguments {
    /// A configuration file; what it leaves out is as in config/default.toml, and the environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (what happens without a command, too).
    Serve,
    /// Say whether the configuration can be used, and what follows from it.
    CheckConfig,
    /// Print a signed token for trying out.
    Token(token::Grant),
    /// Raise an alert on a running server.
    Emit(emit::Emit),
    /// Ask the server of this configuration whether it is ready; exits with 1 if it is not.
    Healthcheck(healthcheck::Healthcheck),
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A token cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server could not begin, or ended badly.
    #[error("{0:#}")]
    Server(anyhow::Error),
    /// No answer.
    #[error("no answer from {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer, and not the one that was hoped for.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: reqwest::StatusCode,
        /// What it said.
        body: String,
    },
    /// The system failed us.
    #[error("{what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// 64 (`EX_USAGE`) where the configuration or the command is wrong, so that a supervisor need not try again; else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 64,
            Self::Sign(_)
            | Self::Listen { .. }
            | Self::Server(_)
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::System { .. } => 1,
        }
    }
}

/// Does what was asked, in the environment of this process.
///
/// # Errors
/// If it fails; [`Error::exit_code`] says how to end.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { config: file, command } = arguments;
    let config = Config::load(file.as_deref(), &Environment::of_this_process())?;
    let authenticator = Authenticator::new(settings::auth(&config.auth));
    let problems = [
        authenticator
            .as_ref()
            .err()
            .map(|error| unusable("auth.public_key_file", error)),
        settings::redis(&config.redis)
            .err()
            .map(|error| unusable("redis.url", &error)),
        address_of_database(&config)
            .err()
            .map(|error| unusable("store.url", &error)),
    ];
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
    let (Ok(authenticator), true) = (authenticator, problems.is_empty()) else {
        return Err(Invalid(problems).into());
    };
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(config, file.as_deref()),
        Command::CheckConfig => check_config(&config),
        Command::Token(grant) => say(&grant.sign(&authenticator)?),
        Command::Emit(emit) => emit.send(&config, &authenticator),
        Command::Healthcheck(check) => check.ask(&config),
    }
}

/// A value that cannot be used is a problem of the configuration, although only its user can find out.
fn unusable(key: &str, error: &dyn std::error::Error) -> Problem {
    let causes = iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    Problem {
        key: key.to_owned(),
        source: None,
        message: causes.join(": "),
    }
}

fn address_of_database(config: &Config) -> Result<(), AddressError> {
    match &config.store.database {
        Database::Postgres(url) => settings::postgres(&config.store, url, Nodes::Many).verify(),
        Database::Sqlite(_) => Ok(()),
    }
}

fn check_config(config: &Config) -> Result<(), Error> {
    for note in &config.notes {
        say(&format!(
            "{}: {}",
            if note.is_warning { "warning" } else { "note" },
            note.message
        ))?;
    }
    say(&format!(
        "the configuration is valid: {} mode on {}, store in {}",
        config.auth.mode.as_str(),
        config.server.address(),
        config.store.database
    ))
}

/// Writes a line to standard output.
fn say(line: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|source| Error::System {
            what: "cannot write to standard output",
            source,
        })
}

/// Waits for `work` on this thread.
fn wait_for<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::System {
            what: "cannot start the runtime",
            source,
        })?
        .block_on(work)
}

/// How long commands wait for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a request and reads the whole answer.
async fn ask(url: &str, request: reqwest::RequestBuilder, patience: Duration) -> Result<String, Error> {
    let unreachable = |source: reqwest::Error| Error::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
    };
    let answer = request.timeout(patience).send().await.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.text().await.map_err(unreachable)?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(Error::Refused {
            url: url.to_owned(),
            status,
            body,
        })
    }
}

/// Where the server of this configuration is reached from this machine.
fn base_url(config: &Config) -> String {
    format!("http://{}", config.server.local_address())
}
