//! What a read shows of the tree: plain facts, shared while they stay the same.
//!
//! Two showings take turns: by the time the next is made nobody looks at the one before the last, as a rule, so it is brought
//! up to date where it is. Making all of it anew would cost a poll of a busy node more than understanding its files.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::id::Id;
use super::node::Node;
use super::own::Own;
use super::tree::Tree;
use crate::identity::{ContainerCgroup, NameIndex, Owner, Runtime};
use crate::snapshot::{Cgroup, OwnCgroup, Reading};

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct Shown {
    last: Showing,
    before: Showing,
    pub(super) own: Option<OwnCgroup>,
    /// The cgroup of our own pod in the tree, or our own where it is in none.
    own_pod: Option<Id>,
    /// What was known of runtimes then, and which cgroups there were.
    names: Option<(Arc<NameIndex>, u64)>,
}

/// All cgroups as they were shown once.
#[derive(Debug, Default)]
struct Showing {
    number: u64,
    /// Which cgroups there were.
    edition: u64,
    cgroups: Arc<Vec<Cgroup>>,
}

impl Shown {
    /// All cgroups, parents before their children.
    pub(super) fn cgroups(&self) -> Arc<Vec<Cgroup>> {
        Arc::clone(&self.last.cgroups)
    }

    /// The cgroup of our own pod in the tree, or our own where it is in none.
    pub(super) fn own_pod(&self) -> Option<Id> {
        self.own_pod
    }

    /// Says what made the containers whose cgroups don't tell, where the kubelet told it. Whether that is news.
    pub(super) fn tell_runtimes(&mut self, tree: &mut Tree, names: &Arc<NameIndex>) -> bool {
        let edition = tree.edition();
        let is_told =
            |(told, of): &(Arc<NameIndex>, u64)| Arc::ptr_eq(told, names) && *of == edition;
        if self.names.as_ref().is_some_and(is_told) {
            return false;
        }
        self.names = Some((Arc::clone(names), edition));
        let mut changed = false;
        for id in tree.order().to_vec() {
            if let Some(node) = tree.node_mut(id) {
                changed |= tell_runtime(node, names);
            }
        }
        changed
    }

    /// Shows what there is now.
    pub(super) fn renew(&mut self, tree: &mut Tree, own: Option<&Own>, root: &Path) {
        let number = self.last.number + 1;
        let mut showing = mem::replace(&mut self.before, mem::take(&mut self.last));
        let order: Vec<Id> = tree.with_files().collect();
        if !showing.renew(tree, &order, number) {
            showing = Showing::anew(tree, &order, number);
        }
        self.last = showing;
        self.own = own.map(|own| own.among(&self.last.cgroups, root));
        let ours = self.own.as_ref().and_then(|own| order.get(own.index?).copied());
        let is_pod = |(_, node): &(Id, &Node)| matches!(&*node.owner, Owner::Pod(_));
        self.own_pod = ours.map(|ours| tree.chain(ours).find(is_pod).map_or(ours, |(pod, _)| pod));
    }
}

impl Showing {
    fn anew(tree: &mut Tree, order: &[Id], number: u64) -> Self {
        let mut cgroups = Vec::with_capacity(order.len());
        // The cgroup that was shown last, and those above it, each with its place.
        let mut above: Vec<(Id, usize)> = Vec::new();
        for (place, id) in order.iter().enumerate() {
            let Some(node) = tree.node_mut(*id) else { continue };
            while above.last().is_some_and(|(last, _)| Some(*last) != node.parent) {
                above.pop();
            }
            let mut cgroup = Cgroup {
                path: Arc::clone(&node.path),
                inode: node.inode,
                parent: above.last().map(|(_, place)| *place),
                owner: Arc::clone(&node.owner),
                memory_nodes: Reading::Absent,
                hugetlb: Arc::default(),
            };
            above.push((*id, place));
            node.show(&mut cgroup, (0, number));
            cgroups.push(cgroup);
        }
        Self { number, edition: tree.edition(), cgroups: Arc::new(cgroups) }
    }

    /// Brings it up to date, unless there were other cgroups then, or somebody still looks at it.
    fn renew(&mut self, tree: &mut Tree, order: &[Id], number: u64) -> bool {
        let same = self.edition == tree.edition();
        let Some(cgroups) = Arc::get_mut(&mut self.cgroups).filter(|_| same) else { return false };
        for (cgroup, id) in cgroups.iter_mut().zip(order) {
            if let Some(node) = tree.node_mut(*id) {
                node.show(cgroup, (self.number, number));
            }
        }
        self.number = number;
        true
    }
}

