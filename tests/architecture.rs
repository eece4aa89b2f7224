//! Holds `src/` to its own map: the import table at the top of `src/lib.rs` is read from there, so the table and the
//! check cannot say different things.
//!
//! Looks at paths (`crate::…`, `super::…`, and `wardbell::…` in `main.rs`) outside comments, strings and `#[cfg(test)]` modules: a
//! unit test may start the real store where production code may not know it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and so may the functions that only tests call"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What `src/lib.rs` says beside its chain: parts that anybody may know, and who reads the configuration.
const KNOWN_TO_ALL: [&str; 1] = ["shutdown"];
/// The transports ask who somebody is; nothing else crosses from edge to edge.
const EDGE_EXCEPTIONS: [(&str, &str); 3] = [("api", "auth"), ("socket", "auth"), ("ehr", "auth")];
/// Crates that the domain refuses to know.
const FOREIGN_TO_DOMAIN: [&str; 8] = [
    "tokio",
    "axum",
    "hyper",
    "tower",
    "rusqlite",
    "redis",
    "socketioxide",
    "reqwest",
];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "helpers", "common", "manager"];

#[test]
fn every_module_imports_only_what_the_table_allows() {
    let table = Table::from_lib_rs();
    let mut offences = Vec::new();

    for file in source_files() {
        let source = fs::read_to_string(&file).expect("a source file is readable");
        let importer = Place::of(&file);
        for imported in imports(&source, &importer) {
            if !table.allows(importer.module(), &imported) {
                offences.push(format!(
                    "{}: {} must not import {imported}",
                    file.display(),
                    importer.module()
                ));
            }
        }
    }

    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn every_module_stands_in_the_table() {
    let table = Table::from_lib_rs();
    let lib = fs::read_to_string(source_root().join("lib.rs")).expect("lib.rs is readable");

    let declared: BTreeSet<String> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();

    assert_eq!(declared, table.modules().collect::<BTreeSet<_>>());
}

#[test]
fn the_table_forbids_what_would_turn_the_arrows_around() {
    let table = Table::from_lib_rs();

    for (importer, imported) in [
        ("domain", "clock"),
        ("service", "store"),
        ("api", "socket"),
        ("auth", "api"),
        ("bus", "emitter"),
        ("store", "service"),
        ("service", "config"),
        ("socket", "app"),
    ] {
        assert!(!table.allows(importer, imported), "{importer} may import {imported}");
    }
    assert!(table.allows("api", "auth") && table.allows("app", "socket") && table.allows("store", "ports"));
}

#[test]
fn the_domain_knows_no_runtime_transport_or_database() {
    let mut offences = Vec::new();

    for file in source_files()
        .into_iter()
        .filter(|file| Place::of(file).module() == "domain")
    {
        let tokens = tokens(&fs::read_to_string(&file).expect("a source file is readable"));
        for pair in tokens.windows(2) {
            if FOREIGN_TO_DOMAIN.contains(&pair[0].as_str()) && pair[1] == "::" {
                offences.push(format!("{}: {}", file.display(), pair[0]));
            }
        }
    }

    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for_and_has_a_name_that_says_something() {
    let mut offences = Vec::new();

    for file in source_files() {
        if !fs::read_to_string(&file)
            .expect("a source file is readable")
            .starts_with("//!")
        {
            offences.push(format!("{} does not open with //!", file.display()));
        }
        if Place::of(&file)
            .0
            .iter()
            .any(|segment| EMPTY_NAMES.contains(&segment.as_str()))
        {
            offences.push(format!("{} has a name that says nothing", file.display()));
        }
    }

    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_reader_of_paths_sees_groups_supers_and_nothing_in_comments_strings_or_tests() {
    let source = r##"
        //! crate::comment
        use crate::{ports::{Bus, Store}, domain as d, clock};
        /* crate::block /* crate::nested */ */
        fn f<'a>(x: &'a str) -> char { let _ = ("crate::text", r#"crate::raw"#, '"'); crate::emitter::now(); '\'' }
        mod inner { use super::super::bus::Local; use super::sibling; }
        #[cfg(test)]
        mod tests { use crate::store::Sqlite; }
        use super::auth::Mode;
    "##;

    let seen = imports(source, &Place(vec!["service".to_owned()]));

    assert_eq!(
        seen,
        ["auth", "bus", "clock", "domain", "emitter", "ports"]
            .map(str::to_owned)
            .into()
    );
}

/// Who may import whom.
struct Table(BTreeMap<String, BTreeSet<String>>);

impl Table {
    /// Reads the chain `a, b ← c ← the edges (…) ← app ← main, cli`: everybody may import what stands left of them.
    fn from_lib_rs() -> Self {
        let lib = fs::read_to_string(source_root().join("lib.rs")).expect("lib.rs is readable");
        let chain = lib
            .lines()
            .find(|line| line.contains('←'))
            .expect("lib.rs shows the import table");
        let links: Vec<Vec<String>> = chain
            .trim_start_matches("//!")
            .split('←')
            .map(|link| link.trim().trim_start_matches("the edges (").trim_end_matches(')'))
            .map(|link| link.split(',').map(|name| name.trim().to_owned()).collect())
            .collect();

        let mut left: BTreeSet<String> = KNOWN_TO_ALL.map(str::to_owned).into();
        let mut table = BTreeMap::new();
        let mut before_ports = BTreeSet::new();
        for link in links {
            for name in &link {
                table.insert(name.clone(), left.clone());
            }
            if link.contains(&"clock".to_owned()) {
                // The clock tells the domain's time; the domain asks nobody.
                table.insert("clock".to_owned(), ["domain".to_owned()].into());
                table.insert("domain".to_owned(), BTreeSet::new());
            }
            left.extend(link.iter().cloned());
            if link.contains(&"ports".to_owned()) {
                before_ports.clone_from(&left);
            }
        }
        for stops_at_ports in ["store", "bus"] {
            table.insert(stops_at_ports.to_owned(), before_ports.clone());
        }
        for (importer, imported) in EDGE_EXCEPTIONS {
            table
                .entry(importer.to_owned())
                .or_default()
                .insert(imported.to_owned());
        }
        for reader in ["app", "cli"] {
            table.entry(reader.to_owned()).or_default().insert("config".to_owned());
        }
        table.insert("config".to_owned(), ["domain".to_owned()].into());
        for everywhere in KNOWN_TO_ALL {
            table.insert(everywhere.to_owned(), BTreeSet::new());
        }
        table.entry("main".to_owned()).or_default().insert("cli".to_owned());
        Self(table)
    }

    fn allows(&self, who: &str, imported: &str) -> bool {
        who == imported || who == "lib" || self.0.get(who).is_some_and(|allowed| allowed.contains(imported))
    }

    /// Every module of the library.
    fn modules(&self) -> impl Iterator<Item = String> {
        self.0.keys().filter(|name| *name != "main").cloned()
    }
}

/// Where a file stands: `src/store/sqlite/mod.rs` is `store`, `sqlite`.
struct Place(Vec<String>);

impl Place {
    fn of(file: &Path) -> Self {
        let inside = file.strip_prefix(source_root()).expect("inside src").with_extension("");
        let mut segments: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "mod") {
            segments.pop();
        }
        Self(segments)
    }

    fn module(&self) -> &str {
        &self.0[0]
    }
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn source_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![source_root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the reader has lost its way: {found:?}");
    found
}

/// The top-level modules that a file's production code names.
fn imports(source: &str, place: &Place) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    let mut braces = 0_usize;
    let mut modules: Vec<usize> = Vec::new(); // the brace depths at which inline modules opened
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        if starts_with(rest, &["#", "[", "cfg", "(", "test", ")", "]"])
            && rest.iter().skip(7).take(3).any(|t| t == "mod")
        {
            at += skip_block(rest);
            continue;
        }
        match tokens[at].as_str() {
            "mod" if rest.get(2).is_some_and(|token| token == "{") => modules.push(braces + 1),
            "{" => braces += 1,
            "}" => {
                if modules.last() == Some(&braces) {
                    modules.pop();
                }
                braces = braces.saturating_sub(1);
            }
            "crate" if rest.get(1).is_some_and(|token| token == "::") => heads(&rest[2..], &mut found),
            "wardbell" if place.module() == "main" && rest.get(1).is_some_and(|token| token == "::") => {
                heads(&rest[2..], &mut found);
            }
            "super" if at == 0 || tokens[at - 1] != "::" => {
                let supers = rest
                    .chunks(2)
                    .take_while(|pair| pair[0] == "super" && pair.len() == 2 && pair[1] == "::")
                    .count();
                // `super` from `src/a/b.rs` is `crate::a`; from the top file of a module it is the crate itself.
                let depth = place.0.len() + modules.len();
                if supers >= depth {
                    heads(&rest[2 * supers..], &mut found);
                }
                at += (2 * supers).max(1);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The first names of a path's rest: `a::b` is `a`; `{a::b, c as d, e}` is `a`, `c`, `e`.
fn heads(rest: &[String], found: &mut BTreeSet<String>) {
    if rest.first().is_none_or(|token| token != "{") {
        found.extend(rest.first().cloned());
        return;
    }
    let mut depth = 0_usize;
    let mut is_head = false;
    for token in rest {
        match token.as_str() {
            "{" => {
                depth += 1;
                is_head = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            "," => is_head = depth == 1,
            name => {
                if is_head {
                    found.insert(name.to_owned());
                }
                is_head = false;
            }
        }
    }
}

fn starts_with(tokens: &[String], wanted: &[&str]) -> bool {
    tokens.len() >= wanted.len() && tokens.iter().zip(wanted).all(|(token, wanted)| token == wanted)
}

/// How many tokens to the end of the first `{…}` block, or of the item if a `;` comes first.
fn skip_block(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.as_str() {
            ";" if depth == 0 => return index + 1,
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Rust's tokens as far as paths need them: names, `::` and single characters, without comments, strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let peek = |at: usize| text.get(at).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let c = text[at];
        if c == '/' && peek(at + 1) == '/' {
            while at < text.len() && text[at] != '\n' {
                at += 1;
            }
        } else if c == '/' && peek(at + 1) == '*' {
            let mut depth = 0_usize;
            while at < text.len() {
                match (text[at], peek(at + 1)) {
                    ('/', '*') => (depth, at) = (depth + 1, at + 2),
                    ('*', '/') => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if c == 'r' && (peek(at + 1) == '"' || (peek(at + 1) == '#' && matches!(peek(at + 2), '"' | '#'))) {
            let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
            let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += 2 + hashes;
            while at < text.len() && !text[at..].iter().take(hashes + 1).copied().eq(end.chars()) {
                at += 1;
            }
            at += hashes + 1;
        } else if c == '"' {
            at += 1;
            while at < text.len() && text[at] != '"' {
                at += if text[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' && (peek(at + 1) == '\\' || peek(at + 2) == '\'') {
            at += 2; // past the opening quote and the character, or its backslash
            while at < text.len() && text[at] != '\'' || (peek(at - 1) == '\\' && peek(at + 1) == '\'') {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let name: String = text[at..]
                .iter()
                .take_while(|c| c.is_alphanumeric() || **c == '_')
                .collect();
            at += name.chars().count();
            found.push(name);
        } else if c == ':' && peek(at + 1) == ':' {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    found
}
