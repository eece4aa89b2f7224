//! Arguments → configuration → run → exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use wardbell::cli::{self, Arguments};

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            // Where standard error is closed, the exit code is all that can be said.
            writeln!(std::io::stderr(), "wardbell: {:#}", anyhow::Error::new(error)).ok();
            ExitCode::from(code)
        }
    }
}
