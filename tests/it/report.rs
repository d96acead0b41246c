//! `report`: what it says of a whole machine, and that it gives no all-clear that it has not earned.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::command::{program, run_at};
use crate::machine::Machine;

fn report(machine: &Machine, more: &[&str]) -> Output {
    run_at(machine, &[&["report"], more].concat())
}

/// What it wrote to stdout and to stderr, and its exit code.
fn said(machine: &Machine, more: &[&str]) -> (String, String, i32) {
    let Output { status, stdout, stderr } = report(machine, more);
    let root = machine.root().display().to_string();
    let text = |bytes| String::from_utf8(bytes).expect("text").replace(&root, "ROOT");
    (text(stdout), text(stderr), status.code().expect("an exit"))
}

#[test]
fn a_report_says_what_it_finds_and_what_it_does_not() {
    let seed = Machine::named("seed");
    let (text, error, code) = said(&seed, &[]);
    assert_eq!((error.as_str(), code), ("", 2), "something will crash");
    assert!(text.starts_with("CRITICAL will-crash\n"), "in a pipe without colour: {text}");
    assert!(text.contains("Set hugepages-2Mi of container postgres to at least 200Mi"), "{text}");
    let coloured = said(&seed, &["--color=always"]).0;
    assert!(coloured.starts_with("\x1b[1;31mCRITICAL"));
    let json = said(&seed, &["--output=json"]).0;
    assert!(json.contains("\"limit_bytes\": 134217728"));
    let exposition = said(&seed, &["--output=prometheus"]).0;
    assert!(exposition.contains("hugetlb_container_usage_bytes{"));
    assert!(!exposition.contains("\nprocess_"), "node_exporter has those of its own");
    let (text, error, code) = said(&seed, &["--findings.mute-namespace=other,prod"]);
    assert_eq!((error.as_str(), code), ("", 0), "nothing is said of it");
    assert!(text.contains("prod/db-0"), "it is shown all the same");
}

#[test]
fn what_is_muted_of_a_pod_is_listed() {
    let seed = Machine::named("seed");
    for (muted, code) in [
        ("prod/db-0", 0),
        ("x/y,prod/db-0:will-crash", 0),
        ("prod/db-0:idle-grant", 2),
        ("prod/db", 2),
    ] {
        let flag = format!("--findings.mute-pod={muted}");
        let (text, error, exit) = said(&seed, &[&flag]);
        assert_eq!((error.as_str(), exit), ("", code), "{muted}");
        let line = "Muted: will-crash of container postgres of pod prod/db-0.";
        assert_eq!(text.lines().any(|it| it == line), code == 0, "{text}");
        let json = said(&seed, &[&flag, "--output=json"]).0;
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let name = json["muted"][0]["finding"].as_str();
        assert_eq!(name, (code == 0).then_some("will-crash"), "{json}");
        keeps_to_its_schema(&json);
        let metrics = said(&seed, &[&flag, "--output=prometheus"]).0;
        let counted = metrics.contains("hugetlb_muted_findings{finding=\"will-crash\"} 1\n");
        assert_eq!(counted, code == 0, "{metrics}");
    }
    let (_, error, code) = said(&seed, &["--findings.mute-pod=prod/db-0:nonsense"]);
    assert_eq!(code, 64);
    assert!(error.contains("no such finding"), "{error}");
}

fn keeps_to_its_schema(report: &Value) {
    let text = fs::read_to_string(testkit::project().join("docs/report.schema.json"));
    let schema = serde_json::from_str(&text.expect("a schema")).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema");
    assert!(schema.is_valid(report), "{report}");
}

#[test]
fn a_pod_is_reported_by_name() {
    let seed = Machine::named("seed");
    let whole = said(&seed, &[]);
    for more in [
        &["--namespace=prod", "--pod=db-0"][..],
        &["--namespace=prod"],
        &["--pod=6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b"],
    ] {
        assert_eq!(said(&seed, more), whole, "{more:?}");
    }
    // What is wrong with the node is wrong for its pods, too.
    let strange = said(&Machine::named("hostile-names"), &["--pod=db-0"]).0;
    assert!(strange.starts_with("INFO pages-unattributed"), "{strange}");
    assert!(strange.contains("prod/db-0") && !strange.contains("nginx"), "{strange}");
    assert!(!strange.contains("Other users"), "{strange}");
    let node = Machine::named("v2-systemd-runc");
    let (text, error, code) = said(&node, &["--pod=plain-node-1"]);
    assert_eq!((error.as_str(), code), ("", 0), "it is there, and has nothing");
    let nothing = "\n  No pod plain-node-1 holds, was granted or was refused any.\n";
    assert!(text.starts_with("WARNING trap-armed\n") && text.contains(nothing), "{text}");
}

