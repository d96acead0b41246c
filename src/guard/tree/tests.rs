//! Trees of plain directories: what is taken in, and what is not.

use std::os::unix::fs::symlink;

use super::*;
use crate::snapshot::CgroupVersion;

const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
const UID: &str = "8f5e0a52-1111-4222-8333-444444444444";

struct Node {
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { root: tempfile::tempdir().expect("a directory") };
        node.make("kubepods");
        node.make("kubepods/burstable");
        node
    }

    /// A cgroup, as the kernel makes it: with its files.
    fn make(&self, path: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join("hugetlb.2MB.max"), "max\n").expect("written");
        fs::write(path.join("hugetlb.2MB.rsvd.max"), "max\n").expect("written");
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.root.path().join(path)).expect("removed");
    }

    fn tree(&self) -> Tree {
        let path = self.root.path().join("kubepods");
        let directory = Directory::at(path, "/kubepods".to_owned()).expect("it");
        let sizes = vec!["2Mi".parse().expect("a size")];
        Tree::new(vec![Kubepods { directory, version: CgroupVersion::V2, sizes }]).expect("a tree")
    }
}

fn pods(tree: &Tree) -> Vec<(String, usize)> {
    tree.pods().map(|(_, pod)| (pod.directory.shown.clone(), pod.containers.len())).collect()
}

#[test]
fn what_is_there_and_what_comes_is_taken_in_and_told() {
    let node = Node::new();
    node.make(&format!("kubepods/pod{UID}/{ID}"));
    let mut tree = node.tree();
    assert_eq!(pods(&tree), [(format!("/kubepods/pod{UID}"), 1)]);
    assert_eq!(tree.take(), []);
    node.make("kubepods/burstable/podother");
    assert!(!tree.take().is_empty());
    node.make(&format!("kubepods/burstable/podother/{ID}"));
    let told = tree.take();
    assert!(told.iter().all(|told| *told == Told::Pod(PodId(2))) && !told.is_empty(), "{told:?}");
    assert_eq!(pods(&tree)[1], ("/kubepods/burstable/podother".to_owned(), 1));
    fs::write(node.root.path().join("kubepods/burstable/podother/hugetlb.2MB.max"), "0")
        .expect("set");
    assert!(tree.take().contains(&Told::Pod(PodId(2))), "a limit that is set is told of");
    node.remove(&format!("kubepods/burstable/podother/{ID}"));
    tree.take();
    assert_eq!(pods(&tree)[1].1, 0);
    node.remove("kubepods/burstable/podother");
    tree.take();
    assert_eq!(pods(&tree).len(), 1);
    assert_eq!(tree.count, 2);
}

#[test]
fn neither_tiers_nor_strangers_nor_links_are_taken_in() {
    let node = Node::new();
    for path in [
        "kubepods/crio-conmon-x.scope",
        "kubepods/burstable/system",
        &format!("kubepods/burstable/podone/{ID}/inside"),
        "kubepods/burstable/podone/crio-conmon-x.scope",
        "elsewhere/podtwo",
    ] {
        node.make(path);
    }
    let at = |path: &str| node.root.path().join(path);
    symlink(at("elsewhere/podtwo"), at("kubepods/burstable/podtwo")).expect("linked");
    symlink(at("elsewhere"), at(&format!("kubepods/burstable/podone/{}", ID.replace('4', "5"))))
        .expect("linked");
    fs::write(at("kubepods/burstable/podthree"), "").expect("a file");
    let mut tree = node.tree();
    tree.list_all();
    assert_eq!(pods(&tree), [("/kubepods/burstable/podone".to_owned(), 1)]);
}

#[test]
fn one_of_the_same_name_that_comes_later_is_another() {
    let node = Node::new();
    node.make("kubepods/burstable/podone");
    let mut tree = node.tree();
    let before = tree.pods().next().expect("one").0;
    let held = node.root.path().join("held");
    fs::rename(node.root.path().join("kubepods/burstable/podone"), held).expect("moved");
    node.make("kubepods/burstable/podone");
    tree.list_all();
    let after: Vec<PodId> = tree.pods().map(|(id, _)| id).collect();
    assert_eq!((after.len(), after.contains(&before)), (1, false));
}

#[test]
fn a_tree_of_more_than_there_is_room_for_is_no_harm() {
    let node = Node::new();
    for number in 0..MOST + 10 {
        fs::create_dir(node.root.path().join(format!("kubepods/burstable/pod{number}")))
            .expect("made");
    }
    let tree = node.tree();
    assert_eq!(pods(&tree).len(), MOST);
    assert!(tree.trouble.is_some_and(|why| why.contains("left alone")));
}
