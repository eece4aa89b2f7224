//! Logs: where lines go, how they look, and what must not be in them.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use uuid::Uuid;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For collectors: one JSON object a line.
    Json,
}

/// Logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[source] ParseError),
    /// Something in this process logs already.
    #[error("logging has begun already")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Writes what `filter` lets through to standard error from now on, panics included. Once a process.
///
/// # Errors
/// If the filter cannot be read, or it was called before.
pub fn init_logging(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(filter).map_err(LogError::Filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    }
    .map_err(LogError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        // A literal was written by us; a formatted message may carry what was being handled.
        let message = panic
            .payload()
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("(message withheld)");
        tracing::error!(panic.location = location, panic.message = message, "panicked");
    }));
    Ok(())
}

/// An id that may only be logged hashed: a patient's.
///
/// The same id gives the same text for as long as this process runs, so that lines about one patient can be found
/// together. It is keyed with a random number that is never written down: whoever has the log and a list of patients cannot
/// find out who is who.
pub fn hashed(id: impl fmt::Display) -> Hashed {
    static KEY: OnceLock<Uuid> = OnceLock::new();
    let mut hash = Sha256::new();
    hash.update(KEY.get_or_init(Uuid::new_v4).as_bytes());
    hash.update(id.to_string().as_bytes());
    first_48_bits(&hash.finalize())
}

fn first_48_bits(hash: &[u8]) -> Hashed {
    Hashed(hash.iter().take(6).fold(0, |bits, byte| (bits << 8) | u64::from(*byte)))
}

/// What [`hashed`] makes of an id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hashed(u64);

impl fmt::Display for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:012x}", self.0)
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_is_hashed_to_the_same_text_and_another_to_another() {
        let (one, again, other) = (hashed("PAT-1A2B3C4D"), hashed("PAT-1A2B3C4D"), hashed("PAT-1A2B3C4E"));

        assert_eq!(one, again);
        assert_ne!(one, other);
    }

    #[test]
    fn a_hashed_id_shows_nothing_of_the_id() {
        let text = format!("{} {:?}", hashed("PAT-1A2B3C4D"), hashed("PAT-1A2B3C4D"));

        assert!(!text.contains("PAT") && !text.contains("1A2B"), "{text}");
        assert_eq!(hashed("PAT-1A2B3C4D").to_string().len(), 13);
    }

    #[test]
    fn a_hash_is_not_the_plain_one_that_anybody_could_compute() {
        let plain = first_48_bits(&Sha256::digest(b"PAT-1A2B3C4D"));

        assert_ne!(hashed("PAT-1A2B3C4D"), plain);
    }
}
