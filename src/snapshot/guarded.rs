//! What the guard has made of a cgroup's limits: its word, as far as the kernel's figures agree with it.
//!
//! The report is another process's, and may be old: its writer may have died, and somebody else may have set a limit since.
//! So a limit counts as the guard's only while the kernel has the value that the guard says it wrote.

use std::collections::{HashMap, HashSet};

use super::guard::{Action, Entry, Outcome, Reason, Report};
use super::{Hugetlb, Limit, Reading};
use crate::units::Bytes;

/// The guard has kubepods alone mounted, and does not see what is above it: nothing, or as in a node that is a container
/// (kind, `/kubelet.slice/kubelet-kubepods.slice`) a directory or two.
const HIDDEN: usize = 3;

/// The guard's newest report, to be asked of single cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// All that it says.
    pub report: Report,
    /// The entries of each cgroup, by its path.
    by_cgroup: HashMap<String, Vec<usize>>,
    /// The UIDs of pods that it leaves alone because it was told to.
    excluded: HashSet<String>,
}

/// What the guard does to one cgroup, for one page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guarding {
    /// The reservation limit is its own: a mapping that is too large fails (ENOMEM).
    pub refuses: bool,
    /// The fault limit before it raised it to what was reserved.
    pub rescued_from: Option<Bytes>,
    /// Somebody else has set one of these limits since, and it left that alone.
    pub contested: bool,
}

impl Guard {
    /// Made of a report that was read.
    pub fn new(report: Report) -> Self {
        let mut by_cgroup: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, entry) in report.entries.iter().enumerate() {
            by_cgroup.entry(entry.cgroup.clone()).or_default().push(place);
        }
        let entries = report.entries.iter();
        let excluded = entries.filter(|entry| entry.reason == Some(Reason::Excluded));
        let excluded = excluded.map(|entry| entry.pod_uid.clone()).collect();
        Self { report, by_cgroup, excluded }
    }

    /// What it does to a cgroup of that path and those figures.
    pub fn of(&self, cgroup: &str, hugetlb: &Hugetlb) -> Guarding {
        let paths = std::iter::successors(Some(cgroup), |path| {
            let rest = path.get(1..)?;
            rest.find('/').and_then(|place| rest.get(place..))
        });
        let known = paths.take(1 + HIDDEN).find_map(|path| self.by_cgroup.get(path));
        let places = known.into_iter().flatten();
        let entries = places.filter_map(|place| self.report.entries.get(*place));
        let entries = entries.filter(|entry| entry.page_size == hugetlb.page_size);
        entries.fold(Guarding::default(), |known, entry| known.with(Guarding::of(entry, hugetlb)))
    }

    /// Whether it leaves a pod alone because of the pod's namespace, or because it is the exporter's own.
    pub fn excludes(&self, pod_uid: &str) -> bool {
        self.excluded.contains(pod_uid)
    }
}

impl Guarding {
    fn of(entry: &Entry, hugetlb: &Hugetlb) -> Self {
        let none = Self::default();
        match (entry.result, entry.action) {
            (Outcome::Contested, _) => Self { contested: true, ..none },
            (Outcome::Written, Action::Refuse | Action::Bound) => {
                let is_its = hugetlb.reservation_limit == Reading::Present(entry.value);
                Self { refuses: is_its && entry.value != Limit::Unlimited, ..none }
            }
            (Outcome::Written, Action::Rescue) => match (entry.old, hugetlb.limit.finite()) {
                (Limit::At(old), Some(now)) if now > old => {
                    Self { rescued_from: Some(old), ..none }
                }
                _ => none,
            },
            _ => none,
        }
    }

    /// Both together: of a container, its own cgroup and the one inside it that crun makes.
    pub fn with(self, other: Self) -> Self {
        Self {
            refuses: self.refuses || other.refuses,
            rescued_from: self.rescued_from.or(other.rescued_from),
            contested: self.contested || other.contested,
        }
    }

    /// What it does, each once.
    pub fn actions(self) -> impl Iterator<Item = Action> {
        let refuse = self.refuses.then_some(Action::Refuse);
        refuse.into_iter().chain(self.rescued_from.map(|_| Action::Rescue))
    }

