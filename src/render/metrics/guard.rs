//! The guard: what it says it does, and which limits of those who are shown are its own.

use super::rows::Tenants;
use super::samples::{Samples, as_f64};
use super::{Collect, Family, Kind};
use crate::assessment::TenantSize;
use crate::render::guard::{action, mode, on, reason, refuse, writes};
use crate::snapshot::Source;
use crate::snapshot::guard::Outcome;
use crate::view::View;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_guard_info",
        kind: Kind::Gauge,
        help: "The guard's policy, while its report is fresh (only with --collector.guard): mode is enforce, dry-run (it writes nothing) or paused (somebody has paused it on the node); refuse is off, ungranted or all; rescue is on or off.",
        labels: &["mode", "refuse", "rescue"],
        collect: Collect::Own(info),
    },
    Family {
        name: "hugetlb_guard_writes_total",
        kind: Kind::Counter,
        help: "Limits that the guard has written or might have, since it started: action is refuse, rescue, bound (the reservation limit that keeps a rescue from growing) or restore; result is written, would-write (dry run), busy (EBUSY: more is in use), gone, contested (somebody else has set it since), unnamed (namespaces are excluded and the pod's name is not known), unrecorded (its state could not be kept on the node), skipped (hugetlb_guard_skips_total says why) or failed.",
        labels: &["action", "result"],
        collect: Collect::Own(|view, samples| {
            for (action, result, count) in
                view.snapshot.guard.iter().flat_map(|it| writes(&it.report))
            {
                samples.push([action, result], as_f64(count));
            }
        }),
    },
    Family {
        name: "hugetlb_guard_skips_total",
        kind: Kind::Counter,
        help: "What the guard decided not to write, and why: excluded (the namespace, or the exporter's own pod), paused, memory-max (a raised limit would turn SIGBUS into a hang), pool-short, uncertain, above-pod, too-soon, unreadable, in-use (a process lives by the raised limit).",
        labels: &["action", "reason"],
        collect: Collect::Own(skips),
    },
    Family {
        name: "hugetlb_pod_guarded",
        kind: Kind::Gauge,
        help: "Whether limits of the pod's own cgroup are the guard's: action refuse (its reservation limit) or rescue (its fault limit, raised); 1 for each that is true. By the guard's report, where the kernel has what it says.",
        labels: &["namespace", "pod", "uid", "pagesize", "action"],
        collect: Collect::Parts(Tenants::Pods, guarded),
    },
    Family {
        name: "hugetlb_container_guarded",
        kind: Kind::Gauge,
        help: "The same of the container's own cgroup.",
        labels: &["namespace", "pod", "container", "uid", "pagesize", "action"],
        collect: Collect::Parts(Tenants::Containers, guarded),
    },
];

fn info(view: &View, samples: &mut Samples) {
    let mut sources = view.snapshot.sources.iter();
    let is_up = sources.any(|it| it.source == Source::Guard && it.is_up());
    if let Some(guard) = view.snapshot.guard.as_ref().filter(|_| is_up) {
        let policy = &guard.report.policy;
        samples.push([mode(&guard.report), refuse(policy.refuse), on(policy.rescue)], 1.0);
    }
}

fn skips(view: &View, samples: &mut Samples) {
    let writes = view.snapshot.guard.iter().flat_map(|guard| &guard.report.writes);
    for it in writes.filter(|it| it.result == Outcome::Skipped) {
        if let Some(why) = it.reason {
            samples.push([action(it.action), reason(why)], as_f64(it.count));
        }
    }
}

fn guarded(size: &TenantSize, push: &mut dyn FnMut(String, f64)) {
    size.guarding.actions().for_each(|deed| push(action(deed).to_owned(), 1.0));
}