fn tell_runtime(node: &mut Node, names: &NameIndex) -> bool {
    let Owner::Container(container) = &*node.owner else { return false };
    if container.runtime != Runtime::Unknown && !node.told {
        return false;
    }
    let runtime = names.runtime(&container.pod.uid, &container.id).unwrap_or(Runtime::Unknown);
    if container.runtime == runtime {
        return false;
    }
    node.owner = Arc::new(Owner::Container(ContainerCgroup { runtime, ..container.clone() }));
    node.told = true;
    node.changed = true;
    true
}

#[cfg(test)]
mod tests {
    use super::super::example::Example;
    use super::super::users;
    use super::*;
    use crate::units::PageSize;

    struct Showings {
        example: Example,
        shown: Shown,
    }

    impl Showings {
        fn new() -> Self {
            let mut example = Example::new(&["k", "k/a", "k/b"]);
            example.write("k", "current", "1");
            example.write("k/a", "current", "1");
            example.look();
            Self { example, shown: Shown::default() }
        }

        /// What is shown when `/k/a` uses so much.
        fn with(&mut self, bytes: u64) -> Arc<Vec<Cgroup>> {
            for path in ["k", "k/a"] {
                self.example.write(path, "current", &bytes.to_string());
            }
            let size = PageSize::from_bytes(2 << 20).expect("a power of two");
            self.example.round(|tree, round| users::read(tree, size, round));
            self.shown.renew(&mut self.example.tree, None, Path::new(""));
            self.shown.cgroups()
        }
    }

    fn used(cgroups: &[Cgroup]) -> Vec<(&str, u64)> {
        let usage = |cgroup: &Cgroup| cgroup.hugetlb[0].usage.present().expect("read").0;
        cgroups.iter().map(|cgroup| (&*cgroup.path, usage(cgroup))).collect()
    }

    #[test]
    fn what_is_shown_is_newest_and_whoever_holds_an_older_one_sees_that() {
        let mut showings = Showings::new();
        // Not changed in the second and the fifth.
        for held in 0..6 {
            let mut kept = None;
            for (number, bytes) in [1, 1, 2, 3, 3, 4, 5, 4].into_iter().enumerate() {
                let shown = showings.with(bytes);
                assert_eq!(used(&shown), [("/k", bytes), ("/k/a", bytes), ("/k/b", 0)]);
                if number == held {
                    kept = Some((shown, bytes));
                }
            }
            let (shown, bytes) = kept.expect("shown");
            assert_eq!(used(&shown), [("/k", bytes), ("/k/a", bytes), ("/k/b", 0)], "{held}");
        }
    }

    #[test]
    fn two_take_turns_and_what_is_the_same_is_there_once() {
        let mut showings = Showings::new();
        let places: Vec<_> = (1..=4).map(|bytes| Arc::as_ptr(&showings.with(bytes))).collect();
        assert_eq!((places[0], places[1]), (places[2], places[3]));
        assert_ne!(places[0], places[1]);
        let [first, second] = [5, 6].map(|bytes| showings.with(bytes)[2].hugetlb.as_ptr());
        assert_eq!(first, second);
    }

    #[test]
    fn other_cgroups_are_shown_at_once() {
        let mut showings = Showings::new();
        showings.with(1);
        showings.with(2);
        showings.example.make("k/aa");
        showings.example.tree.must_list(showings.example.id("/k"));
        showings.example.look();
        let shown = showings.with(3);
        assert_eq!(used(&shown), [("/k", 3), ("/k/a", 3), ("/k/aa", 0), ("/k/b", 0)]);
        let parents: Vec<_> = shown.iter().map(|cgroup| cgroup.parent).collect();
        assert_eq!(parents, [None, Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn whoever_is_said_to_be_somebody_elses_is_shown_so() {
        let mut showings = Showings::new();
        showings.with(1);
        showings.with(2);
        let id = showings.example.id("/k/b");
        let node = showings.example.tree.node_mut(id).expect("there");
        node.owner = Arc::new(Owner::Tier);
        node.changed = true;
        for bytes in [3, 4] {
            assert_eq!(*showings.with(bytes)[2].owner, Owner::Tier);
        }
    }
}
