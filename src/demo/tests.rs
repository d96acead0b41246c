//! A demonstration that is not what it says must fail.

use super::pace::Pace;
use super::replay::Node;
use super::stage::{Figures, Stage};
use super::*;
use crate::assessment::Thresholds;

type Lie = fn(Figures) -> Figures;

/// A stage that says what does not happen.
struct Lying {
    node: Node,
    lie: Lie,
}

impl Stage for Lying {
    fn database(&self) -> &'static str {
        self.node.database()
    }

    fn namespace(&self) -> &'static str {
        self.node.namespace()
    }

    fn pod(&self) -> &'static str {
        self.node.pod()
    }

    fn figures(&self) -> anyhow::Result<Figures> {
        self.node.figures().map(self.lie)
    }

    fn start(&mut self, pace: &Pace) -> anyhow::Result<()> {
        self.node.start(pace)
    }

    fn work(&mut self, mebibytes: u64) -> anyhow::Result<bool> {
        self.node.work(mebibytes)
    }

    fn recover(&mut self, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.node.recover(pace)
    }

    fn set_limit(&mut self, pages: u64) -> anyhow::Result<()> {
        self.node.set_limit(pages)
    }

    fn make_second_pod(&mut self) -> anyhow::Result<()> {
        self.node.make_second_pod()
    }

    fn start_refused(&mut self, pace: &Pace) -> anyhow::Result<Option<String>> {
        self.node.start_refused(pace)
    }
}

/// Why it fails, told with these figures.
fn told(lie: Lie) -> anyhow::Result<ExitCode> {
    let node = Node::make().expect("the files");
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        telemetry_path: "/metrics".parse().expect("a path"),
        node_name: None,
        web_config: None,
        roots: node.roots(),
        lister: crate::sources::Lister::Child,
        poll_interval: Interval::nearest(Duration::ZERO),
        adaptive: true,
        thresholds: Thresholds::default(),
        kubelet: None,
        mappings: None,
        guard: None,
        events: None,
        witness: None,
        probe: None,
    };
    let demo = Demo { real: false, length: Duration::from_millis(60), once: true };
    let show = Show::prepare(demo, config).expect("a runtime");
    Show { latest: Duration::from_secs(3), ..show }.run("A test", Lying { node, lie })
}

#[test]
fn the_story_is_the_agents() {
    assert!(told(|figures| figures).is_ok());
}

#[test]
fn what_is_not_served_is_named() {
    let lies: [(&str, Lie); 6] = [
        ("hugetlb_container_limit_bytes", |now| Figures { limit: now.limit + 1, ..now }),
        ("hugetlb_container_reserved_bytes", |now| Figures { reserved: now.reserved + 1, ..now }),
        ("hugetlb_container_usage_bytes", |now| Figures { used: now.used + 1, ..now }),
        ("hugetlb_container_failures_total", |now| Figures { refusals: now.refusals + 1, ..now }),
        ("hugetlb_pool_free_bytes", |now| Figures { pool_free: now.pool_free - 1, ..now }),
        ("hugetlb_pool_reserved_bytes", |now| Figures {
            pool_reserved: now.pool_reserved + 1,
            ..now
        }),
    ];
    for (series, lie) in lies {
        let error = told(lie).expect_err(series);
        assert!(format!("{error:#}").contains(&format!(": {series}{{")), "{series}: {error:#}");
    }
}
