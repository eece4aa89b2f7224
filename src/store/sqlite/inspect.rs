//! Whether a file that is there is a database of ours, and whole. It reads, and changes nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use rusqlite_migration::SchemaVersion;

use super::Settings;
use super::open::{APPLICATION_ID, MIGRATIONS, MIN_PAGE_BYTES, OpenError, STEPS, beside, connect_reader, in_file};

/// Reads the first page's header (<https://www.sqlite.org/fileformat2.html> §1.3) before SQLite sees the file.
pub(super) fn inspect(path: &Path) -> Result<(), OpenError> {
    let foreign = |what| OpenError::Foreign {
        path: path.to_owned(),
        what,
    };
    let damaged = |what: &str| OpenError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let mut file = File::open(path).map_err(in_file(path))?;
    let length = file.metadata().map_err(in_file(path))?.len();
    if length == 0 {
        return Err(damaged("it is empty"));
    }
    let mut header = [0_u8; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(foreign("is not an SQLite database")),
        Err(source) => {
            return Err(OpenError::File {
                path: path.to_owned(),
                source,
            });
        }
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("is not an SQLite database"));
    }
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if page_bytes < MIN_PAGE_BYTES || !page_bytes.is_power_of_two() {
        return Err(damaged("its header makes no sense"));
    }
    if u32::from_be_bytes([header[68], header[69], header[70], header[71]]) != APPLICATION_ID {
        return Err(foreign("is an SQLite database of another program"));
    }
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    let whole_pages = length / page_bytes;
    // Pages that a checkpoint had not copied when the process was killed are still in the log.
    if whole_pages < pages {
        let logged = logged_pages(&beside(path, "-wal"), page_bytes).map_err(in_file(path))?;
        let missing = (whole_pages + 1..=pages).filter(|page| !logged.contains(page)).count();
        if missing > 0 {
            return Err(damaged(&format!(
                "it is cut off, {missing} of {pages} pages are missing"
            )));
        }
    }
    Ok(())
}

/// Which pages the write-ahead log holds (file format §4.1). A log that is not there or not readable as one holds none.
fn logged_pages(path: &Path, page_bytes: u64) -> io::Result<HashSet<u64>> {
    let mut pages = HashSet::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pages),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut log = BufReader::new(file);
    let mut header = [0_u8; 32];
    let mut frame = [0_u8; 24];
    if length < 32 {
        return Ok(pages);
    }
    log.read_exact(&mut header)?;
    for index in 0..(length - 32) / (page_bytes + 24) {
        log.seek(SeekFrom::Start(32 + index * (page_bytes + 24)))?;
        log.read_exact(&mut frame)?;
        if frame[8..16] != header[16..24] {
            break; // another salt: left over from before the log began anew
        }
        pages.insert(u64::from(u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]])));
    }
    Ok(pages)
}

/// Has SQLite look at the whole file, for at most `settings.integrity_check`, through a connection that cannot write.
pub(super) fn check(settings: &Settings) -> Result<(), OpenError> {
    let path = settings.path.as_path();
    let damaged = |what: String| OpenError::Damaged {
        path: path.to_owned(),
        what,
    };
    let refused = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(source.to_string()),
        _ => OpenError::Database {
            path: path.to_owned(),
            source,
        },
    };
    let connection = connect_reader(settings).map_err(refused)?;
    match MIGRATIONS.current_version(&connection) {
        Ok(SchemaVersion::Inside(_) | SchemaVersion::NoneSet) => {}
        Ok(SchemaVersion::Outside(found)) => {
            return Err(OpenError::Newer {
                path: path.to_owned(),
                found: found.get(),
                known: STEPS.len(),
            });
        }
        Err(rusqlite_migration::Error::RusqliteError { err, .. }) => return Err(refused(err)),
        Err(source) => {
            return Err(OpenError::Migration {
                path: path.to_owned(),
                source,
            });
        }
    }
    match quick_check(&connection, settings.integrity_check) {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(damaged(verdict)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            tracing::info!(store.path = %path.display(), "the database is too large to be checked whole at start; going on");
            Ok(())
        }
        Err(error) => Err(refused(error)),
    }
}

/// `PRAGMA quick_check`, interrupted when it takes longer than `limit`.
fn quick_check(connection: &Connection, limit: Duration) -> rusqlite::Result<String> {
    let interrupt = connection.get_interrupt_handle();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let verdict = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        verdict
    })
}
