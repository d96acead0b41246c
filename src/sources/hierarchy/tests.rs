//! Which hierarchy is taken, and what is said where none is.

use super::*;
use crate::snapshot::{Source, SourceHealth};

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn v2(self, path: &str, controllers: &str) -> Self {
        self.file(&format!("{path}/cgroup.controllers"), controllers)
    }

    fn v1(self, path: &str) -> Self {
        self.file(&format!("{path}/hugetlb.2MB.limit_in_bytes"), "0\n")
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    /// mountinfo, `ROOT` standing for the machine's directory.
    fn mounts(self, lines: &[&str]) -> Self {
        let text = lines.join("\n").replace("ROOT", &self.0.path().display().to_string());
        self.file("proc/self/mountinfo", &text)
    }

    fn roots(&self, cgroup: Option<&str>) -> Roots {
        let path = self.0.path();
        Roots {
            proc: path.join("proc"),
            sys: path.join("sys"),
            cgroup: cgroup.map(|cgroup| path.join(cgroup)),
            pod_logs: path.join("pods"),
            container_logs: path.join("containers"),
        }
    }

    fn find(&self, cgroup: Option<&str>) -> Result<(CgroupVersion, String), String> {
        let path = self.0.path();
        let mut problems = Problems::default();
        let roots = self.roots(cgroup);
        match find(&roots, &Mounted::read(&roots), &mut problems) {
            Some(found) => {
                let root = found.root.strip_prefix(path).expect("below the machine");
                Ok((found.version, root.display().to_string()))
            }
            None => match problems.into_health() {
                Health::Missing(why) | Health::Down(why) => Err(why),
                Health::Up => panic!("nothing found and no reason given"),
            },
        }
    }
}

const PURE_V2: &str = "30 23 0:26 / ROOT/sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
const UNIFIED: &str = "38 31 0:29 / ROOT/sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
const V1: &str =
    "42 31 0:41 / ROOT/sys/fs/cgroup/hugetlb rw,relatime shared:9 - cgroup cgroup rw,hugetlb";
const V1_MEMORY: &str =
    "35 31 0:31 / ROOT/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";

#[test]
fn pure_v2() {
    let machine =
        Machine::new().v2("sys/fs/cgroup", "cpu memory hugetlb pids\n").mounts(&[PURE_V2]);
    assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup".into())));
}

#[test]
fn hybrid_with_the_controller_on_v2() {
    let machine =
        Machine::new().v2("sys/fs/cgroup/unified", "hugetlb\n").mounts(&[V1_MEMORY, UNIFIED]);
    assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup/unified".into())));
    assert_eq!(
        machine.find(Some("sys/fs/cgroup")),
        Ok((CgroupVersion::V2, "sys/fs/cgroup/unified".into()))
    );
}

#[test]
fn hybrid_with_the_controller_on_v1() {
    let machine = Machine::new()
        .v2("sys/fs/cgroup/unified", "\n")
        .v1("sys/fs/cgroup/hugetlb")
        .mounts(&[UNIFIED, V1]);
    let v1 = Ok((CgroupVersion::V1, "sys/fs/cgroup/hugetlb".into()));
    assert_eq!(machine.find(None), v1);
    assert_eq!(machine.find(Some("sys/fs/cgroup")), v1);
    assert_eq!(machine.find(Some("sys/fs/cgroup/hugetlb")), v1);
}

#[test]
fn in_a_container_the_hosts_mount_is_wider_than_ones_own() {
    let machine = Machine::new()
        .v2("sys/fs/cgroup", "hugetlb\n")
        .v2("host/cgroup", "hugetlb\n")
        .mounts(&[PURE_V2, "99 23 0:26 /../../../.. ROOT/host/cgroup ro - cgroup2 cgroup2 rw"]);
    assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "host/cgroup".into())));
}

#[test]
fn strange_mounts_are_passed_over() {
    let machine = Machine::new().v2("sys/fs/cgroup", "hugetlb\n").mounts(&[
        "x y z - cgroup2 cgroup2 rw",
        "1 2 0:3 / /a - cgroup",
        "",
        PURE_V2,
        "77 1 0:9 / ROOT/tmp/fake - cgroup2 rw - cgroup2 x rw",
    ]);
    assert_eq!(machine.find(None), Ok((CgroupVersion::V2, "sys/fs/cgroup".into())));
}

#[test]
fn no_controller_is_said_once_and_plainly() {
    let machine = Machine::new().v2("sys/fs/cgroup", "cpu memory\n").mounts(&[PURE_V2]);
    assert!(machine.find(None).expect_err("nothing").contains("hugetlb controller"));
    assert!(machine.find(Some("sys/fs/cgroup")).expect_err("nothing").contains("sys/fs/cgroup"));
    assert!(Machine::new().find(None).expect_err("nothing").contains("proc/self/mountinfo"));
}

fn is_missing(machine: &Machine, cgroup: Option<&str>) -> bool {
    let mut problems = Problems::default();
    let roots = machine.roots(cgroup);
    let found = find(&roots, &Mounted::read(&roots), &mut problems);
    assert!(found.is_none());
    SourceHealth::new(Source::Cgroups, problems).is_missing()
}

