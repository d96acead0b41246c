//! The file that the witness of SIGBUS writes, and word of it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Told;
use crate::exchange::{self, Moment, Received};
use crate::snapshot::{CgroupVersion, Health, Hierarchy, Sight, Witness, WitnessReport};

/// Reads what the witness writes.
#[derive(Debug)]
pub struct WitnessFile {
    directory: PathBuf,
    proc: PathBuf,
    started: Instant,
    last: Option<Arc<Witness>>,
}

/// Tells when the file is replaced.
#[derive(Debug)]
pub struct WitnessWatch(Inotify);

impl WitnessFile {
    /// The file in that directory; `started` is from when on the exporter counts.
    pub fn new(directory: PathBuf, proc: PathBuf, started: Instant) -> Self {
        Self { directory, proc, started, last: None }
    }

    /// What it says now; where it can't be read, what it said last.
    pub fn read(&mut self) -> Told {
        let down = |why: String, last: &Option<Arc<Witness>>| Told {
            witness: last.clone(),
            health: Health::Down(why),
        };
        let now = match Moment::now(&self.proc) {
            Ok(now) => now,
            Err(error) => {
                return down(format!("can't read which boot this is: {error}"), &self.last);
            }
        };
        let received: Received<WitnessReport> = match exchange::read(&self.directory, &now) {
            Ok(received) => received,
            Err(error) => return down(error.to_string(), &self.last),
        };
        let health = match &received.content.sight {
            Sight::Blind(why) => Health::Down(format!("the witness can't see: {why}")),
            Sight::Since(_) if received.is_late => Health::Down(format!(
                "the witness has written nothing for {} s",
                received.age.as_secs()
            )),
            Sight::Since(_) => Health::Up,
        };
        let told = self.told(received.content, now.since_boot);
        // The same stays where it is in memory, but for the time.
        let witness = match self.last.take() {
            Some(last) if *last == told => last,
            _ => Arc::new(told),
        };
        self.last = Some(Arc::clone(&witness));
        Told { witness: Some(witness), health }
    }

    fn told(&self, report: WitnessReport, since_boot: Duration) -> Witness {
        let (started, booted) = match &self.last {
            // Clocks are set; what was said once stays.
            Some(last) => (last.started, last.booted),
            None => (
                since_boot.saturating_sub(self.started.elapsed()),
                SystemTime::now().checked_sub(since_boot).unwrap_or(SystemTime::UNIX_EPOCH),
            ),
        };
        Witness { report, started, booted }
    }

    /// A watch of its directory, where there is one.
    pub fn watch(directory: &Path) -> nix::Result<WitnessWatch> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mask = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
        inotify.add_watch(directory, mask)?;
        Ok(WitnessWatch(inotify))
    }
}

impl WitnessWatch {
    /// Takes what it has to tell.
    pub fn drain(&self) {
        while self.0.read_events().is_ok() {}
    }
}

impl AsFd for WitnessWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Told {
    /// Whose a signal is can be told on v2 alone: the kernel names the cgroup by its id there, and v1's cgroups have other ids.
    pub(super) fn for_hierarchy(self, hierarchy: Option<&Hierarchy>) -> Self {
        match hierarchy.map(|it| it.version) {
            Some(CgroupVersion::V1) => Self {
                witness: None,
                health: Health::Missing(
                    "whose a SIGBUS is can't be told where hugetlb is on cgroup v1".to_owned(),
                ),
            },
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(until_ns: u64) -> WitnessReport {
        WitnessReport {
            sight: Sight::Since(1),
            until_ns,
            count: 0,
            signals: Vec::new(),
            dropped: Vec::new(),
            dropped_in_all: 0,
            lost: 0,
        }
    }

    #[test]
    fn a_witness_that_is_not_there_or_stops_is_down_and_what_it_said_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let mut file = WitnessFile::new(path.clone(), "/proc".into(), Instant::now());
        let none = file.read();
        assert!(none.witness.is_none() && none.health != Health::Up);
        let mut now = Moment::now(Path::new("/proc")).expect("now");
        exchange::write(&path, &report(5), Duration::from_secs(6), &now).expect("written");
        let told = file.read();
        assert_eq!(told.health, Health::Up);
        assert_eq!(told.witness.expect("a witness").report.until_ns, 5);
        now.since_boot = now.since_boot.saturating_sub(Duration::from_secs(60));
        exchange::write(&path, &report(6), Duration::from_secs(6), &now).expect("written");
        let Health::Down(why) = file.read().health else { panic!("it is late") };
        assert!(why.starts_with("the witness has written nothing for 6"), "{why}");
        std::fs::write(exchange::path_of::<WitnessReport>(&path), "{").expect("written");
        let told = file.read();
        assert!(told.health != Health::Up);
        assert_eq!(told.witness.expect("the last").report.until_ns, 6);
    }

    #[test]
    fn v1_is_said_to_be_no_place_for_it() {
        let v1 = Hierarchy { version: CgroupVersion::V1, root: "/".into() };
        let told = Told { witness: None, health: Health::Up }.for_hierarchy(Some(&v1));
        assert!(matches!(told.health, Health::Missing(_)));
    }
}
