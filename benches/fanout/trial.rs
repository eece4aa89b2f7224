//! One run: a fresh server, its clients, what is done to it, and what that came to.

use std::collections::BTreeMap;
use std::time::Duration;

use wardbell::clock::{Clock as _, SystemClock};

use super::generator::Generator;
use super::member::{Manners, Member};
use super::peers::{Backbone, Peer};
use super::posters::Poster;
use super::scenario::{Act, Figure, Scenario};
use super::server::{Server, Usage, own_cpu_seconds};
use super::soak;
use super::support::people::{nurse, service};
use super::tally::{Faults, Measures, Tally};

/// How long all clients may take to connect and join.
const CONNECTING: Duration = Duration::from_mins(2);
/// How long memory may settle before it is read.
const SETTLING: Duration = Duration::from_secs(1);
/// How long the same is done before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// What wardbell may take at most under overload: its `backlog_bytes`, and half of it again for everything else.
const MOST_MEMORY_KB: f64 = 768.0 * 1024.0;
/// Every so many clients of a room come and go for good in the soak, and do not count.
const GUEST_EVERY: u32 = 10;

/// How runs are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) soak: Duration,
    pub(crate) is_pinned: bool,
}

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    pub(crate) peer: Peer,
    pub(crate) repetition: usize,
    pub(crate) figures: BTreeMap<Figure, f64>,
    pub(crate) faults: Faults,
    /// In words.
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    /// Whether everything was as it must be.
    pub(crate) fn is_right(&self) -> bool {
        self.faults.is_none() && self.problems.is_empty()
    }
}

/// Makes a run.
pub(crate) fn run(
    scenario: &'static Scenario,
    peer: Peer,
    repetition: usize,
    options: Options,
    backbone: &mut Option<Backbone>,
) -> Outcome {
    let mut outcome = Outcome {
        scenario,
        peer,
        repetition,
        figures: BTreeMap::new(),
        faults: Faults::default(),
        problems: Vec::new(),
    };
    let launches = peer.launches(scenario.has_tokens, backbone);
    match Server::start(launches, options.is_pinned) {
        Ok(mut server) => measure(&mut outcome, &mut server, options),
        Err(problem) => outcome.problems.push(problem),
    }
    outcome
}

fn measure(outcome: &mut Outcome, server: &mut Server, options: Options) {
    let scenario = outcome.scenario;
    let recovers = outcome.peer.is_wardbell() && (scenario.may_shed || matches!(scenario.act, Act::Soak));
    let mut generator = Generator::new(
        server.addrs().to_vec(),
        members(scenario, server, recovers),
        Tally::of(scenario.rooms as usize),
    );
    generator.comes_back = recovers;

    let (before, own) = (server.usage(), own_cpu_seconds());
    let took = generator.connect_all(CONNECTING).as_secs_f64();
    let (connected, own) = (server.usage(), own_cpu_seconds() - own);
    generator.idle(SETTLING);
    let settled = server.usage();
    let present = generator.present() as f64;
    if present > 0.0 {
        let (cpu, joins) = (
            micros(before, connected),
            f64::from(scenario.seats) * f64::from(scenario.members.min(scenario.connections)),
        );
        outcome.figures.extend([
            (Figure::ConnectsPerSecond, present / took),
            (Figure::CpuPerConnect, cpu / present),
            (
                Figure::MemoryPerConnection,
                (settled.resident_kb - before.resident_kb) / present,
            ),
            (Figure::JoinsPerSecond, joins / took),
            (Figure::CpuPerJoin, cpu / joins),
            (Figure::GeneratorBusy, own / took),
        ]);
    }

    if !matches!(scenario.act, Act::Nothing) {
        let pipeline = if outcome.peer.may_pipeline() {
            scenario.pipeline
        } else {
            1
        };
        generator.connect_posters(posters(scenario, server, pipeline));
        load(outcome, server, &mut generator, options);
    }
    let usage = server.usage();
    outcome.figures.insert(Figure::Resident, usage.resident_kb / 1024.0);
    outcome.figures.insert(Figure::Peak, usage.peak_kb / 1024.0);
    if recovers && usage.peak_kb > MOST_MEMORY_KB {
        outcome.problems.push(format!("took {:.0} MB", usage.peak_kb / 1024.0));
    }
    if !server.is_alive() {
        outcome.problems.push("the server has ended".to_owned());
    }

    generator.close();
    let faults = &mut generator.tally.faults;
    if recovers && scenario.may_shed {
        faults.refused = 0;
    }
    faults.refused += generator.tally.unanswered as u64;
    outcome.faults = generator.tally.faults;
    outcome.problems.append(&mut generator.problems);
    if !outcome.is_right() {
        let complaints = server.complaints().into_iter().map(|line| format!("it says: {line}"));
        outcome.problems.extend(complaints);
    }
}

