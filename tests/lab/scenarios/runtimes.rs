//! Real containers of real runtimes, a service, and a real Prometheus that scrapes them.

use super::Named;
use crate::Lab;
use crate::bundle::Container;
use crate::cgroup::Cgroup;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::monitoring::Prometheus;
use crate::tenant::Tenant;

pub const BOTH: &[Named] =
    &[("runc_crun_and_a_service_reach_prometheus", runc_crun_and_a_service_reach_prometheus)];

const MI: f64 = 1_048_576.0;

fn runc_crun_and_a_service_reach_prometheus(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let mut containers = Vec::new();
    for (runtime, name, limit, mapped, touched) in
        [("runc", "r-0", 64, 100, 10), ("crun", "c-0", 32, 20, 20)]
    {
        let pod = kubepods.pod(name, limit);
        let id = id(&name.replace(['r', '-'], "e"));
        let mut container =
            Container::start(runtime, &id, &kubepods.container_path(&pod, &id), limit);
        kubepods.name(&pod, "main", &id, 0);
        container.tenant.map(mapped);
        container.tenant.touch(touched);
        containers.push((name, limit, mapped, touched, container, pod));
    }
    let service = Cgroup::new(lab, "lab-service");
    let mut tenant = Tenant::new(&service, "memfd");
    tenant.map(5);
    tenant.touch(2);

    let agent = kubepods.agent(&[]);
    let prometheus = Prometheus::scraping(agent.address());
    for (name, limit, mapped, touched, _, pod) in &containers {
        let figures = [("limit", *limit), ("reserved", *mapped), ("usage", *touched)];
        compare_with_prometheus(&prometheus, name, &pod.uid, figures);
    }
    let series = prometheus.query("hugetlb_cgroup_reserved_bytes");
    assert_eq!(
        (series.len(), &series[0].0["cgroup"], series[0].1),
        (1, &"/lab-service".into(), 10.0 * MI)
    );
    assert_eq!(prometheus.query("up")[0].1, 1.0);
    wait_for("a few scrapes", || {
        (prometheus.query("count_over_time(up[1m])")[0].1 >= 3.0).then_some(())
    });
    let complaints = prometheus.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(promtool_complaints(&agent.get("/metrics").text()), "");
}

/// Compares a container's figures, in pages, with what Prometheus has stored under the observed pod's names.
#[track_caller]
fn compare_with_prometheus(
    prometheus: &Prometheus,
    pod: &str,
    uid: &str,
    figures: [(&str, u64); 3],
) {
    for (family, pages) in figures {
        let series = prometheus.query(&format!("hugetlb_container_{family}_bytes{{pod='{pod}'}}"));
        assert_eq!(series.len(), 1, "{series:?}");
        let (labels, value) = &series[0];
        #[expect(clippy::cast_precision_loss, reason = "a few pages")]
        let expected = pages as f64 * 2.0 * MI;
        assert_eq!(*value, expected, "{family} of {pod}");
        for (label, value) in
            [("namespace", "lab"), ("container", "main"), ("uid", uid), ("pagesize", "2Mi")]
        {
            assert_eq!(labels[label], value, "honor_labels keeps the observed pod's {label}");
        }
    }
}

/// What `promtool check metrics` says of an exposition.
fn promtool_complaints(text: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    promtool.stdin.take().expect("its input").write_all(text.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("its end");
    let said = [output.stdout, output.stderr].concat();
    format!(
        "{}{}",
        String::from_utf8_lossy(&said),
        if output.status.success() { "" } else { "failed" }
    )
}
