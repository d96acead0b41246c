//! SIGBUS, as the witness saw it.

use super::samples::as_f64;
use super::{Collect, Family, Kind};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_container_sigbus_total",
        kind: Kind::Counter,
        help: "SIGBUS that a process's own access to memory raised in the container, since this exporter started (only with --collector.witness). cause: limit (its cgroup was refused a huge page), pool (nothing was refused, the container held huge pages and the pool was empty), memory (an uncorrectable memory error), other (a file that was cut, for one), dropped (beyond 20 a minute the kernel only counts). container is empty where it was gone before it was seen.",
        labels: &["namespace", "pod", "container", "uid", "cause"],
        collect: Collect::Own(|view, samples| {
            for signalled in &view.assessment.signalled {
                let who = &signalled.who;
                for (cause, count) in &signalled.counts {
                    let names = [&who.namespace, &who.pod, &who.container, &who.uid];
                    let [namespace, pod, container, uid] = names.map(|name| &**name);
                    samples.push([namespace, pod, container, uid, cause.name()], as_f64(*count));
                }
            }
        }),
    },
    Family {
        name: "hugetlb_exporter_witness_lost_signals_total",
        kind: Kind::Counter,
        help: "SIGBUS of which the witness could not say whose it was: the kernel's ring or its table of cgroups was full, or the exporter read too late (only with --collector.witness).",
        labels: &[],
        collect: Collect::Own(|view, samples| {
            if let Some(lost) = view.assessment.lost_signals {
                samples.push([], as_f64(lost));
            }
        }),
    },
];
