//! Made-up nodes, as the page must show them: what its tests and its pictures are made of.

mod stories;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::assessment::{Findings, Subject, TenantSize, Thresholds, assess};
use crate::history::{History, Retention};
use crate::incidents::{Incidents, Recorder};
use crate::snapshot::example::{hugetlb, node, page_size};
use crate::snapshot::{
    CgroupVersion, Check, Doubt, EnforcedBy, Failures, Hierarchy, Hugetlb, LastProbe, Limit,
    NumaPool, NumaUsage, Pool, Probes, Problems, Process, Reading, Snapshot, Source, SourceHealth,
    Taken, Target, Verdict,
};
use crate::units::{Bytes, NumaNode, PageSize, Pages, SignedPages};
use crate::view::{Poll, View};
pub(super) use stories::{after_a_crash, filling_up, fixed_since, long_run_up, memory_short};

const PAGE: u64 = 2 << 20;

/// A pod of one container, in pages of 2 MiB.
#[derive(Clone)]
pub(super) struct Pod {
    names: [String; 3],
    limit: u64,
    /// What its cgroup may touch beyond what its container may.
    spare: u64,
    /// The NUMA node that its container is bound to.
    bound: Option<u32>,
    reserved: u64,
    used: u64,
    refused: u64,
}

fn pod(names: [&str; 3], limit: u64, reserved: u64, used: u64) -> Pod {
    Pod {
        names: names.map(str::to_owned),
        limit,
        spare: 0,
        bound: None,
        reserved,
        used,
        refused: 0,
    }
}

/// A database that maps a buffer pool of 1 GiB and then some, a router that takes all it was granted, and others.
pub(super) fn usual_pods() -> Vec<Pod> {
    vec![
        pod(["prod", "db-0", "postgres"], 560, 541, 410),
        pod(["prod", "db-1", "postgres"], 560, 541, 541),
        pod(["network", "router-x7k2p", "forwarder"], 256, 256, 256),
        pod(["analytics", "columns-0", "server"], 384, 300, 212),
        pod(["cache", "sessions-2", "store"], 128, 96, 96),
    ]
}

/// The same, and the first has mapped more than it may touch.
pub(super) fn crashing_pods() -> Vec<Pod> {
    let mut pods = usual_pods();
    (pods[0].limit, pods[0].reserved) = (512, 564);
    pods
}

/// Four of them have, and of the last one only the container, not its pod, is short.
pub(super) fn crashing_together() -> Vec<Pod> {
    let mut pods = crashing_pods();
    for (pod, more) in pods.iter_mut().skip(1).zip([8, 16, 4]) {
        pod.reserved = pod.limit + more;
    }
    pods[3].spare = 64;
    pods
}

/// One is bound to a NUMA node that has too little for what it has mapped.
pub(super) fn numa_short_pods() -> Vec<Pod> {
    let mut pods = usual_pods();
    (pods[0].limit, pods[0].reserved, pods[0].bound) = (900, 900, Some(0));
    pods
}

/// As many as a large node has, three of which are not well. With limits of 9 pages the pool has enough for them all.
pub(super) fn many_pods(limit: u64) -> Vec<Pod> {
    let mut pods: Vec<Pod> = (0_u64..250)
        .map(|number| {
            let name = format!("worker-{number}");
            pod(["batch", &name, "main"], limit, limit.min(1 + number % 9), number % 9)
        })
        .collect();
    for number in [17, 99, 180] {
        (pods[number].reserved, pods[number].used) = (24, 12);
    }
    pods
}

pub(super) fn nothing() -> View {
    let mut snapshot = node(Duration::from_secs(60));
    snapshot.taken.wall = wall(60);
    snapshot.sources = well();
    seen(&[snapshot])
}

pub(super) fn with_pods(pods: &[Pod]) -> View {
    seen(&[snapshot(60, pods), snapshot(62, pods)])
}

