//! What was measured, as Markdown that goes into the README.

use std::fmt::Write as _;
use std::fs;

use wardbell::clock::{Clock as _, SystemClock};

use super::peers::Peer;
use super::scenario::{Figure, Scenario};
use super::trial::Outcome;

/// Everything in tables, with where and when it was measured.
pub(crate) fn markdown(outcomes: &[Outcome], missing: &[Peer], repetitions: usize, is_pinned: bool) -> String {
    let mut text = conditions(outcomes, repetitions, is_pinned);
    for peer in missing {
        writeln!(text, "* {}: not installed", peer.name()).expect("a String takes anything");
    }
    let mut titles: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !titles.contains(&outcome.scenario.title) {
            titles.push(outcome.scenario.title);
        }
    }
    for title in titles {
        let of_title: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.scenario.title == title)
            .collect();
        table(&of_title, &mut text);
    }
    text.push_str(&verdict(outcomes));
    text
}

/// What went wrong in which run; the last line of a report.
pub(crate) fn verdict(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n");
    let mut is_all_right = true;
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_right()) {
        is_all_right = false;
        let (scenario, peer) = (outcome.scenario.name, outcome.peer.name());
        let repetition = outcome.repetition + 1;
        write!(text, "* **{peer}, {scenario}, run {repetition}**: {}", outcome.faults)
            .expect("a String takes anything");
        for problem in &outcome.problems {
            write!(text, "; {problem}").expect("a String takes anything");
        }
        text.push('\n');
    }
    if is_all_right {
        let runs = outcomes.len();
        writeln!(
            text,
            "Nothing was lost, duplicated, out of order or misrouted in any of {runs} runs."
        )
        .expect("a String takes anything");
    }
    text
}

/// One line for a run, as soon as it is over.
pub(crate) fn line(outcome: &Outcome) -> String {
    let mut text = String::new();
    for figure in outcome.scenario.figures {
        if let Some(value) = outcome.figures.get(figure) {
            write!(text, "{} {}, ", figure.title(), number(*value, *figure)).expect("a String takes anything");
        }
    }
    text + &outcome.faults.to_string()
}

fn conditions(outcomes: &[Outcome], repetitions: usize, is_pinned: bool) -> String {
    let pinned = if is_pinned {
        "server on one core, load on another"
    } else {
        "nothing pinned"
    };
    let mut text = format!(
        "Measured on {} with `cargo bench --bench fanout`: {}, Linux {}, {}; {pinned}; \
         {repetitions} repetitions with all servers by turns, each run on a fresh server with an empty folder. \
         Medians, least and most in brackets; *ratio*: wardbell's first figure by theirs, the median over pairs of one repetition.\n\n",
        today(),
        processor(),
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim(),
        file_system(),
    );
    let mut peers: Vec<Peer> = Vec::new();
    for outcome in outcomes {
        if !peers.contains(&outcome.peer) {
            peers.push(outcome.peer);
            writeln!(text, "* {}: {}", outcome.peer.name(), outcome.peer.version()).expect("a String takes anything");
        }
    }
    text
}

/// The rows of one title.
fn table(outcomes: &[&Outcome], text: &mut String) {
    let Some(first) = outcomes.first() else { return };
    let figures = first.scenario.figures;
    let mut rows: Vec<(&Scenario, Peer)> = Vec::new();
    for outcome in outcomes {
        if !rows.contains(&(outcome.scenario, outcome.peer)) {
            rows.push((outcome.scenario, outcome.peer));
        }
    }
    write!(text, "\n### {}\n\n| |", first.scenario.title).expect("a String takes anything");
    for figure in figures {
        write!(text, " {} |", figure.title()).expect("a String takes anything");
    }
    text.push_str(" ratio |\n| --- |");
    text.push_str(&" ---: |".repeat(figures.len() + 1));
    text.push('\n');
    for (scenario, peer) in rows {
        let comma = if scenario.label.is_empty() { "" } else { ", " };
        write!(text, "| {}{comma}{} |", peer.name(), scenario.label).expect("a String takes anything");
        for figure in figures {
            let values = outcomes
                .iter()
                .filter(|outcome| outcome.scenario == scenario && outcome.peer == peer)
                .filter_map(|outcome| outcome.figures.get(figure).copied());
            write!(text, " {} |", spread(values.collect(), *figure)).expect("a String takes anything");
        }
        let ratio = figures
            .first()
            .and_then(|figure| ratio(outcomes, scenario, peer, *figure));
        let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        writeln!(text, " {ratio} |").expect("a String takes anything");
    }
}

/// wardbell's figure by this peer's, each pair of one repetition; the median of them.
fn ratio(outcomes: &[&Outcome], scenario: &Scenario, peer: Peer, figure: Figure) -> Option<f64> {
    let of = |peer: Peer, repetition: usize| {
        let outcome = outcomes
            .iter()
            .find(|outcome| outcome.scenario == scenario && outcome.peer == peer && outcome.repetition == repetition);
        outcome.and_then(|outcome| outcome.figures.get(&figure).copied())
    };
    if peer == Peer::Wardbell {
        return None;
    }
    let repetitions = outcomes.iter().map(|outcome| outcome.repetition).max()?;
    let pairs = (0..=repetitions).filter_map(|repetition| {
        let theirs = of(peer, repetition).filter(|theirs| *theirs > 0.0)?;
        Some(of(Peer::Wardbell, repetition)? / theirs)
    });
    median(pairs.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values.get(middle).copied()
    } else {
        Some(f64::midpoint(
            *values.get(middle.checked_sub(1)?)?,
            *values.get(middle)?,
        ))
    }
}

fn spread(values: Vec<f64>, figure: Figure) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let count = values.len();
    match median(values) {
        None => "–".to_owned(),
        Some(median) if count == 1 => number(median, figure),
        Some(median) => format!(
            "{} ({}–{})",
            number(median, figure),
            number(least, figure),
            number(most, figure)
        ),
    }
}

/// With thousands apart.
fn number(value: f64, figure: Figure) -> String {
    let text = format!("{value:.*}", figure.decimals());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut out = String::new();
    for (index, digit) in whole.bytes().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && out != "-" {
            out.push(',');
        }
        out.push(char::from(digit));
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn today() -> String {
    let now = SystemClock.now().to_string();
    now.split('T').next().unwrap_or_default().to_owned()
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{count} × {}", name.map_or("an unnamed processor", |(_, name)| name))
}

/// What a server's folder is on: a commit at full sync costs nothing on a disk that is memory.
fn file_system() -> String {
    let folder = std::env::temp_dir();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len());
    format!("data on {}", mount.map_or("an unknown file system", |(_, kind)| kind))
}