    /// The limit that was granted: the kernel's, or the one before the guard raised it.
    pub fn granted(self, limit: Reading<Limit>) -> Reading<Limit> {
        self.rescued_from.map_or(limit, |from| Reading::Present(Limit::At(from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::{hugetlb, page_size, report};

    const PATH: &str = "/kubepods/podu";

    fn entry(action: Action, result: Outcome, value: u64, old: Limit) -> Entry {
        Entry {
            cgroup: PATH.to_owned(),
            pod_uid: "u".to_owned(),
            container_id: None,
            action,
            page_size: page_size(),
            value: Limit::At(Bytes(value)),
            old,
            result,
            reason: None,
        }
    }

    fn figures(limit: u64, reservation_limit: Limit) -> Hugetlb {
        Hugetlb {
            limit: Reading::Present(Limit::At(Bytes(limit))),
            reservation_limit: Reading::Present(reservation_limit),
            ..hugetlb(0, 0)
        }
    }

    fn guarding(entries: &[Entry], hugetlb: &Hugetlb) -> Guarding {
        Guard::new(report(entries.to_vec())).of(PATH, hugetlb)
    }

    #[test]
    fn a_limit_is_the_guards_while_the_kernel_has_its_value() {
        let written = [entry(Action::Refuse, Outcome::Written, 0, Limit::Unlimited)];
        let at = |limit| guarding(&written, &figures(0, limit)).refuses;
        assert!(at(Limit::At(Bytes(0))));
        assert!(!at(Limit::Unlimited) && !at(Limit::At(Bytes(4096))), "somebody else's");
        for not_yet in [Outcome::WouldWrite, Outcome::Busy, Outcome::Failed, Outcome::Skipped] {
            let entry = entry(Action::Refuse, not_yet, 0, Limit::Unlimited);
            assert_eq!(guarding(&[entry], &figures(0, Limit::At(Bytes(0)))), Guarding::default());
        }
    }

    #[test]
    fn what_was_granted_is_the_limit_before_the_raise() {
        let raised = [
            entry(Action::Bound, Outcome::Written, 200, Limit::Unlimited),
            entry(Action::Rescue, Outcome::Written, 200, Limit::At(Bytes(100))),
        ];
        let now = figures(200, Limit::At(Bytes(200)));
        let rescued = guarding(&raised, &now);
        assert_eq!((rescued.refuses, rescued.rescued_from), (true, Some(Bytes(100))));
        assert_eq!(rescued.granted(now.limit), Reading::Present(Limit::At(Bytes(100))));
        let back = figures(100, Limit::Unlimited);
        assert_eq!(guarding(&raised, &back), Guarding::default(), "it was set back");
    }

    #[test]
    fn another_cgroup_and_another_size_are_not_meant() {
        let written = [entry(Action::Refuse, Outcome::Written, 0, Limit::Unlimited)];
        let guard = Guard::new(report(written.to_vec()));
        let refused = figures(0, Limit::At(Bytes(0)));
        assert_eq!(guard.of("/kubepods/podu/c", &refused), Guarding::default());
        let other = Hugetlb { page_size: "1Gi".parse().expect("a size"), ..refused };
        assert_eq!(guard.of(PATH, &other), Guarding::default());
    }

    #[test]
    fn what_is_above_kubepods_the_guard_may_not_see() {
        let written = [entry(Action::Refuse, Outcome::Written, 0, Limit::Unlimited)];
        let guard = Guard::new(report(written.to_vec()));
        let refused = figures(0, Limit::At(Bytes(0)));
        let of = |path: &str| guard.of(path, &refused).refuses;
        assert!(of("/kubelet.slice/kubepods/podu") && of("/a/b/c/kubepods/podu"));
        for other in ["/a/b/c/d/kubepods/podu", "/akubepods/podu", "/podu", "/", "", "/é"] {
            assert!(!of(other), "{other}");
        }
    }

    #[test]
    fn who_is_excluded_and_what_is_contested_is_known() {
        let excluded = Entry {
            reason: Some(Reason::Excluded),
            ..entry(Action::Refuse, Outcome::Skipped, 0, Limit::Unlimited)
        };
        let guard = Guard::new(report(vec![excluded]));
        assert!(guard.excludes("u") && !guard.excludes("v"));
        let contested = [entry(Action::Rescue, Outcome::Contested, 200, Limit::At(Bytes(100)))];
        assert!(guarding(&contested, &figures(100, Limit::Unlimited)).contested);
    }
}
