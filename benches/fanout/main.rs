//! The server under load beside others that do its job, from outside: real sockets, the release binary.
//!
//! ```text
//! cargo bench --bench fanout                                    all but the soak, beside all peers that are installed (make peers)
//! cargo bench --bench fanout -- lockstep1000 latency100         these alone; --list names all
//! cargo bench --bench fanout -- --peers node,python --reps 5 --secs 8
//! cargo bench --bench fanout -- soak --minutes 30
//! ```
//!
//! Servers run on one core and the load on another (`--unpinned`: wherever they like), by turns within each repetition, each
//! time as a fresh process with an empty folder. Every delivery is checked: whatever of wardbell's was lost, came twice, out of
//! order or to somebody else ends this with a failure. `WARDBELL_BIN` names another binary to measure. Markdown goes to
//! standard output, and how far it is to standard error.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement may panic, says what it has measured, and its numbers are far from their limits"
)]

mod generator;
mod histogram;
mod http;
mod load;
mod member;
mod peers;
mod posters;
mod report;
mod scenario;
mod server;
mod soak;
#[path = "../../tests/it/support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "written for the tests, of which this needs a part"
)]
mod support;
mod tally;
mod trial;
mod websocket;

use std::time::Duration;

use peers::Peer;
use scenario::{Act, Compared, Scenario};
use trial::Options;

struct Arguments {
    scenarios: Vec<&'static Scenario>,
    peers: Vec<Peer>,
    repetitions: usize,
    options: Options,
}

/// Says why and ends.
fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2)
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut read = Self {
            scenarios: Vec::new(),
            peers: Peer::SINGLE.to_vec(),
            repetitions: 3,
            options: Options {
                length: Duration::from_secs(4),
                soak: Duration::from_mins(30),
                is_pinned: true,
            },
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_default();
            match argument.as_str() {
                "--bench" => {} // from cargo
                "--reps" => read.repetitions = number(&value()),
                "--secs" => read.options.length = Duration::from_secs(number(&value()) as u64),
                "--minutes" => read.options.soak = Duration::from_secs(60 * number(&value()) as u64),
                "--unpinned" => read.options.is_pinned = false,
                "--peers" => read.peers = value().split(',').map(peer).collect(),
                "--list" => {
                    for scenario in scenario::ALL {
                        println!("{:16}{}", scenario.name, scenario.title);
                    }
                    std::process::exit(0)
                }
                name => match scenario::ALL.iter().find(|scenario| scenario.name == name) {
                    Some(scenario) => read.scenarios.push(scenario),
                    None => refuse(&format!("there is no scenario {name}; --list names all")),
                },
            }
        }
        if read.scenarios.is_empty() {
            read.scenarios = scenario::ALL
                .iter()
                .filter(|scenario| !matches!(scenario.act, Act::Soak))
                .collect();
        }
        if !read.peers.contains(&Peer::Wardbell) {
            read.peers.insert(0, Peer::Wardbell);
        }
        read
    }

    /// Who is measured in a scenario.
    fn peers_of(&self, scenario: &Scenario) -> Vec<Peer> {
        let all = match scenario.compared {
            Compared::Peers => self.peers.as_slice(),
            Compared::Nodes => &Peer::CLUSTER,
            Compared::WardbellAlone => &[Peer::Wardbell],
        };
        all.iter().copied().filter(|peer| peer.program().is_some()).collect()
    }
}

fn number(text: &str) -> usize {
    match text.parse() {
        Ok(number) if number > 0 => number,
        _ => refuse(&format!("not a number: {text:?}")),
    }
}

fn peer(name: &str) -> Peer {
    match Peer::SINGLE.into_iter().find(|peer| peer.name() == name) {
        Some(peer) => peer,
        None => refuse(&format!("there is no peer {name}: wardbell, bare, node, python, flask")),
    }
}

fn main() {
    let mut arguments = Arguments::read(std::env::args().skip(1));
    if Peer::Wardbell.program().is_none() {
        refuse("there is no wardbell to measure: WARDBELL_BIN names no file");
    }
    let (_, missing): (Vec<Peer>, Vec<Peer>) = arguments.peers.iter().partition(|peer| peer.program().is_some());
    for peer in &missing {
        eprintln!("{}: not installed; `make peers` installs it", peer.name());
    }
    rlimit::increase_nofile_limit(rlimit::INFINITY).unwrap();
    if arguments.options.is_pinned && !server::pin_generator() {
        eprintln!("there is one core only: nothing is pinned");
        arguments.options.is_pinned = false;
    }

    let mut backbone = None;
    let mut outcomes = Vec::new();
    for repetition in 0..arguments.repetitions {
        for scenario in &arguments.scenarios {
            if repetition > 0 && matches!(scenario.act, Act::Soak) {
                continue; // half an hour is long enough
            }
            for peer in arguments.peers_of(scenario) {
                let outcome = trial::run(scenario, peer, repetition, arguments.options, &mut backbone);
                eprintln!(
                    "{}/{} {} {}: {}",
                    repetition + 1,
                    arguments.repetitions,
                    scenario.name,
                    peer.name(),
                    report::line(&outcome)
                );
                outcome.problems.iter().for_each(|problem| eprintln!("  {problem}"));
                outcomes.push(outcome);
            }
        }
    }
    drop(backbone);

    let Arguments {
        repetitions, options, ..
    } = arguments;
    println!(
        "{}",
        report::markdown(&outcomes, &missing, repetitions, options.is_pinned)
    );
    if outcomes
        .iter()
        .any(|outcome| outcome.peer.is_wardbell() && !outcome.is_right())
    {
        eprintln!("wardbell did not do what it promises: see the end of the report");
        std::process::exit(1);
    }
}
