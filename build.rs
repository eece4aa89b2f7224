//! Puts the console (`web/`) into the binary.
//!
//! `web/dist` is built by npm when it is absent or older than its sources. Where that is not possible (no npm, no network, an
//! error) the build says so and goes on: the server then shows how to get the page instead of the page.
//!
//! `WARDBELL_CONSOLE=skip` never calls npm: `web/dist` is taken as it is, if it is there.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What the page is built from, below `web/`.
const SOURCES: [&str; 6] = [
    "src",
    "index.html",
    "compress.js",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
];
/// How long npm may take before the build goes on without the page.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a child is asked whether it has ended.
const POLL: Duration = Duration::from_millis(50);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=WARDBELL_CONSOLE");
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in SOURCES {
        let source = web.join(source);
        // A path that is not there would make every build begin anew.
        if source.exists() {
            println!("cargo::rerun-if-changed={}", source.display());
        }
    }

    let dist = web.join("dist");
    if may_build() && is_out_of_date(&web, &dist)? {
        if let Err(error) = build(&web) {
            println!("cargo::warning=the server will not have its web page: {error}");
            println!("cargo::warning=to add it: cd web && npm ci && npm run build, then build again");
            // Watched, so that a page that is built by hand is noticed.
            fs::create_dir_all(&dist)?;
            println!("cargo::rerun-if-changed={}", dist.display());
        }
    } else if dist.exists() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    embed(&dist, &out)
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything by its environment"
)]
fn variable(name: &str) -> Outcome<String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}

fn may_build() -> bool {
    // docs.rs has no network and shows no page.
    variable("DOCS_RS").is_err() && variable("WARDBELL_CONSOLE").ok().as_deref() != Some("skip")
}

/// Whether the page is absent or older than what it is built from. Without sources, as in a published package, it is as it is.
fn is_out_of_date(web: &Path, dist: &Path) -> Outcome<bool> {
    if !web.join("package.json").exists() {
        return Ok(false);
    }
    let Ok(built) = fs::metadata(dist.join("index.html")).and_then(|file| file.modified()) else {
        return Ok(true);
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for source in SOURCES {
        newest = newest.max(newest_below(&web.join(source))?);
    }
    Ok(newest > built)
}

fn newest_below(path: &Path) -> Outcome<SystemTime> {
    let file = fs::metadata(path)?;
    let mut newest = file.modified()?;
    if file.is_dir() {
        for entry in fs::read_dir(path)? {
            newest = newest.max(newest_below(&entry?.path())?);
        }
    }
    Ok(newest)
}

/// Has npm build the page, and fetch what it needs for that.
fn build(web: &Path) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    let installed = web.join("node_modules/.package-lock.json");
    let is_installed = match (fs::metadata(&installed), fs::metadata(web.join("package-lock.json"))) {
        (Ok(installed), Ok(locked)) => installed.modified()? >= locked.modified()?,
        _ => false,
    };
    if !is_installed {
        // Without a network it shall give up at once, not after minutes of trying again.
        let install = ["ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"];
        npm(web, &install, deadline)?;
    }
    npm(web, &["run", "build"], deadline)
}

fn npm(web: &Path, arguments: &[&str], deadline: Instant) -> Outcome<()> {
    let what = format!("npm {}", arguments.join(" "));
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let log = PathBuf::from(variable("OUT_DIR")?).join("npm.log");
    let output = fs::File::create(&log)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(web)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .map_err(|error| format!("{what}: {error}"))?;
    wait(&mut child, deadline).map_err(|error| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let why = said.lines().find(|line| line.contains("rror")).unwrap_or_default();
        format!("{what}: {error}: {why} (all of it: {})", log.display()).into()
    })
}

fn wait(child: &mut Child, deadline: Instant) -> Outcome<()> {
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string().into()),
            None if Instant::now() < deadline => std::thread::sleep(POLL),
            None => {
                child.kill()?;
                child.wait()?;
                return Err("took too long".into());
            }
        }
    }
}

/// Writes the list of files that `src/api/console.rs` includes. They are copied, so that a page that is built anew while the
/// server is compiled does no harm.
fn embed(dist: &Path, out: &Path) -> Outcome<()> {
    let folder = out.join("console");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut paths = Vec::new();
    if dist.join("index.html").exists() {
        files_below(dist, &mut paths)?;
        paths.sort();
    }
    let mut list = String::from("&[\n");
    for path in paths
        .iter()
        .filter(|path| path.extension().is_none_or(|ending| ending != "gz"))
    {
        let name = path
            .strip_prefix(dist)?
            .to_str()
            .ok_or("a file's name is not UTF-8")?
            .replace('\\', "/");
        let plain = copy(path, &folder.join(&name))?;
        let packed = PathBuf::from(format!("{}.gz", path.display()));
        let gzip = if packed.exists() {
            let packed = copy(&packed, &folder.join(format!("{name}.gz")))?;
            format!("Some(include_bytes!({packed}))")
        } else {
            "None".to_owned()
        };
        writeln!(
            list,
            "    File {{ path: {name:?}, plain: include_bytes!({plain}), gzip: {gzip} }},"
        )?;
    }
    list.push(']');
    fs::write(out.join("console.rs"), list)?;
    Ok(())
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Copies a file; where to, as Rust source writes it.
fn copy(from: &Path, to: &Path) -> Outcome<String> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)?;
    Ok(format!("{:?}", to.to_str().ok_or("a path is not UTF-8")?))
}
