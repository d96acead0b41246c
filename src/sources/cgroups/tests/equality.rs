//! A reader that stays reads what a new one reads, whatever happens: the lab's test of the real kernel, on files that keep the
//! kernel's rules. Usage and refusals are sums over all below; a limit that was set on an idle cgroup may be late by 60 s, on
//! v1 a refusal to one that was granted nothing by 10 s.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const ROOT: &str = "";

/// What happens. Cgroups are chosen by number.
#[derive(Debug, Clone)]
enum Event {
    Make(usize),
    Remove(usize),
    Charge(usize, u64),
    Refuse(usize),
    Limit(usize, u64),
    /// Time passes without a poll.
    Pass(u64),
    /// The agent asks what was refused.
    Ask,
}

/// A cgroup's own, without those below it.
#[derive(Debug, Default)]
struct Own {
    used: u64,
    most: u64,
    refused: u64,
    /// When that was last more.
    refused_at: Duration,
    /// Refused to those below it that are gone.
    refused_before: u64,
    limit: Option<u64>,
    /// When its limit or, on v1, what it keeps of the past was last another.
    changed: Duration,
}

struct Kernel {
    example: Example,
    /// By path; the root is v1's, which has files.
    own: BTreeMap<String, Own>,
    made: u32,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let which = 0..1000_usize;
    let event = prop_oneof![
        3 => which.clone().prop_map(Event::Make),
        1 => which.clone().prop_map(Event::Remove),
        4 => (which.clone(), 0..3_u64).prop_map(|(which, pages)| Event::Charge(which, pages)),
        2 => which.clone().prop_map(Event::Refuse),
        3 => (which, 9..30_u64).prop_map(|(which, pages)| Event::Limit(which, pages)),
        2 => (1..6_u64).prop_map(Event::Pass),
        1 => Just(Event::Ask),
    ];
    proptest::collection::vec(event, 1..120)
}

impl Kernel {
    fn new(version: CgroupVersion) -> Self {
        let example = Example::of(version, &["k", "k/t", "s"]);
        let paths = [ROOT, "k", "k/t", "s"].into_iter();
        let own = paths.filter(|path| version == CgroupVersion::V1 || *path != ROOT);
        let own = own.map(|path| (path.to_owned(), Own::default())).collect();
        Self { example, own, made: 0 }
    }

    fn pick(&self, which: usize) -> String {
        let paths: Vec<_> = self.own.keys().collect();
        paths[which % paths.len()].clone()
    }

    /// A cgroup and all above it that have files.
    fn chain(&self, path: &str) -> Vec<String> {
        let above = Path::new(path).ancestors().map(|above| above.display().to_string());
        above.filter(|above| self.own.contains_key(above)).collect()
    }