#[test]
fn what_could_not_be_looked_at_is_not_missing() {
    let machine = Machine::new().v2("sys/fs/cgroup", "cpu\n").mounts(&[PURE_V2]);
    assert!(is_missing(&machine, None) && is_missing(&machine, Some("sys/fs/cgroup")));
    assert!(!is_missing(&machine, Some("a/wrong/path")));
    assert!(!is_missing(&machine, Some("proc")), "no cgroup file system");
    assert!(!is_missing(&Machine::new(), None), "without mountinfo");
    assert!(!is_missing(&Machine::new().mounts(&["22 1 0:4 / /proc rw - proc proc rw"]), None));
    assert!(is_missing(&Machine::new().mounts(&[V1_MEMORY]), None));
    // A directory in place of a file can't be read by root either.
    let machine = Machine::new().file("sys/fs/cgroup/cgroup.controllers/x", "").mounts(&[PURE_V2]);
    assert!(!is_missing(&machine, None) && !is_missing(&machine, Some("sys/fs/cgroup")));
}

#[test]
fn a_controller_that_a_corner_was_not_given_is_not_missing() {
    let corner = || {
        let machine = Machine::new().v2("sys/fs/cgroup", "cpu\n").mounts(&[PURE_V2]);
        machine.file("sys/fs/cgroup/cgroup.events", "populated 1\n")
    };
    for cgroup in [None, Some("sys/fs/cgroup")] {
        assert!(!is_missing(&corner(), cgroup));
        let why = corner().find(cgroup).expect_err("nothing");
        assert!(why.contains("/sys/fs/cgroup is a container's corner"), "{why}");
        let node = corner().file("sys/fs/cgroup/kubelet.slice/cpu.max", "max\n");
        assert!(is_missing(&node, cgroup), "a node of kind");
    }
    let host = "99 23 0:26 /../../.. ROOT/host/cgroup ro - cgroup2 cgroup2 rw";
    let seen = corner().v2("host/cgroup", "cpu\n").mounts(&[PURE_V2, host]);
    assert!(is_missing(&seen, None), "the host's shows all");
}

#[test]
fn corners_are_told_from_hierarchies() {
    let at = |version, machine: &Machine| {
        corner::is_corner(&Hierarchy { version, root: machine.0.path().join("at") })
    };
    let (v1, v2) = (CgroupVersion::V1, CgroupVersion::V2);
    let root = Machine::new().v2("at", "hugetlb\n").file("at/cgroup.procs", "1\n");
    assert!(!at(v2, &root));
    assert!(at(v2, &root.file("at/cgroup.events", "populated 1\n")));
    let below = Machine::new().v1("at").file("at/cgroup.procs", "1\n");
    assert!(at(v1, &below));
    assert!(!at(v1, &below.file("at/release_agent", "\n")));
    let below = Machine::new().v1("at").file("at/cgroup.procs", "1\n");
    assert!(!at(v1, &below.v1("at/kubepods")), "a node of kind");
    assert!(!at(v1, &Machine::new().v1("at")), "a recording of little else");
}

#[test]
fn mount_points_with_spaces_are_found() {
    assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
}

proptest::proptest! {
    #[test]
    fn no_mountinfo_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for line in String::from_utf8_lossy(&bytes).lines() {
            let _ = MountInfo::from_line(line).map(|mount| Mount::of(&mount).is_some());
        }
    }

    #[test]
    fn no_line_in_the_right_shape_panics(line in "[0-9]{1,3} [0-9]{1,3} 0:[0-9] /[./]* /[a-z]* [a-z=,]* (shared:[0-9a-z]* )?- cgroup2? [a-z]* [a-z=,]*") {
        let _ = MountInfo::from_line(&line).map(|mount| Mount::of(&mount).is_some());
    }
}

#[test]
fn controllers_mounted_together_are_found_below_a_directory() {
    let joined = "sys/fs/cgroup/cpu,cpuacct,net_cls,net_prio,hugetlb,memory";
    let machine = Machine::new().v1(joined).file("sys/fs/cgroup/systemd/cgroup.procs", "1\n");
    assert_eq!(machine.find(Some("sys/fs/cgroup")), Ok((CgroupVersion::V1, joined.to_owned())));
    for other in ["cpu,memory", "not-hugetlb,memory", "hugetlb-not,memory"] {
        let machine = Machine::new().v1(&format!("cgroup/{other}"));
        assert!(machine.find(Some("cgroup")).is_err(), "{other}");
    }
}

#[test]
fn the_usual_mount_comes_before_those_of_network_plugins() {
    let host = "ROOT/host/sys/fs/cgroup";
    for usual in ["ROOT/sys/fs/cgroup", host] {
        for other in ["ROOT/run/cilium/cgroupv2", "ROOT/run/calico/cgroup"] {
            let mount = |at: &str| format!("30 23 0:26 / {at} rw - cgroup2 cgroup2 rw");
            let machine = |first: &str, second: &str| {
                let path = |at: &str| at.replace("ROOT/", "");
                let both =
                    Machine::new().v2(&path(usual), "hugetlb\n").v2(&path(other), "hugetlb\n");
                both.mounts(&[&mount(first), &mount(second)])
            };
            let expected = Ok((CgroupVersion::V2, usual.replace("ROOT/", "")));
            assert_eq!(machine(usual, other).find(None), expected);
            assert_eq!(machine(other, usual).find(None), expected);
        }
    }
}
