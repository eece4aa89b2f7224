//! How long the hot paths take: `cargo bench --bench micro`, with names to choose some of them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement may panic"
)]

#[expect(dead_code, reason = "criterion finds by itself how often")]
mod hot_paths;

use criterion::{Criterion, criterion_group, criterion_main};
// What of the bridges is measured is compiled in from its source, and names this.
use wardbell::ports;

fn hot_paths(criterion: &mut Criterion) {
    for path in hot_paths::ALL {
        let mut run = (path.prepare)();
        criterion.bench_function(path.name, |bencher| bencher.iter(&mut run));
    }
}

criterion_group!(benches, hot_paths);
criterion_main!(benches);