#[test]
fn of_a_pod_that_is_not_there_nothing_is_reported() {
    let (seed, unnamed) = (Machine::named("seed"), Machine::named("kind-two-nodes"));
    let (bare, nothing) = (Machine::named("no-controller"), Machine::named("nothing"));
    for (machine, more, complaint) in [
        (&seed, &["--pod=db-1"][..], "no pod db-1 is seen on this node; did you mean --pod=db-0?"),
        (
            &seed,
            &["--namespace=prd"],
            "no pod of namespace prd is seen on this node; did you mean --namespace=prod?",
        ),
        (
            &seed,
            &["--namespace=dev", "--pod=db-0"],
            "no pod db-0 of namespace dev is seen on this node; did you mean --namespace=prod --pod=db-0?",
        ),
        (
            &seed,
            &["--pod=prod/db-0"],
            "no pod prod/db-0 is seen on this node; did you mean --namespace=prod --pod=db-0?",
        ),
        (
            &seed,
            &["--namespace=kube-system"],
            "no pod of namespace kube-system is seen on this node",
        ),
        (
            &unnamed,
            &["--pod=db-0"],
            "no pod db-0 is seen on this node; 2 of 2 are known by uid alone; pod-logs: neither ROOT/var/log/pods nor ROOT/var/log/containers exists: pods are shown by uid, without names",
        ),
        (&bare, &["--pod=db-0"], "no pod db-0 is seen on this node, nor any other"),
        (
            &nothing,
            &["--pod=db-0"],
            "no pod db-0 is seen on this node, nor any other; pools: can't list ROOT/sys/kernel/mm/hugepages: No such file or directory (os error 2); no pool is shown; meminfo: ROOT/proc/meminfo does not exist; cgroups: can't read ROOT/proc/self/mountinfo: No such file or directory (os error 2)",
        ),
    ] {
        let error = format!("hugetlb-exporter: {complaint}\n");
        assert_eq!(said(machine, more), (String::new(), error, 1), "{more:?}");
    }
    // No empty list of findings is given to a program either.
    for output in ["--output=json", "--output=prometheus"] {
        let (text, error, code) = said(&seed, &["--pod=db-1", output]);
        assert_eq!((text.as_str(), code), ("", 1), "{output}");
        assert!(error.ends_with("; did you mean --pod=db-0?\n"), "{error}");
    }
}

#[test]
fn what_a_node_does_not_have_is_an_answer() {
    let clear = |name: &str| {
        let (text, error, code) = said(&Machine::named(name), &[]);
        assert_eq!((error.as_str(), code), ("", 0), "{name}: {text}");
        assert!(!text.contains("Not seen:") && !text.contains("ould not look"), "{text}");
        text
    };
    assert!(clear("no-hugetlbfs").ends_with("\n  This node has none.\n"));
    assert!(clear("no-hugetlbfs").contains("\n  This node has no hugetlb controller: "));
    assert!(clear("no-controller-no-pages").starts_with("Nothing wrong was found.\n"));
    assert!(clear("no-controller").starts_with("WARNING controller-missing\n"));
}

/// A path that leads nowhere, what is said then, and whether pools and pods are said not to be seen.
const LOST: &[(&str, &str, bool, bool)] = &[
    (
        "sysfs=/nowhere",
        "pools: can't list /nowhere/kernel/mm/hugepages: No such file or directory (os error 2); no pool is shown",
        true,
        false,
    ),
    (
        "sysfs=ROOT/file",
        "pools: can't list ROOT/file/kernel/mm/hugepages: Not a directory (os error 20); no pool is shown",
        true,
        false,
    ),
    (
        "sysfs=/proc",
        "pools: can't list /proc/kernel/mm/hugepages: No such file or directory (os error 2); no pool is shown",
        true,
        false,
    ),
    (
        "procfs=/nowhere",
        "meminfo: /nowhere/meminfo does not exist; cgroups: can't read /nowhere/self/mountinfo: No such file or directory (os error 2)",
        false,
        true,
    ),
    (
        "cgroupfs=/nowhere",
        "cgroups: no hugetlb controller is seen: can't read /nowhere: No such file or directory (os error 2)",
        false,
        true,
    ),
    (
        "cgroupfs=ROOT/file",
        "cgroups: no hugetlb controller is seen: can't read ROOT/file: Not a directory (os error 20)",
        false,
        true,
    ),
    (
        "cgroupfs=/proc/sys",
        "cgroups: no hugetlb controller is seen: /proc/sys is no cgroup file system",
        false,
        true,
    ),
    (
        "pod-logs=ROOT/file",
        "pod-logs: can't list ROOT/file: Not a directory (os error 20)",
        false,
        false,
    ),
];

