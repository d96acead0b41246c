//! The stage on this machine: real huge pages, real cgroups, and PostgreSQL where it is installed.

mod database;
mod machine;
mod pod;
mod postgres;
mod process;

use std::process::ExitCode;

use super::pace::Pace;
use super::stage::{Figures, Stage};
use super::{Config, Show};
use crate::host::pool;
use database::Database;
use machine::Machine;
use pod::Pod;
use postgres::Postgres;
use process::Process;

/// What the pod may touch, in pages of 2 MiB.
const GRANT: u64 = 64;

/// Lets it happen, and puts everything back.
pub fn run(show: Show) -> anyhow::Result<ExitCode> {
    let machine = Machine::take()?;
    let result = happen(show, &machine);
    // Whatever came of it.
    machine.put_back()?;
    println!("Everything is as it was: the pool, the cgroups, the processes.");
    result
}

fn happen(show: Show, machine: &Machine) -> anyhow::Result<ExitCode> {
    let database: Box<dyn Database> = match Postgres::prepare()? {
        Some(postgres) => Box::new(postgres),
        None => {
            println!("No PostgreSQL is installed; a process maps and touches like it.");
            Box::new(Process::default())
        }
    };
    machine.make_available(database.pages()?)?;
    let pod = Pod::make(machine.hierarchy(), GRANT)?;
    let config = Config { roots: pod.name_in(show.config.roots), ..show.config };
    let seconds = show.demo.length.as_secs();
    let setting = format!("A pod with one database on this machine, in about {seconds} s");
    Show { config, ..show }.run(&setting, Real { database, pod })
}

/// The pod, and the database in it; that ends first.
struct Real {
    database: Box<dyn Database>,
    pod: Pod,
}

impl Stage for Real {
    fn database(&self) -> &'static str {
        self.database.name()
    }

    fn namespace(&self) -> &'static str {
        pod::NAMESPACE
    }

    fn pod(&self) -> &'static str {
        self.pod.name()
    }

    fn figures(&self) -> anyhow::Result<Figures> {
        Ok(Figures {
            limit: self.pod.limit()?,
            reserved: self.pod.reserved()?,
            used: self.pod.used()?,
            refusals: self.pod.refusals()?,
            pool_free: pool::read("free_hugepages")?,
            pool_reserved: pool::read("resv_hugepages")?,
        })
    }

    fn start(&mut self, pace: &Pace) -> anyhow::Result<()> {
        self.database.start(&self.pod, pace)
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        self.database.work(mebibytes)
    }

    fn recover(&mut self, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.database.recover(&self.pod, pace)
    }

    fn set_limit(&mut self, pages: u64) -> anyhow::Result<()> {
        self.pod.set_limit(pages)
    }

    fn make_second_pod(&mut self) -> anyhow::Result<()> {
        self.database.end();
        self.pod.replace(GRANT)
    }

    fn start_refused(&mut self, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.pod.restart_container()?;
        self.database.start_refused(&self.pod, pace)
    }
}
