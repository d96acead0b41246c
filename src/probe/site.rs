//! Where the exporter stands: its own cgroup, those above up to its pod's, and what they let it do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::identity::Owner;
use crate::snapshot::{
    CgroupVersion, Exempt, Hugetlb, LevelLimits, Limit, MemoryAccounting, OwnCgroup, Reading,
    Snapshot, Source,
};
use crate::units::{Bytes, PageSize};

/// The exporter's own cgroup and its surroundings, as far as they are seen.
#[derive(Debug, Clone)]
pub struct Site {
    own: Option<OwnCgroup>,
    /// The own cgroup and those above, up to the pod's; without a pod, all of them.
    levels: Vec<Level>,
    in_pod: bool,
    /// Whether the levels are all that may refuse us by right.
    complete: bool,
    /// It is known that this node has no controller, wherever our own cgroup is.
    no_controller: bool,
    /// Huge pages count as memory, or may: the mount is not seen.
    counts_memory: bool,
    /// Further up, where others are charged too, a reservation limit is finite.
    others_share_a_reservation_limit: bool,
}

#[derive(Debug, Clone)]
struct Level {
    directory: PathBuf,
    path: Arc<str>,
    hugetlb: Arc<[Hugetlb]>,
}

/// What becomes of a page that is asked for, by right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// It is refused.
    Refusal,
    /// Nothing has to refuse it.
    Nothing(Exempt),
    /// What limits us is not seen.
    Unknown,
}

impl Site {
    /// As a snapshot shows it. `in_kubernetes` where the environment tells that we are in a pod.
    pub fn of(snapshot: &Snapshot, in_kubernetes: bool) -> Self {
        let own = snapshot.own.clone();
        let root = snapshot.hierarchy.as_ref().map(|hierarchy| hierarchy.root.clone());
        let chain: Vec<_> = own
            .as_ref()
            .and_then(|own| own.index)
            .map(|index| snapshot.chain(index).collect())
            .unwrap_or_default();
        let pod = chain.iter().position(|cgroup| matches!(&*cgroup.owner, Owner::Pod(_)));
        let (ours, above) = chain.split_at(pod.map_or(chain.len(), |pod| pod + 1));
        let levels = ours.iter().enumerate().map(|(place, cgroup)| {
            let directory = match (place, &own) {
                (0, Some(own)) => own.directory.clone(),
                _ => root.clone().unwrap_or_default().join(cgroup.path.trim_start_matches('/')),
            };
            let (path, hugetlb) = (Arc::clone(&cgroup.path), cgroup.hugetlb.clone());
            Level { directory, path, hugetlb }
        });
        let owners = own.iter().map(|own| &own.owner);
        let in_pod = in_kubernetes
            || owners.chain(chain.iter().map(|cgroup| &*cgroup.owner)).any(is_of_a_pod);
        // Our own corner of the tree alone has no path.
        let sees_tree = chain.first().is_some_and(|own| &*own.path != "/");
        Self {
            levels: levels.collect(),
            no_controller: snapshot
                .sources
                .iter()
                .any(|health| health.source == Source::Cgroups && health.is_missing()),
            in_pod,
            counts_memory: snapshot.accounting != MemoryAccounting::Off,
            complete: pod.is_some() || (!chain.is_empty() && (!in_pod || sees_tree)),
            others_share_a_reservation_limit: above.iter().any(|cgroup| {
                cgroup.hugetlb.iter().any(|hugetlb| hugetlb.reservation_limit.finite().is_some())
            }),
            own,
        }
    }

    /// What has to become of a page of that size.
    pub fn expectation(&self, page_size: PageSize) -> Expectation {
        let limits: Vec<_> = self.figures(page_size).map(|hugetlb| hugetlb.limit).collect();
        if limits.iter().any(|limit| limit.finite() == Some(Bytes::ZERO)) {
            Expectation::Refusal
        } else if !self.in_pod {
            Expectation::Nothing(Exempt::NotInPod)
        } else if limits.iter().any(|limit| limit.finite().is_some()) {
            Expectation::Nothing(Exempt::Granted)
        } else if limits.contains(&Reading::Failed) {
            Expectation::Unknown
        } else if self.complete || self.lacks_controller() {
            Expectation::Refusal
        } else {
            Expectation::Unknown
        }
    }

    /// Whether nothing of ours can be limited, there being no hugetlb controller.
    pub fn lacks_controller(&self) -> bool {
        match &self.own {
            Some(own) => !own.has_controller,
            None => self.no_controller,
        }
    }

