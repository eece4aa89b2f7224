//! Logs and metrics. It refuses to know what the numbers mean: others count, this writes down.

mod logging;
mod metrics;

pub use logging::{Hashed, LogError, LogFormat, hashed, init_logging};
pub use metrics::{BridgeLabels, EventLabel, Metrics, RequestLabels, ResultLabel, TransportLabel};
