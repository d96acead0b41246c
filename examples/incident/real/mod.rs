//! The incident as it happens.

mod cgroup;
mod database;
#[allow(dead_code, reason = "each of its users uses a part")]
#[path = "../../../tests/host/mod.rs"]
mod host;
mod machine;
mod postgres;
mod tenant;

use std::process::ExitCode;

use crate::show::{self, Pace, tell};
use crate::stop::Stop;
use crate::wish::Wish;
use database::Database;
use machine::Machine;
use postgres::Postgres;
use tenant::Tenant;

/// What the pod may touch, in pages of 2 MiB.
const GRANT: u64 = 64;

/// Lets it happen, and puts everything back.
pub fn run(wish: &Wish) -> anyhow::Result<ExitCode> {
    let stop = Stop::listen()?;
    let machine = Machine::take()?;
    let result = happen(wish, &stop, &machine);
    // Whatever came of it.
    machine.put_back()?;
    println!("Everything is as it was: the pool, the cgroups, the processes.");
    result
}

fn happen(wish: &Wish, stop: &Stop, machine: &Machine) -> anyhow::Result<ExitCode> {
    let mut database: Box<dyn Database + Send> = match Postgres::installed() {
        Some(programs) => Box::new(Postgres::prepare(programs)?),
        None => {
            println!(
                "No PostgreSQL is installed here: a process stands in that maps and touches like it."
            );
            Box::new(Tenant::default())
        }
    };
    let needed = database.pages()?;
    machine.have_available(needed)?;
    let mut pod = cgroup::Pod::make(machine.hierarchy(), GRANT)?;
    println!(
        "A pod with one database on this machine, in about {} s: {}",
        wish.length.as_secs(),
        wish.place()
    );
    let line = wish.command_line(pod.flags());
    let result = show::run(wish, stop, line, |pace| {
        story(database.as_mut(), &pod, needed, pace)?;
        pace.over();
        // Its processes end with the thread that started them, and sooner if they are told.
        drop(database);
        Ok(())
    });
    pod.remove()?;
    result
}

/// The same story as the replay's.
fn story(
    database: &mut dyn Database,
    pod: &cgroup::Pod,
    needed: u64,
    pace: &Pace,
) -> anyhow::Result<()> {
    let name = database.name();
    pace.steps(4)?;
    database.start(pod, pace)?;
    tell(&format!(
        "{name} has started. mmap of {} succeeded, and its pod may touch {}. The kernel knows already.",
        mebibytes(pod.reserved()?),
        mebibytes(GRANT),
    ));
    pace.steps(6)?;
    tell(&format!(
        "It has touched {}, and nothing has been refused. It goes to work.",
        mebibytes(pod.used()?)
    ));
    work_until_killed(database, pace)?;
    tell(&format!(
        "It touched the page beyond {}: killed by SIGBUS, every session reset. It starts again, and maps the same.",
        mebibytes(GRANT),
    ));
    database.recover(pod, pace)?;
    pace.steps(10)?;
    tell(&format!(
        "hugepages-2Mi is set to the {} that the finding named, and the same load goes on.",
        mebibytes(needed)
    ));
    pod.limit(needed)?;
    for _ in 0..12 {
        pace.steps(1)?;
        anyhow::ensure!(
            !database.work(16)?,
            "it was killed, though it may touch all that it has mapped"
        );
    }
    tell(&format!(
        "It has touched {} of {}, and is healthy. What was refused is told for 15 minutes more.",
        mebibytes(pod.used()?),
        mebibytes(needed)
    ));
    pace.steps(4)?;
    Ok(())
}

fn work_until_killed(database: &mut dyn Database, pace: &Pace) -> anyhow::Result<()> {
    for _ in 0..100 {
        pace.steps(1)?;
        if database.work(4)? {
            return Ok(());
        }
    }
    anyhow::bail!(
        "it survived, though it has mapped more than it may touch; does anything limit pods here?"
    )
}

/// So many pages of 2 MiB, as a pod spec has it.
fn mebibytes(pages: u64) -> String {
    format!("{}Mi", pages << 1)
}
