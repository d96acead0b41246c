//! Alerts by a real Prometheus that has no `honor_labels`: about the pod observed, and over when it is gone.

use std::fmt::Write;

use super::Named;
use crate::Lab;
use crate::harness::wait_for;
use crate::kubepods::{Driver, Kubepods, id};
use crate::monitoring::Prometheus;
use crate::tenant::Tenant;

pub const V2: &[Named] =
    &[("without_honor_labels_an_alert_is_about_the_same_pod", without_honor_labels)];

/// What service discovery puts on the exporter's own pod: the operator all, annotations the first two, Google's managed
/// collection the first.
const TARGET: [(&str, &str); 3] =
    [("namespace", "monitoring"), ("pod", "hugetlb-exporter-x7k2p"), ("container", "exporter")];

const FIRING: &str = "ALERTS{alertstate=\"firing\"}";

fn without_honor_labels(lab: &Lab) {
    let kubepods = Kubepods::new(lab, Driver::Systemd);
    let pod = kubepods.pod("db-0", 50);
    let container = kubepods.container(&pod, "c", &id("aa"), 0);
    let agent = kubepods.agent(&[]);
    let all = [1, 2, 3].map(|count| {
        let labels = TARGET.iter().take(count).fold(String::new(), |mut text, (name, value)| {
            write!(text, ", {name}: {value}").expect("text");
            text
        });
        Prometheus::overriding(agent.address(), &labels)
    });
    let mut tenant = Tenant::new(&container, "shared");
    tenant.map(60);
    tenant.touch(3);
    for prometheus in &all {
        for (alert, value) in prometheus.query(FIRING) {
            let of = |label: &str| alert[label].as_str().unwrap_or_default().to_owned();
            assert_eq!((of("alertname").as_str(), value), ("HugetlbWillCrash", 1.0));
            assert_eq!((of("namespace"), of("pod")), ("lab".to_owned(), "db-0".to_owned()));
            assert!(["", "c"].contains(&of("container").as_str()), "{alert}");
        }
        let sums = prometheus.query("namespace_pagesize:hugetlb_pod_usage_bytes:sum > 0");
        assert!(sums.iter().all(|(sum, _)| sum["namespace"] == "lab"), "{sums:?}");
    }
    drop(tenant);
    container.remove();
    pod.cgroup.remove();
    for prometheus in &all {
        wait_for("the alert to end", || {
            prometheus.answer(FIRING).filter(|alerts| alerts.is_empty())
        });
    }
}