    fn sum(&self, path: &str, of: impl Fn(&Own) -> u64) -> u64 {
        let below = self.own.iter().filter(|(it, _)| Path::new(it).starts_with(path));
        below.map(|(_, own)| of(own)).sum()
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Make(which) => {
                let above = self.pick(which);
                self.made += 1;
                let path = Path::new(&above).join(format!("c{}", self.made)).display().to_string();
                self.example.make(&path);
                let changed = self.example.now;
                self.own.insert(path, Own { changed, ..Own::default() });
            }
            Event::Remove(which) => self.remove(which),
            Event::Charge(which, pages) => {
                let path = self.pick(which);
                self.own.get_mut(&path).expect("there").used = pages;
                self.write(&path);
            }
            Event::Refuse(which) => {
                let path = self.pick(which);
                let now = self.example.now;
                let own = self.own.get_mut(&path).expect("there");
                // v1 counts where a limit refused.
                if self.example.version == CgroupVersion::V2 || own.limit.is_some() {
                    (own.refused, own.refused_at) = (own.refused + 1, now);
                    self.write(&path);
                }
            }
            Event::Limit(which, pages) => {
                let path = self.pick(which);
                let now = self.example.now;
                let own = self.own.get_mut(&path).expect("there");
                own.limit = pages.checked_sub(10).map(|pages| pages << 21);
                own.changed = now;
                let (name, unlimited) = match self.example.version {
                    CgroupVersion::V2 => ("max", "max".to_owned()),
                    CgroupVersion::V1 => ("limit_in_bytes", (1_u64 << 63).to_string()),
                };
                let text = own.limit.map_or(unlimited, |limit| limit.to_string());
                self.example.write(&path, name, &text);
            }
            Event::Pass(seconds) => self.example.now += Duration::from_secs(seconds),
            Event::Ask => drop(self.example.cgroups.heed_refusals(&mut KernelFiles::default())),
        }
    }

    /// Removes a cgroup below which there is none. What it used is its parent's, and the counters above it stay.
    fn remove(&mut self, which: usize) {
        let path = self.pick(which);
        let below = self.own.keys().filter(|it| Path::new(it).starts_with(&path));
        if below.count() > 1 || !path.contains('/') {
            return;
        }
        fs::remove_dir_all(self.example.at(&path)).expect("removed");
        let own = self.own.remove(&path).expect("it is there");
        let above = self.chain(&path).swap_remove(0);
        let heir = self.own.get_mut(&above).expect("a parent");
        heir.used += own.used;
        if self.example.version == CgroupVersion::V2 {
            heir.refused_before += own.refused + own.refused_before;
        }
    }

    /// Writes the figures of a cgroup and of all above it.
    fn write(&mut self, path: &str) {
        for above in self.chain(path) {
            let bytes = self.sum(&above, |own| own.used) << 21;
            let refused = self.sum(&above, |own| own.refused + own.refused_before);
            let now = self.example.now;
            let own = self.own.get_mut(&above).expect("there");
            if bytes > own.most {
                (own.most, own.changed) = (bytes, now);
            }
            let (most, local) = (own.most, own.refused);
            let write = |name, text: String| self.example.write(&above, name, &text);
            match self.example.version {
                CgroupVersion::V2 => {
                    write("current", bytes.to_string());
                    write("events", format!("max {refused}"));
                    write("events.local", format!("max {local}"));
                }
                CgroupVersion::V1 => {
                    write("usage_in_bytes", bytes.to_string());
                    write("max_usage_in_bytes", most.to_string());
                    write("failcnt", local.to_string());
                }
            }
        }
    }

    /// Holds what the reader read against what a new one reads.
    fn compare(&mut self) {
        self.example.read();
        let roots = self.example.roots();
        let (now, names) = (Duration::ZERO, Arc::default());
        let asked = Asked { roots: &roots, now, pools: &[], names };
        let mut problems = Problems::default();
        let new = Cgroups::default().read(&asked, &mut KernelFiles::default(), &mut problems);
        let place = |it: &Cgroup| (it.path.to_string(), it.inode, it.parent, (*it.owner).clone());
        let places = |cgroups: &[Cgroup]| cgroups.iter().map(place).collect::<Vec<_>>();
        assert_eq!(places(&self.example.shown), places(&new));
        for (stays, new) in self.example.shown.iter().zip(new.iter()) {
            let own = &self.own[new.path.trim_start_matches('/')];
            let (mut figures, new) = (stays.hugetlb[0].clone(), &new.hugetlb[0]);
            let is_idle = new.usage == Reading::Present(Bytes::ZERO);
            if is_idle && self.example.now.saturating_sub(own.changed) < MINUTE {
                let was_known = figures.limit == new.limit;
                (figures.limit, figures.max_usage) = (new.limit, new.max_usage);
                if self.example.version == CgroupVersion::V1 && !was_known {
                    figures.failures = new.failures;
                }
            }
            let was_just_refused = self.example.now.saturating_sub(own.refused_at) < TEN_SECONDS;
            let is_refused_all = self.example.version == CgroupVersion::V1 && own.limit == Some(0);
            if is_idle && is_refused_all && was_just_refused {
                figures.failures = new.failures;
            }
            assert_eq!(figures, *new, "{}", stays.path);
        }
        assert_eq!(problems.into_health(), self.example.problems);
    }
}

fn check(version: CgroupVersion, events: &[Event]) {
    let mut kernel = Kernel::new(version);
    for event in events {
        kernel.happen(event);
        if !matches!(event, Event::Pass(_) | Event::Ask) {
            kernel.compare();
        }
    }
    for _ in 0..12 {
        kernel.happen(&Event::Pass(6));
        kernel.compare();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_reader_that_stays_reads_what_a_new_one_reads_on_v2(events in events()) {
        check(CgroupVersion::V2, &events);
    }

    #[test]
    fn a_reader_that_stays_reads_what_a_new_one_reads_on_v1(events in events()) {
        check(CgroupVersion::V1, &events);
    }
}
