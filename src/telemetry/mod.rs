//! Logs and metrics. It refuses to know what the numbers mean: others count, this writes down.

mod metrics;

pub use metrics::{EventLabel, Metrics, RequestLabels, ResultLabel, TransportLabel};
