//! Memory, where huge pages count as memory.

use super::samples::{Samples, bytes};
use super::{Collect, Family, Kind};
use crate::assessment::MemoryOutlook;
use crate::snapshot::MemoryAccounting;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_pod_memory_shortfall_bytes",
        kind: Kind::Gauge,
        help: "What the pod's memory.max is too small by for the huge pages it has mapped; above zero a process hangs when it touches the rest. Only while huge pages count as memory; absent without a limit of memory, and where it can't be told.",
        labels: &["namespace", "pod", "uid"],
        collect: Collect::Own(|view, samples| {
            for pod in &view.assessment.pods {
                let who = &pod.identity;
                shortfall(samples, [&who.namespace, &who.pod, &who.uid], pod.memory.as_ref());
            }
        }),
    },
    Family {
        name: "hugetlb_container_memory_shortfall_bytes",
        kind: Kind::Gauge,
        help: "The same of the container's own memory.max.",
        labels: &["namespace", "pod", "container", "uid"],
        collect: Collect::Own(|view, samples| {
            for container in &view.assessment.containers {
                let who = &container.identity;
                let names = [&*who.namespace, &*who.pod, &*who.container, &*who.uid];
                shortfall(samples, names, container.memory.as_ref());
            }
        }),
    },
    Family {
        name: "hugetlb_exporter_memory_accounting",
        kind: Kind::Gauge,
        help: "Whether huge pages count as memory on this node (cgroup2 is mounted with memory_hugetlb_accounting): limits of memory must then contain them. Absent where that can't be told.",
        labels: &[],
        collect: Collect::Own(|view, samples| {
            let value = match view.snapshot.accounting {
                MemoryAccounting::On(_) => Some(1.0),
                MemoryAccounting::Off => Some(0.0),
                MemoryAccounting::Unknown => None,
            };
            samples.push_some([], value);
        }),
    },
];

fn shortfall<const N: usize>(
    samples: &mut Samples,
    who: [&str; N],
    memory: Option<&MemoryOutlook>,
) {
    samples.push_some(who, memory.and_then(|memory| bytes(memory.shortfall)));
}
