//! What a cluster would run: the image with the shipped pod's security, beside pods of the lab's.

use std::fs;

use super::Named;
use crate::Lab;
use crate::harness::{agent, wait_for};
use crate::image::{Image, Place};
use crate::kubepods::{Driver, Kubepods, id};
use crate::postgres;
use crate::tenant::Tenant;

pub const BOTH: &[Named] = &[("image::runs_as_the_daemonset_would_run_it", runs)];
pub const V2: &[Named] = &[("image::demonstrates_without_a_node", demonstrates)];

const PAGE: f64 = 2_097_152.0;

fn runs(lab: &Lab) {
    let image = Image::build();
    let binary = fs::metadata(agent::program()).expect("the binary").len();
    assert_eq!(image.bytes(), binary, "there is something else in it");
    for runtime in ["runc", "crun"] {
        let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
        let database = kubepods.pod("db-0", 64);
        let container = kubepods.container(&database, "postgres", &id("db"), 0);
        let mut tenant = Tenant::new(&container, "shared");
        tenant.map(100);
        tenant.touch(10);
        // It asks for no huge pages, so the kubelet limits it to none.
        let own = kubepods.pod("hugetlb-exporter-x", 0);
        let id = id("e3");
        let place = Place { cgroup: &kubepods.container_path(&own, &id), kubepods: &kubepods };
        let exporter = image.run(lab, runtime, &id, &place);
        let scrape = wait_for("a verdict and a finding", || {
            let scrape = exporter.agent.scrape();
            let verdicts = scrape.with("hugetlb_probe_enforced", &[("check", "fault")]).count();
            let found = scrape.with("hugetlb_finding", &[("finding", "will-crash")]).count();
            (verdicts > 0 && found > 0).then_some(scrape)
        });
        let who =
            [("namespace", "lab"), ("pod", "db-0"), ("container", "postgres"), ("pagesize", "2Mi")];
        for (figure, pages) in [("reserved", 100.0), ("usage", 10.0)] {
            let family = format!("hugetlb_container_{figure}_bytes");
            assert_eq!(scrape.value(&family, &who), Some(pages * PAGE), "{runtime}: {family}");
        }
        let short = scrape.value(
            "hugetlb_finding_shortfall_bytes",
            &[("finding", "will-crash"), ("pod", "db-0")],
        );
        assert_eq!(short, Some(36.0 * PAGE), "{runtime}");
        let probe = [("target", "own"), ("check", "fault"), ("pagesize", "2Mi")];
        assert_eq!(scrape.value("hugetlb_probe_enforced", &probe), Some(1.0), "{runtime}");
        for sample in scrape.with("hugetlb_exporter_source_up", &[]) {
            assert_eq!(
                sample.value,
                1.0,
                "{runtime}: {:?}: {:?}",
                sample.labels,
                exporter.agent.log()
            );
        }
    }
}

/// `docker run IMAGE demo`: a read-only root without /tmp, an ordinary user, nothing of the node's.
fn demonstrates(lab: &Lab) {
    let image = Image::build();
    let kubepods = Kubepods::new(lab, Driver::Cgroupfs);
    let place = Place { cgroup: "lab-demonstration", kubepods: &kubepods };
    for runtime in ["runc", "crun"] {
        let demo = ["demo", "--once", "--seconds=5", "--web.listen-address=127.0.0.1:0"];
        let output = image.command(lab, (runtime, &id("de")), &place, &demo);
        let said = postgres::said(&output);
        assert!(output.status.success() && said.contains("and is healthy"), "{runtime}: {said}");
        // Without a port for everybody, nobody outside the container would see it.
        let listen = "HUGETLB_EXPORTER_WEB_LISTEN_ADDRESS=:10270";
        assert!(image.environment().iter().any(|variable| variable == listen));
    }
}