/// Posts, and takes down what that cost.
fn load(outcome: &mut Outcome, server: &Server, generator: &mut Generator, options: Options) {
    let scenario = outcome.scenario;
    if let Act::Post(rhythm) = scenario.act {
        generator.run(rhythm, scenario.rooms, WARM_UP.min(options.length));
        generator.drain();
    }
    generator.tally.measures = Measures::default();
    generator.tally.is_measuring = true;
    let (begun, before, own) = (generator.now(), server.usage(), own_cpu_seconds());
    let measures = match scenario.act {
        Act::Nothing => return,
        Act::Post(rhythm) => {
            generator.spins = options.is_pinned && matches!(rhythm, super::load::Rhythm::Open { .. });
            generator.run(rhythm, scenario.rooms, options.length);
            generator.drain();
            std::mem::take(&mut generator.tally.measures)
        }
        Act::Soak => {
            let soaked = soak::run(generator, server, scenario, options.soak);
            outcome.problems.extend(soaked.problems);
            soaked.last_third
        }
    };
    let after = server.usage();
    let wall = generator.tally.until.saturating_sub(begun) as f64 / 1e9;
    let (deliveries, posts) = (generator.tally.deliveries as f64, generator.tally.answers as f64);
    let cpu = micros(before, after);
    let figures = &mut outcome.figures;
    if deliveries > 0.0 {
        figures.insert(Figure::DeliveriesPerSecond, deliveries / wall);
        figures.insert(Figure::CpuPerDelivery, cpu / deliveries);
    }
    if posts > 0.0 {
        figures.insert(Figure::PostsPerSecond, posts / wall);
        figures.insert(Figure::CpuPerPost, cpu / posts);
    }
    let histograms = [
        (Figure::P50, &measures.deliveries, 0.5),
        (Figure::P99, &measures.deliveries, 0.99),
        (Figure::P999, &measures.deliveries, 0.999),
        (Figure::LastP50, &measures.last_member, 0.5),
        (Figure::LastP99, &measures.last_member, 0.99),
        (Figure::AnswerP50, &measures.answers, 0.5),
        (Figure::AnswerP99, &measures.answers, 0.99),
    ];
    for (figure, histogram, share) in histograms {
        figures.extend(
            histogram
                .milliseconds_at(share)
                .map(|milliseconds| (figure, milliseconds)),
        );
    }
    figures.insert(Figure::ServerBusy, cpu / 1e6 / wall);
    figures.insert(Figure::GeneratorBusy, (own_cpu_seconds() - own) / wall);
    figures.insert(Figure::Refused, generator.tally.faults.refused as f64);
    figures.insert(Figure::ClosedByServer, generator.closed_by_server as f64);
}

fn members(scenario: &Scenario, server: &Server, recovers: bool) -> Vec<Member> {
    let now = SystemClock.now();
    (0..scenario.connections)
        .map(|client| {
            let addr = server.addrs()[client as usize % server.addrs().len()];
            let manners = Manners {
                host: addr.to_string(),
                query: format!("user_id=u{client}&user_role=nurse"),
                token: scenario
                    .has_tokens
                    .then(|| nurse().of("H1").named(&format!("u{client}")).token(now)),
                recovers,
            };
            let is_guest =
                matches!(scenario.act, Act::Soak) && (client / scenario.rooms) % GUEST_EVERY == GUEST_EVERY - 1;
            Member::new(scenario.transport, manners, scenario.rooms_of(client), !is_guest)
        })
        .collect()
}

fn posters(scenario: &Scenario, server: &Server, pipeline: usize) -> Vec<Poster> {
    let token = scenario.has_tokens.then(|| service().token(SystemClock.now()));
    (0..scenario.posters)
        .map(|poster| {
            let addr = server.addrs()[poster as usize % server.addrs().len()];
            Poster::new(addr, token.as_deref(), pipeline)
        })
        .collect()
}

fn micros(before: Usage, after: Usage) -> f64 {
    (after.cpu_seconds - before.cpu_seconds) * 1e6
}
