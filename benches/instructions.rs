//! How many instructions the hot paths take, beside what they took when `benches/instructions.txt` was written: a guard
//! that a busy machine does not fool. `make bench-check` runs it; `make bench-baseline` writes the file anew.
//!
//! Valgrind counts, in a process for each path and only while [`measured`] runs: neither what comes before it nor other
//! threads. The counts depend on the compiler (the file names it), and a little on the processor, where libraries choose their
//! instructions by it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement may panic, and says what it has measured"
)]

mod hot_paths;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use hot_paths::HotPath;
// What of the bridges is measured is compiled in from its source, and names this.
use wardbell::ports;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// By how much a path may grow before somebody has to say so, in percent.
const BOUND: f64 = 5.0;
/// Hash tables begin differently in every process: the least of a few counts.
const TRIES: usize = 2;

/// What is counted; Valgrind knows it by this name.
#[inline(never)]
fn measured(run: &mut dyn FnMut(), rounds: u32) {
    for _ in 0..rounds {
        run();
    }
}

/// The instructions of one round.
fn count(path: &HotPath) -> u64 {
    let counts = (0..TRIES).map(|_| counted(path.name));
    counts.min().unwrap() / u64::from(path.rounds)
}

/// The instructions of all rounds.
fn counted(name: &str) -> u64 {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=instructions::measured*",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", name])
        .output()
        .unwrap_or_else(|error| panic!("valgrind, which `make bench-check` installs: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.unwrap().1.trim().parse().unwrap();
    assert_ne!(count, 0, "nothing was counted:\n{text}");
    count
}

/// What the file says, and of which compiler.
fn baseline() -> (String, BTreeMap<String, u64>) {
    let text = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let compiler = text.lines().find_map(|line| line.strip_prefix("# rustc "));
    let counts = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    });
    (compiler.unwrap_or_default().to_owned(), counts.collect())
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap().stdout;
    String::from_utf8_lossy(&output)
        .trim()
        .trim_start_matches("rustc ")
        .to_owned()
}

fn record() {
    let mut text =
        String::from("# Instructions a round of benches/hot_paths, in release builds: `make bench-baseline`.\n");
    writeln!(text, "# rustc {}", compiler()).unwrap();
    for path in hot_paths::ALL {
        writeln!(text, "{:24}{}", path.name, count(path)).unwrap();
    }
    print!("{text}");
    std::fs::write(BASELINE, text).unwrap();
}

fn check() -> ExitCode {
    let (compiler_then, counts) = baseline();
    if compiler_then != compiler() {
        eprintln!(
            "{} is of rustc {compiler_then}, this is {}: differences may be the compiler's",
            shown(BASELINE),
            compiler()
        );
    }
    let mut is_right = true;
    for path in hot_paths::ALL {
        let after = count(path);
        let Some(before) = counts.get(path.name).copied().filter(|before| *before > 0) else {
            println!("{:24}{after:>10}  not in {}", path.name, shown(BASELINE));
            is_right = false;
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "far from 2^52")]
        let percent = (after as f64 / before as f64 - 1.0) * 100.0;
        let verdict = if percent > BOUND {
            is_right = false;
            "MORE than the bound"
        } else if percent < -BOUND {
            "less: write the baseline anew"
        } else {
            ""
        };
        println!("{:24}{before:>10} → {after:>10}  {percent:+.1} %  {verdict}", path.name);
    }
    if is_right {
        ExitCode::SUCCESS
    } else {
        eprintln!(
            "a hot path takes over {BOUND} % more instructions; if it has to, `make bench-baseline` and say why in the commit"
        );
        ExitCode::FAILURE
    }
}

fn shown(path: &str) -> &str {
    Path::new(path)
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap()
        .to_str()
        .unwrap()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_] => check(),
        [_, "--record"] => {
            record();
            ExitCode::SUCCESS
        }
        [_, "--run", name] => {
            let path = hot_paths::ALL.iter().find(|path| path.name == *name).unwrap();
            let mut run = (path.prepare)();
            run(); // greetings, and tables that grow
            measured(&mut *run, path.rounds);
            ExitCode::SUCCESS
        }
        _ => panic!("instructions [--record]"),
    }
}