    /// Whether the fault limits that are seen have no room for a page.
    pub fn refuses_a_touch(&self, page_size: PageSize) -> bool {
        let full = |hugetlb: &Hugetlb| has_no_room(hugetlb.limit, hugetlb.usage, page_size);
        self.figures(page_size).any(full)
    }

    /// Whether the reservation limits that are seen have no room for a page.
    pub fn refuses_a_reservation(&self, page_size: PageSize) -> bool {
        let full =
            |hugetlb: &Hugetlb| has_no_room(hugetlb.reservation_limit, hugetlb.reserved, page_size);
        self.figures(page_size).any(full)
    }

    /// Whether a reservation far too large could get into others' way for an instant: it is charged to every level
    /// before one of them refuses it.
    pub fn shares_a_reservation_limit(&self) -> bool {
        self.others_share_a_reservation_limit
    }

    /// Where a refusal of ours is counted, the version telling which files; and whether these are all such places.
    /// v2 counts where the process is, v1 where the limit is.
    pub fn counted_in(&self) -> Option<(CgroupVersion, Vec<PathBuf>, bool)> {
        let own = self.own.as_ref().filter(|own| own.has_controller)?;
        Some(match own.version {
            CgroupVersion::V2 => (CgroupVersion::V2, vec![own.directory.clone()], true),
            CgroupVersion::V1 if self.levels.is_empty() => {
                (CgroupVersion::V1, vec![own.directory.clone()], false)
            }
            CgroupVersion::V1 => {
                let directories = self.levels.iter().map(|level| level.directory.clone());
                (CgroupVersion::V1, directories.collect(), self.complete)
            }
        })
    }

    /// Whether all limits that apply to us are seen.
    pub fn sees_all_limits(&self) -> bool {
        self.complete || self.lacks_controller()
    }

    /// What limits pages of that size, the own cgroup first.
    pub fn limits(&self, page_size: PageSize) -> Vec<LevelLimits> {
        let of_level = |(place, level): (usize, &Level)| {
            let of_size = |hugetlb: &&Hugetlb| hugetlb.page_size == page_size;
            level.hugetlb.iter().find(of_size).map(|hugetlb| LevelLimits {
                cgroup: name(&level.path, place),
                limit: hugetlb.limit,
                usage: hugetlb.usage,
                reservation_limit: hugetlb.reservation_limit,
                reserved: hugetlb.reserved,
            })
        };
        self.levels.iter().enumerate().filter_map(of_level).collect()
    }

    /// Where limits of memory hold for huge pages too: their names and directories, the own cgroup's first.
    pub(super) fn memory_levels(&self) -> Vec<(String, PathBuf)> {
        let own = self.own.iter().filter(|own| own.version == CgroupVersion::V2);
        let own = own.filter(|_| self.counts_memory);
        own.flat_map(|own| {
            let alone = self.levels.is_empty().then(|| (name("/", 0), own.directory.clone()));
            let levels = self.levels.iter().enumerate();
            let of_level = |(place, level): (usize, &Level)| {
                (name(&level.path, place), level.directory.clone())
            };
            alone.into_iter().chain(levels.map(of_level))
        })
        .collect()
    }

    fn figures(&self, page_size: PageSize) -> impl Iterator<Item = &Hugetlb> {
        let levels = self.levels.iter().flat_map(|level| level.hugetlb.iter());
        levels.filter(move |hugetlb| hugetlb.page_size == page_size)
    }
}

/// What a level is called. In a namespace of its own the own cgroup has no name.
fn name(path: &str, place: usize) -> String {
    match path {
        "/" if place == 0 => "this cgroup".to_owned(),
        path => path.to_owned(),
    }
}

fn is_of_a_pod(owner: &Owner) -> bool {
    match owner {
        Owner::Pod(_)
        | Owner::Container(_)
        | Owner::InsideContainer
        | Owner::PodInfrastructure(_) => true,
        Owner::Tier | Owner::Service => false,
    }
}