/// All is well, and one uses pages of two sizes.
pub(super) fn healthy() -> View {
    let mut view = with_pods(&usual_pods());
    let both = |sizes: &mut Vec<TenantSize>| {
        let giant = Reading::Present(Bytes(1 << 30));
        let limit = Reading::Present(Limit::At(Bytes(2 << 30)));
        let page_size = giants().page_size;
        sizes.push(TenantSize {
            page_size,
            limit,
            usage: giant,
            reserved: giant,
            ..sizes[0].clone()
        });
    };
    both(&mut Arc::make_mut(&mut view.assessment).pods[3].sizes);
    both(&mut Arc::make_mut(&mut view.assessment).containers[3].sizes);
    view
}

/// What a stranger may call things, and sources that fail.
pub(super) fn hostile() -> View {
    let script = "<script>alert(1)</script>";
    let long = "x".repeat(253);
    let mut view = with_pods(&crashing_pods());
    let names =
        [script, "\"><img src=x onerror=alert(1)>", &long, "\u{202e}gnp.\u{202d}", "`&amp;`"];
    for (pod, name) in Arc::make_mut(&mut view.assessment).pods.iter_mut().zip(names) {
        (pod.identity.namespace, pod.identity.pod) = (name.into(), name.into());
    }
    for (container, name) in Arc::make_mut(&mut view.assessment).containers.iter_mut().zip(names) {
        container.identity.container = name.into();
    }
    view.node = Some(format!("{script}{long}").into());
    for finding in &mut Arc::make_mut(&mut view.assessment).findings {
        if let Subject::Tenant(who) = &mut finding.subject {
            (who.namespace, who.pod) = (script.into(), long.as_str().into());
        }
        finding.sentence += &format!(" {script} {long}");
        finding.remedy += " `</code><b>";
    }
    // One whose pod is not shown, and one that is gone.
    Arc::make_mut(&mut view.assessment).pods.remove(4);
    let gone = &mut Arc::make_mut(&mut view.assessment).pods[3].sizes[0];
    (gone.usage, gone.reserved, gone.limit) = (Reading::Absent, Reading::Absent, Reading::Absent);
    for service in &mut Arc::make_mut(&mut view.assessment).services {
        service.cgroup = format!("/{script}/{long}/{long}");
    }
    let mut problems = Problems::default();
    problems.add(|| format!("{script} {long}: expected bytes"));
    view.snapshot.sources.push(SourceHealth::new(Source::Kubelet, problems));
    view
}

fn seen(snapshots: &[Snapshot]) -> View {
    let retention = Retention { hold_back: Duration::ZERO, ..Retention::default() };
    let (mut history, mut findings) = (History::new(retention), Findings::default());
    let (mut recorder, mut incidents) = (Recorder::default(), Incidents::default());
    let mut last = None;
    for snapshot in snapshots {
        history.update(snapshot);
        let mut assessment = assess(snapshot, &history, &Thresholds::default());
        let changes = findings.confirm(&mut assessment.findings);
        incidents = recorder.record(snapshot.taken, &assessment, &changes);
        last = Some((snapshot.clone(), assessment));
    }
    let (snapshot, assessment) = last.expect("a snapshot");
    let process = Reading::Present(Process {
        cpu_seconds: 12.4,
        resident: Bytes(9_300_000),
        virtual_memory: Bytes(80_000_000),
        open_descriptors: 14,
        max_descriptors: Some(1024),
        threads: 3,
        started: Duration::from_secs(1),
    });
    View {
        node: Some("node-a3".into()),
        snapshot,
        assessment: assessment.into(),
        incidents,
        poll: Poll {
            number: 31,
            woken: 0,
            log_lines_lost: 0,
            events: None,
            duration: Duration::from_micros(2_340),
            next: Duration::from_secs(2),
            process,
        },
    }
}

