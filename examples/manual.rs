//! Writes the man pages and the shells' completions, for packagers.
//!
//! `cargo run --example manual -- DIR` makes `DIR/man/*.1` and `DIR/completions/*`; docs/packaging.md says where
//! they go.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("manual: expected one argument, the directory to write to");
        return ExitCode::from(64);
    };
    match testkit::manual::write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: can't write to {}: {error}", Path::new(&directory).display());
            ExitCode::FAILURE
        }
    }
}
