//! Half an hour of an ordinary, busy day: is it the same server at the end?

use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::generator::Generator;
use super::member::Phase;
use super::scenario::Scenario;
use super::server::Server;
use super::tally::{Measures, Nanos};

const ALERTS_PER_SECOND: f64 = 200.0;
/// One client goes each time: twenty a second, so each of two thousand about every hundred seconds.
const LEAVING_EVERY: Nanos = 50_000_000;
/// How long it stays away: at least, and by how much more at most.
const AWAY: Nanos = 1_000_000_000;
const AWAY_MORE: Nanos = 4_000_000_000;
const SAMPLING_EVERY: Duration = Duration::from_secs(2);
/// How much more than in its second third a server may take in its last.
const MEMORY_GROWTH: f64 = 1.1;
/// The same of latency; other programs on the machine are in it.
const LATENCY_GROWTH: f64 = 1.5;
/// A difference that is below what a scheduler does.
const LATENCY_SLACK_MS: f64 = 5.0;

/// How it was.
pub(crate) struct Soaked {
    pub(crate) last_third: Measures,
    pub(crate) problems: Vec<String>,
}

/// A third of the time.
struct Third {
    measures: Measures,
    /// Samples of resident memory.
    resident_kb: Vec<f64>,
}

impl Third {
    fn resident_mb(&self) -> f64 {
        let mut sorted = self.resident_kb.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0) / 1024.0
    }

    fn p99(&self) -> f64 {
        self.measures.deliveries.milliseconds_at(0.99).unwrap_or(f64::INFINITY)
    }
}

/// Clients that come and go.
struct Churn {
    random: u64,
    next: Nanos,
    /// When who comes back; the earliest is the greatest.
    away: BinaryHeap<(std::cmp::Reverse<Nanos>, usize)>,
}

impl Churn {
    fn new(now: Nanos) -> Self {
        Self {
            random: 0x9e37_79b9_7f4a_7c15,
            next: now,
            away: BinaryHeap::new(),
        }
    }

    /// xorshift64: the same clients leave in every run.
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn tick(&mut self, generator: &mut Generator) {
        let now = generator.now();
        while now >= self.next {
            self.next += LEAVING_EVERY;
            let index = self.draw(generator.members.len() as u64) as usize;
            let back = now + AWAY + self.draw(AWAY_MORE);
            if generator.members[index].phase == Phase::Present {
                generator.part(index);
                self.away.push((std::cmp::Reverse(back), index));
            }
        }
        self.come_back(generator, now);
    }

    fn come_back(&mut self, generator: &mut Generator, now: Nanos) {
        while let Some((std::cmp::Reverse(due), index)) = self.away.peek().copied()
            && due <= now
        {
            self.away.pop();
            generator.connect(index);
        }
    }
}

/// Goes on for `length` and judges the last third by the second.
pub(crate) fn run(generator: &mut Generator, server: &Server, scenario: &Scenario, length: Duration) -> Soaked {
    let mut churn = Churn::new(generator.now());
    let mut thirds = Vec::new();
    for number in 1..=3 {
        let mut resident_kb = vec![server.usage().resident_kb];
        let mut sampled = Instant::now();
        generator.run_open(ALERTS_PER_SECOND, scenario.rooms, length / 3, |generator| {
            churn.tick(generator);
            if sampled.elapsed() >= SAMPLING_EVERY {
                sampled = Instant::now();
                resident_kb.push(server.usage().resident_kb);
            }
        });
        let measures = std::mem::take(&mut generator.tally.measures);
        let third = Third { measures, resident_kb };
        eprintln!(
            "  third {number}: {:.1} MB, p50 {:.2} ms, p99 {:.2} ms",
            third.resident_mb(),
            third.measures.deliveries.milliseconds_at(0.5).unwrap_or_default(),
            third.p99()
        );
        thirds.push(third);
    }
    churn.come_back(generator, Nanos::MAX);
    generator.until_all_are_there();
    generator.drain();
    judge(thirds)
}

fn judge(mut thirds: Vec<Third>) -> Soaked {
    let last = thirds.pop().expect("three thirds");
    let second = thirds.pop().expect("three thirds");
    let mut problems = Vec::new();
    let (was, is) = (second.resident_mb(), last.resident_mb());
    if is > was * MEMORY_GROWTH {
        problems.push(format!("memory grew from {was:.1} MB to {is:.1} MB in the last third"));
    }
    let (was, is) = (second.p99(), last.p99());
    if is > was * LATENCY_GROWTH + LATENCY_SLACK_MS || is.is_infinite() {
        problems.push(format!("p99 grew from {was:.2} ms to {is:.2} ms in the last third"));
    }
    Soaked {
        last_third: last.measures,
        problems,
    }
}