fn has_no_room(limit: Reading<Limit>, held: Reading<Bytes>, page_size: PageSize) -> bool {
    let room = limit.finite().map(|limit| limit.less(held.present().unwrap_or_default()));
    room.is_some_and(|room| room < page_size.bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::snapshot::Hierarchy;
    use crate::snapshot::example::{self, page_size};
    use std::time::Duration;

    /// A fault limit and a reservation limit, in pages.
    pub(in crate::probe) type Limits = (Option<u64>, Option<u64>);

    /// A container in a pod with these limits, seen through the host's tree.
    pub(in crate::probe) fn in_pod(version: CgroupVersion, container: Limits, pod: Limits) -> Site {
        Site::of(&seen(version, container, pod), false)
    }

    fn seen(version: CgroupVersion, container: Limits, pod: Limits) -> Snapshot {
        let figures = |(limit, reservation): Limits| {
            let pages = |pages: Option<u64>| {
                let limit = pages.map(|pages| Limit::At(Bytes(pages << 21)));
                Reading::Present(limit.unwrap_or(Limit::Unlimited))
            };
            let (limit, reservation_limit) = (pages(limit), pages(reservation));
            Hugetlb { limit, reservation_limit, ..example::hugetlb(0, 0) }
        };
        let mut snapshot = example::node(Duration::ZERO)
            .with("/kubepods", figures((None, None)))
            .with("/kubepods/podu", figures(pod))
            .with_container("u", 1, figures(container));
        snapshot.hierarchy = Some(Hierarchy { version, root: "/host".into() });
        let mut snapshot = snapshot.owned(2);
        own(&mut snapshot).version = version;
        snapshot
    }

    /// In a cgroup whose files are in that directory.
    pub(in crate::probe) fn in_directory(directory: &std::path::Path, counts_memory: bool) -> Site {
        let site = alone(CgroupVersion::V2, (None, None));
        let level = site.levels.into_iter().next().expect("one");
        let levels = vec![Level { directory: directory.to_owned(), ..level }];
        Site { levels, counts_memory, ..alone(CgroupVersion::V2, (None, None)) }
    }

    fn own(snapshot: &mut Snapshot) -> &mut OwnCgroup {
        snapshot.own.as_mut().expect("its own")
    }

    /// The same without the host's tree: only the own cgroup is seen.
    pub(in crate::probe) fn alone(version: CgroupVersion, container: Limits) -> Site {
        let mut snapshot = seen(version, container, (None, None));
        let mut alone = snapshot.cgroups_mut().remove(2);
        (alone.path, alone.parent, alone.owner) = ("/".into(), None, Owner::Service.into());
        snapshot.cgroups = vec![alone].into();
        own(&mut snapshot).index = Some(0);
        Site::of(&snapshot, true)
    }

    /// A pod on a node without a hugetlb controller.
    pub(in crate::probe) fn without_controller() -> Site {
        let mut snapshot = seen(CgroupVersion::V2, (None, None), (None, None));
        snapshot.cgroups_mut().clear();
        snapshot.hierarchy = None;
        let ours = own(&mut snapshot);
        (ours.index, ours.has_controller) = (None, false);
        Site::of(&snapshot, true)
    }

    #[test]
    fn what_has_to_be_refused() {
        use Expectation::{Nothing, Refusal, Unknown};
        let v2 = CgroupVersion::V2;
        let site = |container, pod| in_pod(v2, (container, None), (pod, None));
        let expect = |site: &Site| site.expectation(page_size());
        assert_eq!(expect(&site(Some(0), Some(0))), Refusal);
        assert_eq!(expect(&site(None, Some(0))), Refusal);
        assert_eq!(expect(&site(Some(0), Some(9))), Refusal, "a sidecar in a pod with a grant");
        assert_eq!(expect(&site(None, None)), Refusal, "a kubelet limits every pod");
        assert_eq!(expect(&site(None, Some(9))), Nothing(Exempt::Granted));
        assert_eq!(expect(&site(Some(9), None)), Nothing(Exempt::Granted));
        assert_eq!(expect(&alone(v2, (Some(0), None))), Refusal);
        assert_eq!(expect(&alone(v2, (None, None))), Unknown, "the pod's may be anything");
        assert_eq!(expect(&without_controller()), Refusal);
        let mut service = seen(v2, (None, None), (None, None));
        service.cgroups = Arc::default();
        service = service.with("/system.slice", example::hugetlb(0, 0));
        own(&mut service).index = Some(0);
        assert_eq!(expect(&Site::of(&service, false)), Nothing(Exempt::NotInPod));
    }

    #[test]
    fn where_refusals_are_counted() {
        let paths = |site: &Site| {
            let (_, paths, complete) = site.counted_in().expect("somewhere");
            let paths = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
            (paths.join(" "), complete)
        };
        let nothing = (None, None);
        let own = "/sys/fs/cgroup";
        assert_eq!(paths(&in_pod(CgroupVersion::V2, nothing, nothing)), (own.to_owned(), true));
        let both = format!("{own} /host/kubepods/podu");
        assert_eq!(paths(&in_pod(CgroupVersion::V1, nothing, nothing)), (both, true));
        assert_eq!(paths(&alone(CgroupVersion::V2, nothing)), (own.to_owned(), true));
        assert_eq!(paths(&alone(CgroupVersion::V1, nothing)), (own.to_owned(), false));
        assert_eq!(without_controller().counted_in(), None);
    }
}
