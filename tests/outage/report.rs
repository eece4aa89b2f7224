//! The table that shows what was sent and what arrived.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// One client through one outage.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// What happened.
    pub(super) outage: String,
    /// Who it happened to.
    pub(super) client: String,
    /// Alerts that backends tried to raise.
    pub(super) posted: usize,
    /// Those that were answered with a 2xx.
    pub(super) accepted: usize,
    /// Different ones of those that arrived.
    pub(super) received: usize,
    /// Those that never did.
    pub(super) missed: usize,
    /// Arrivals beyond the first.
    pub(super) duplicates: usize,
    /// Arrivals after one that was sent later.
    pub(super) out_of_order: usize,
    /// How often the client was connected again.
    pub(super) reconnects: usize,
    /// How often it had its session back.
    pub(super) recovered: usize,
    /// The longest time without an alert, while alerts were being raised all the time.
    pub(super) longest_gap: Duration,
}

impl Row {
    /// Adds the row to the table and checks the promise: nothing missed, nothing twice, in order.
    pub(super) fn check(self) {
        let Self {
            outage,
            client,
            posted,
            accepted,
            received,
            missed,
            duplicates,
            out_of_order,
            reconnects,
            recovered,
            longest_gap,
        } = &self;
        let gap = longest_gap.as_secs_f64();
        let line = format!(
            "| {outage} | {client} | {posted} | {accepted} | {received} | {missed} | {duplicates} | {out_of_order} | {reconnects} | {recovered} | {gap:.2} |\n"
        );
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/outage.md");
        // One write a line: tests of several threads share the file.
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        eprint!("{line}");
        assert!(*accepted > 0, "{self:?}");
        assert_eq!((*missed, *duplicates, *out_of_order), (0, 0, 0), "{self:?}");
    }
}
