//! The reader on a hierarchy of plain files that is taken for the kernel's: inotify works there, and nothing keeps the sums
//! but a test.

mod discovery;
mod equality;
mod memory;
mod pruning;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::watch::Instance;
use super::*;
use crate::snapshot::{Failures, Hugetlb, Limit, Reading};
use crate::units::Bytes;

/// A hierarchy, and a reader that stays.
struct Example {
    version: CgroupVersion,
    directory: tempfile::TempDir,
    cgroups: Cgroups,
    pools: Vec<Pool>,
    now: Duration,
    /// What was read last.
    shown: Arc<Vec<Cgroup>>,
    problems: Health,
}

impl Example {
    /// v2 with these cgroups, read once.
    fn new(paths: &[&str]) -> Self {
        Self::of(CgroupVersion::V2, paths)
    }

    fn of(version: CgroupVersion, paths: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut example = Self {
            version,
            directory,
            cgroups: Cgroups::watching(),
            pools: Vec::new(),
            now: Duration::ZERO,
            shown: Arc::default(),
            problems: Health::Up,
        };
        match version {
            CgroupVersion::V2 => {
                fs::write(example.at("cgroup.controllers"), "hugetlb").expect("written");
            }
            CgroupVersion::V1 => example.make(""),
        }
        paths.iter().for_each(|path| example.make(path));
        example.read();
        example.cgroups.is_kernels = true;
        example.tree().must_read_all();
        example.read();
        example
    }

    /// The same, some time after all has ceased to be new.
    fn settled(paths: &[&str]) -> Self {
        let mut example = Self::new(paths);
        example.after(100);
        example
    }

    fn roots(&self) -> Roots {
        Roots {
            proc: self.at("nothing"),
            sys: self.at("nothing"),
            cgroup: Some(self.directory.path().to_owned()),
            pod_logs: self.at("nothing"),
            container_logs: self.at("nothing"),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn tree(&mut self) -> &mut Tree {
        self.cgroups.tree.as_mut().expect("found")
    }

    fn watch(&mut self) -> &mut Watch {
        self.cgroups.watch.as_mut().expect("wanted").as_mut().expect("an instance")
    }

    /// Takes away what is watched of the outermost cgroup.
    fn lose_watches(&mut self) {
        let outermost = self.tree().outermost()[0];
        let Watch { tree, refusals, targets, .. } = self.watch();
        targets.retain(|(instance, watch), id| {
            let inotify = match instance {
                Instance::Tree => &*tree,
                Instance::Refusals => &*refusals,
            };
            *id != outermost || inotify.rm_watch(*watch).is_err()
        });
    }

    /// A cgroup that uses nothing, may use all and was refused nothing.
    fn make(&self, path: &str) {
        fs::create_dir_all(self.at(path)).expect("made");
        let files: &[(&str, &str)] = match self.version {
            CgroupVersion::V2 => &[
                ("current", "0"),
                ("rsvd.current", "0"),
                ("max", "max"),
                ("rsvd.max", "max"),
                ("events", "max 0"),
                ("events.local", "max 0"),
            ],
            CgroupVersion::V1 => &[
                ("usage_in_bytes", "0"),
                ("max_usage_in_bytes", "0"),
                ("limit_in_bytes", "9223372036854771712"),
                ("failcnt", "0"),
            ],
        };
        files.iter().for_each(|(name, text)| self.write(path, name, text));
    }

    /// Writes one of a cgroup's files.
    fn write(&self, path: &str, name: &str, text: &str) {
        fs::write(self.at(path).join(format!("hugetlb.2MB.{name}")), text).expect("written");
    }

    /// Writes how many pages are used in each of these, those below included.
    fn use_pages(&self, paths: &[&str], pages: u64) {
        let name = match self.version {
            CgroupVersion::V2 => "current",
            CgroupVersion::V1 => "usage_in_bytes",
        };
        paths.iter().for_each(|path| self.write(path, name, &(pages << 21).to_string()));
    }

    /// A poll.
    fn read(&mut self) {
        let (roots, mut problems) = (self.roots(), Problems::default());
        let names = Arc::clone(&self.cgroups.output.names);
        let asked = Asked { roots: &roots, now: self.now, pools: &self.pools, names };
        self.shown = self.cgroups.read(&asked, &mut KernelFiles::default(), &mut problems);
        self.problems = problems.into_health();
    }

    /// A poll every two seconds, until so many have passed.
    fn after(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(2));
            self.read();
        }
    }

    /// What was last read of a cgroup.
    fn figures(&self, path: &str) -> &Hugetlb {
        let cgroup = self.shown.iter().find(|cgroup| &*cgroup.path == path).expect("it is shown");
        &cgroup.hugetlb[0]
    }

    /// How many pages were last seen in use.
    fn pages(&self, path: &str) -> u64 {
        self.figures(path).usage.present().expect("read").0 >> 21
    }

    fn limit(&self, path: &str) -> Reading<Limit> {
        self.figures(path).limit
    }

    fn paths(&self) -> Vec<&str> {
        self.shown.iter().map(|cgroup| &*cgroup.path).collect()
    }
}

fn at(bytes: u64) -> Reading<Limit> {
    Reading::Present(Limit::At(Bytes(bytes)))
}