#[test]
fn what_could_not_be_looked_at_is_no_answer() {
    let idle = Machine::named("no-controller-no-pages");
    fs::write(idle.root().join("file"), "").expect("written");
    for (path, why, no_pools, no_pods) in LOST {
        let flag = format!("--path.{}", path.replace("ROOT", &idle.root().display().to_string()));
        let (text, error, code) = said(&idle, &[&flag]);
        let unseen = format!("hugetlb-exporter: could not look at everything: {why}\n");
        assert_eq!((error, code), (unseen, 1), "{path}: {text}");
        let not_seen = format!("\nNot seen:\n  {}\n", why.replace("; cgroups:", "\n  cgroups:"));
        assert!(text.ends_with(&not_seen), "{path}: {text}");
        assert!(text.starts_with("Nothing wrong was found in what could be seen.\n"), "{text}");
        assert!(!text.contains("This node has none."), "{path}: {text}");
        let said = |words: &str| text.contains(&format!("\n  {words}\n"));
        let unseen = (said("Could not look."), said("Could not look at all cgroups."));
        assert_eq!(unseen, (*no_pools, *no_pods), "{path}: {text}");
    }
}

#[test]
fn in_a_corner_of_the_hierarchy_nothing_is_said_of_the_node() {
    let (text, error, code) = said(&Machine::named("corner"), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("\n  Could not look at all cgroups.\n"), "{text}");
    let unseen = "hugetlb-exporter: could not look at everything: cgroups: ROOT/sys/fs/cgroup is a container's corner of the cgroup hierarchy: no pod outside it is seen; mount the host's and name it with --path.cgroupfs\n";
    assert_eq!(error, unseen);
}

#[test]
fn programs_are_told_what_failed_as_well() {
    let idle = Machine::named("no-controller-no-pages");
    let health = |json: &str, source: &str| {
        let value: Value = serde_json::from_str(json).expect("JSON");
        let sources = value["sources"].as_array().expect("sources").clone();
        let found = sources.into_iter().find(|health| health["source"] == source);
        found.unwrap_or_else(|| panic!("{source}"))
    };
    let (json, error, code) = said(&idle, &["--output=json"]);
    assert_eq!((error.as_str(), code), ("", 0));
    let cgroups = health(&json, "cgroups");
    assert_eq!((&cgroups["up"], &cgroups["missing"]), (&true.into(), &true.into()));

    let (json, error, code) = said(&idle, &["--output=json", "--path.sysfs=/nowhere"]);
    assert!(error.contains("pools: can't list /nowhere/"), "{error}");
    let pools = health(&json, "pools");
    assert_eq!((code, &pools["up"], &pools["missing"]), (1, &false.into(), &Value::Null));
    let why = pools["problem"].as_str().expect("words");
    assert!(why.starts_with("can't list /nowhere/kernel/mm/hugepages"), "{why}");

    let (exposition, error, code) = said(&idle, &["--output=prometheus", "--path.sysfs=/nowhere"]);
    assert!(code == 1 && error.contains("pools: can't list /nowhere/"), "{error}");
    assert!(exposition.contains("hugetlb_exporter_source_up{source=\"pools\"} 0"), "{exposition}");
}

/// One container's directory that only root may read, and a user who is not.
#[test]
fn who_may_not_look_is_not_told_that_there_is_nothing() {
    let machine = Machine::named("v2-crio-crun");
    let mut closed = vec![machine.root().join("sys/fs/cgroup")];
    while let Some(child) = children(closed.last().expect("one")).pop() {
        closed.push(child);
    }
    let closed = closed.pop().expect("the innermost");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("closed");
    fs::set_permissions(machine.root(), fs::Permissions::from_mode(0o755)).expect("opened");
    // Where nobody but root may go, nobody else can start it.
    let copy = machine.root().join("hugetlb-exporter");
    fs::copy(program(), &copy).expect("a copy");
    let mut command = Command::new(&copy);
    command.arg("report").args(machine.flags());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("a report");
    let (text, error) = (output.stdout, String::from_utf8(output.stderr).expect("text"));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("opened");
    let text = String::from_utf8(text).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}{error}");
    let why = format!("cgroups: can't list {}: Permission denied (os error 13)", closed.display());
    assert!(
        error.starts_with(&format!("hugetlb-exporter: could not look at everything: {why}")),
        "{error}"
    );
    assert!(text.contains(&format!("\nNot seen:\n  {why}")), "{text}");
}

fn children(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("one").path());
    entries.filter(|path| path.is_dir()).collect()
}

#[test]
fn who_stops_reading_has_read_enough() {
    for (name, code) in [("seed", 2), ("no-hugetlbfs", 0)] {
        let machine = Machine::named(name);
        let mut command = Command::new(program());
        command.arg("report").args(machine.flags());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("its end");
        assert_eq!((output.status.code(), output.stderr), (Some(code), Vec::new()), "{name}");
        let full = fs::File::options().write(true).open("/dev/full").expect("a full disk");
        let output = command.stdout(full).output().expect("it runs");
        let error = String::from_utf8(output.stderr).expect("text");
        let said =
            "hugetlb-exporter: can't write the answer: No space left on device (os error 28)\n";
        assert_eq!((output.status.code(), error.as_str()), (Some(1), said), "{name}");
    }
}
