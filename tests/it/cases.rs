//! Nodes as they are met in the field, and what is right to say of each: nothing where nothing is wrong, and else who,
//! by a name that its owner knows, and what to do.

use serde_json::Value;

use crate::command::run_at;
use crate::machine::Machine;

/// What is right for a machine of `tests/nodes`.
struct Case {
    machine: &'static str,
    /// The directory that `--path.cgroupfs` names, if it does.
    cgroupfs: Option<&'static str>,
    /// All that is found.
    findings: &'static [Expected],
    /// What the report says besides.
    report: &'static [&'static str],
}

/// A finding: its name, whom it is about, and what its sentence and its remedy say.
struct Expected(&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const HEALTHY: Case = Case { machine: "", cgroupfs: None, findings: &[], report: &[] };

const CASES: &[Case] = &[
    Case { machine: "leaked-pod-cgroups", report: &["Nothing wrong was found."], ..HEALTHY },
    Case {
        machine: "no-controller-no-pages",
        report: &["Nothing wrong was found.", "this node has no huge pages"],
        ..HEALTHY
    },
    Case {
        machine: "no-hugetlbfs",
        report: &["Nothing wrong was found.", "this node has no huge pages"],
        ..HEALTHY
    },
    Case {
        machine: "no-qos-cgroups",
        findings: &[Expected(
            "will-crash",
            "prod/db-0/postgres",
            &["has mapped 200Mi", "may touch 128Mi (72Mi too little)"],
            &["Set hugepages-2Mi of container postgres to at least 200Mi"],
        )],
        ..HEALTHY
    },
    Case {
        machine: "resv-underflow",
        report: &[
            "Nothing wrong was found.",
            " 2Mi        all    2048  1984        -1       1984 ",
        ],
        ..HEALTHY
    },
    Case {
        machine: "resv-too-low-will-crash",
        findings: &[Expected(
            "will-crash",
            "prod/db-0/postgres",
            &[
                "may touch 128Mi (72Mi too little)",
                "The pool's count of reserved pages, 8, is wrong",
            ],
            &["Set hugepages-2Mi of container postgres to at least 200Mi"],
        )],
        ..HEALTHY
    },
    Case {
        machine: "gvisor-sandbox-only",
        findings: &[Expected(
            "will-crash",
            "prod/play/",
            &["Pod prod/play has mapped 200Mi", "may touch 128Mi (72Mi too little)"],
            &["Set hugepages-2Mi of its containers to at least 200Mi in all"],
        )],
        ..HEALTHY
    },
    Case {
        machine: "kata-v1-sandbox-cgroup",
        findings: &[Expected(
            "will-crash",
            "prod/kata-busybox/",
            &[
                "Pod prod/kata-busybox has mapped 2Gi",
                "/kata_e39e",
                " and may touch 128Mi (1920Mi too little)",
            ],
            &["Set hugepages-2Mi of its containers to at least 2Gi in all"],
        )],
        ..HEALTHY
    },
    Case {
        machine: "kata-v2-literal-slice",
        findings: &[Expected(
            "outside-pod-cgroup",
            "prod/kata-db-0/",
            &["The sandbox of pod prod/kata-db-0 lies outside its pod's cgroup"],
            &["sandbox_cgroup_only = true"],
        )],
        ..HEALTHY
    },
    Case {
        machine: "static-pod-own-uid-systemd",
        findings: &[Expected(
            "will-crash",
            "kube-system/pg-node1/postgres",
            &["(72Mi too little)"],
            &[],
        )],
        ..HEALTHY
    },
    Case {
        machine: "mi-joined-controllers-by-flag",
        cgroupfs: Some("sys/fs/cgroup"),
        findings: &[Expected("will-crash", "prod/db-0/postgres", &["(72Mi too little)"], &[])],
        ..HEALTHY
    },
    Case {
        machine: "pod-level-resources",
        findings: &[Expected(
            "will-crash",
            "prod/two/",
            &["has mapped 300Mi", "may touch 256Mi (44Mi too little)"],
            &["Set hugepages-2Mi of the pod's own resources (spec.resources) to at least 300Mi"],
        )],
        ..HEALTHY
    },
];

impl Case {
    fn report(&self, machine: &Machine, more: &[&str]) -> (String, String, i32) {
        let cgroupfs = self.cgroupfs.map(|directory| {
            format!("--path.cgroupfs={}", machine.root().join(directory).display())
        });
        let flags: Vec<&str> =
            ["report"].into_iter().chain(cgroupfs.as_deref()).chain(more.iter().copied()).collect();
        let output = run_at(machine, &flags);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr), output.status.code().expect("an exit"))
    }

    /// What is not as it should be.
    fn faults(&self) -> Vec<String> {
        let machine = Machine::named(self.machine);
        let mut faults = Vec::new();
        let (json, _, code) = self.report(&machine, &["--output=json"]);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        let found: Vec<(String, String, &Value)> =
            json["findings"].as_array().expect("findings").iter().map(subject).collect();
        let mut left: Vec<_> = found.iter().collect();
        for Expected(name, whom, says, to_do) in self.findings {
            let is_it = |(of, who, _): &&&(String, String, &Value)| of == name && who == whom;
            let Some(place) = left.iter().position(|one| is_it(&one)) else {
                faults.push(format!("{name} of {whom} is not found"));
                continue;
            };
            let (_, _, finding) = left.remove(place);
            for (field, words) in [("summary", says), ("remedy", to_do)] {
                let text = finding[field].as_str().expect("text");
                let missing = words.iter().filter(|words| !text.contains(**words));
                faults.extend(missing.map(|words| format!("{words:?} is not in {text:?}")));
            }
        }
        faults.extend(left.iter().map(|(name, whom, finding)| {
            format!("{name} of {whom} is found: {}", finding["summary"])
        }));
        let kills = self.findings.iter().any(|Expected(name, ..)| *name == "will-crash");
        if code != if kills { 2 } else { 0 } {
            faults.push(format!("the exit code is {code}"));
        }
        for source in json["sources"].as_array().expect("sources") {
            if source["up"] != true {
                faults.push(format!("a source is down: {source}"));
            }
        }
        let (table, error, _) = self.report(&machine, &[]);
        let missing = self.report.iter().filter(|words| !table.contains(**words));
        faults.extend(
            missing.map(|words| format!("{words:?} is not in the report:\n{table}{error}")),
        );
        faults.iter().map(|fault| format!("{}: {fault}", self.machine)).collect()
    }
}

/// A finding's name, and whom it is about: `namespace/pod/container`, a cgroup's path, or the node.
fn subject(finding: &Value) -> (String, String, &Value) {
    let text = |field: &str| finding[field].as_str().unwrap_or_default();
    let whom = match (text("uid"), text("cgroup")) {
        ("", "") => "the node".to_owned(),
        ("", cgroup) => cgroup.to_owned(),
        _ => format!("{}/{}/{}", text("namespace"), text("pod"), text("container")),
    };
    (text("finding").to_owned(), whom, finding)
}

#[test]
fn each_case_is_told_as_it_is() {
    let faults: Vec<String> = CASES.iter().flat_map(Case::faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
