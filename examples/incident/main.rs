//! The incident: PostgreSQL maps more huge pages than its pod may touch, crashes, and is given what it needs.
//!
//! `cargo run --release --example incident` replays it in a minute on a node made of files: no root, no cluster, no
//! huge pages. With `--real`, as root, it happens: real huge pages, real cgroups, and PostgreSQL where it is
//! installed (elsewhere a process that maps and touches like it); afterwards everything is put back. What the agent
//! shows meanwhile is at <http://localhost:10270/>. `--seconds 10` goes faster, `--once` ends when it is over; every
//! other flag after `--` is the agent's own.

#[path = "../../tests/it/machine.rs"]
#[allow(dead_code, clippy::expect_used, clippy::panic, reason = "the tests use all of it")]
mod machine;
mod wish;
mod stop;
mod show;
mod replay;
mod real;

use std::ffi::OsString;
use std::process::ExitCode;

use wish::Wish;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "touch-child") {
        // The touch-probe executes this very program, and so does the real incident without PostgreSQL.
        return hugetlb_exporter::run(arguments);
    }
    let result = Wish::of(arguments.into_iter().skip(1)).and_then(|wish| match wish.real {
        true => real::run(&wish),
        false => replay::run(&wish),
    });
    result.unwrap_or_else(|error| {
        eprintln!("incident: {error:#}");
        ExitCode::FAILURE
    })
}