fn snapshot(since_start: u64, pods: &[Pod]) -> Snapshot {
    let mut snapshot = node(Duration::from_secs(since_start));
    snapshot.taken.wall = wall(since_start);
    snapshot.hierarchy =
        Some(Hierarchy { version: CgroupVersion::V2, root: "/sys/fs/cgroup".into() });
    let sum = |figure: fn(&Pod) -> u64| pods.iter().map(figure).sum::<u64>();
    let (reserved, used) = (sum(|pod| pod.reserved), sum(|pod| pod.used));
    let vm = 128;
    let first = pods.iter().map(|pod| on_first(pod.used)).sum::<u64>() + on_first(vm);
    snapshot.pools = vec![pool(2600, [first, used + vm - first], reserved - used), giants()];
    let kubepods = figures(None, reserved, used);
    snapshot = snapshot
        .with("/kubepods", kubepods)
        .with("/machine.slice/vm-build.scope", figures(None, vm, vm));
    for (number, pod) in (1_u64..).zip(pods) {
        let uid = format!("{number:08x}-4d5e-4f60-8a7b-9c0d1e2f3a4b");
        let own = |limit| Hugetlb {
            failures: Failures::V2 {
                hierarchical: Reading::Present(pod.refused),
                local: Reading::Present(pod.refused),
            },
            ..figures(Some(limit), pod.reserved, pod.used)
        };
        let [namespace, name, container] = &pod.names;
        snapshot = snapshot
            .with(&format!("/kubepods/pod{uid}"), own(pod.limit + pod.spare))
            .with_container(&uid, number, own(pod.limit))
            .named(&uid, number, [namespace, name, container], 0);
        if let (Some(node), Some(cgroup)) = (pod.bound, snapshot.cgroups_mut().last_mut()) {
            cgroup.memory_nodes = Reading::Present(vec![NumaNode(node)]);
        }
    }
    snapshot.probes = Some(probes(since_start).into());
    snapshot.sources = well();
    snapshot
}

/// Every source that is always asked, and gave all it has.
fn well() -> Vec<SourceHealth> {
    let sources = [Source::Pools, Source::Numa, Source::Meminfo, Source::Vmstat, Source::Cgroups];
    sources.map(|source| SourceHealth::new(source, Problems::default())).into()
}

/// An afternoon, by the clock on the wall.
fn wall(since_start: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + since_start)
}

fn figures(limit: Option<u64>, reserved: u64, used: u64) -> Hugetlb {
    let limit = limit.map_or(Limit::Unlimited, |pages| Limit::At(Bytes(pages * PAGE)));
    let first = on_first(used);
    let part = |node, pages| NumaUsage { node: NumaNode(node), usage: Bytes(pages * PAGE) };
    Hugetlb {
        limit: Reading::Present(limit),
        reserved: Reading::Present(Bytes(reserved * PAGE)),
        numa_usage: Reading::Present(vec![part(0, first), part(1, used - first)]),
        ..hugetlb(used * PAGE, 0)
    }
}

/// Two thirds lie on the first NUMA node.
fn on_first(used: u64) -> u64 {
    used * 2 / 3
}

/// A pool of two NUMA nodes that use so much each.
fn pool(size: u64, used: [u64; 2], reserved: u64) -> Pool {
    let pages = |pages| Reading::Present(Pages(pages));
    let half = |number, used: u64| NumaPool {
        node: NumaNode(number),
        size: pages(size / 2),
        free: pages((size / 2).saturating_sub(used)),
        surplus: pages(0),
    };
    Pool {
        page_size: page_size(),
        size: pages(size),
        free: pages(size - used[0] - used[1]),
        reserved: Reading::Present(SignedPages(reserved.cast_signed())),
        surplus: pages(0),
        overcommit_limit: pages(0),
        nodes: vec![half(0, used[0]), half(1, used[1])],
    }
}

/// A pool that nobody uses.
fn giants() -> Pool {
    let page_size = PageSize::from_bytes(1 << 30).expect("a power of two");
    Pool { page_size, nodes: Vec::new(), ..pool(4, [0, 0], 0) }
}

fn probes(since_start: u64) -> Probes {
    let mut probes = Probes::none_yet(Target::Own, Duration::from_secs(300));
    for _ in 0..17 {
        probes.add(page_size(), Check::Fault, Verdict::Enforced(EnforcedBy::Limit));
        probes.add(page_size(), Check::Reserve, Verdict::Inconclusive(Doubt::PoolTight));
    }
    let since = Duration::from_secs(since_start.saturating_sub(40));
    let ended = Taken { wall: wall(since.as_secs()), since_start: since };
    probes.last.insert(page_size(), LastProbe { ended, took: Duration::from_millis(23) });
    probes
}
