//! The exporter itself.

use std::time::SystemTime;

use super::samples::{Samples, as_f64};
use super::{Collect, Family, Kind};
use crate::events::Outcome;
use crate::snapshot::{Process, Reading};
use crate::units::Bytes;
use crate::view::View;

const fn plain(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    collect: fn(&View, &mut Samples),
) -> Family {
    Family { name, kind, help, labels: &[], collect: Collect::Own(collect) }
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "hugetlb_exporter_build_info",
        kind: Kind::Gauge,
        help: "What this exporter was built from.",
        labels: &["version", "revision", "rustversion"],
        collect: Collect::Own(|_, samples| {
            let (version, revision) =
                (env!("CARGO_PKG_VERSION"), env!("HUGETLB_EXPORTER_REVISION"));
            samples.push([version, revision, env!("HUGETLB_EXPORTER_RUSTC")], 1.0);
        }),
    },
    Family {
        name: "hugetlb_exporter_source_up",
        kind: Kind::Gauge,
        help: "Whether all of a source was read that there is: 0 if one of its files can't be read or understood, or is missing that every node has (/proc/meminfo); the log says which and why. A node without huge pages or without a hugetlb controller has nothing to be read there, and it is 1.",
        labels: &["source"],
        collect: Collect::Own(|view, samples| {
            for source in &view.snapshot.sources {
                samples.push([&source.source.to_string()], if source.is_up() { 1.0 } else { 0.0 });
            }
        }),
    },
    Family {
        name: "hugetlb_exporter_cgroup_hierarchy_info",
        kind: Kind::Gauge,
        help: "Where the hugetlb controller was found, and in which version of cgroups.",
        labels: &["version", "path"],
        collect: Collect::Own(|view, samples| {
            if let Some(hierarchy) = &view.snapshot.hierarchy {
                samples.push(
                    [&hierarchy.version.to_string(), &hierarchy.root.display().to_string()],
                    1.0,
                );
            }
        }),
    },
    plain(
        "hugetlb_exporter_cgroups",
        Kind::Gauge,
        "Cgroups with hugetlb files, of pods and others, shown as series or not.",
        |view, samples| {
            samples.push([], as_f64(view.snapshot.cgroups.len().try_into().unwrap_or(u64::MAX)));
        },
    ),
    plain(
        "hugetlb_exporter_snapshot_timestamp_seconds",
        Kind::Gauge,
        "When the figures of this scrape were read.",
        |view, samples| {
            let time =
                view.snapshot.taken.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            samples.push([], time.as_secs_f64());
        },
    ),
    plain(
        "hugetlb_exporter_polls_total",
        Kind::Counter,
        "Snapshots taken since the start.",
        |view, samples| {
            samples.push([], as_f64(view.poll.number));
        },
    ),
    plain(
        "hugetlb_exporter_woken_polls_total",
        Kind::Counter,
        "Snapshots taken at once because a page was refused somewhere (cgroup v2), among all.",
        |view, samples| {
            samples.push([], as_f64(view.poll.woken));
        },
    ),
    plain(
        "hugetlb_exporter_poll_interval_seconds",
        Kind::Gauge,
        "The time to the next snapshot: longer while nothing uses huge pages, shorter while mapped pages are touched fast.",
        |view, samples| samples.push([], view.poll.next.as_secs_f64()),
    ),
    plain(
        "hugetlb_exporter_mappings_looks_total",
        Kind::Counter,
        "Looks at what processes have mapped that were brought to an end (only with --collector.mappings).",
        |view, samples| {
            if let Some(mappings) = &view.snapshot.mappings {
                samples.push([], as_f64(mappings.looks));
            }
        },
    ),
    plain(
        "hugetlb_exporter_poll_duration_seconds",
        Kind::Gauge,
        "How long reading and assessing the last snapshot took.",
        |view, samples| samples.push([], view.poll.duration.as_secs_f64()),
    ),
    plain(
        "hugetlb_exporter_log_lines_lost_total",
        Kind::Counter,
        "Lines of the log that could not be written: stderr is closed, its disk is full, or nobody reads its pipe.",
        |view, samples| samples.push([], as_f64(view.poll.log_lines_lost)),
    ),
    Family {
        name: "hugetlb_exporter_events_total",
        kind: Kind::Counter,
        help: "Events of findings (only with --kubernetes.events): created; repeated, where one was there; gone, where the pod's namespace is; invalid, where the API server does not take one; dropped, the oldest where more than 100 wait. And requests that did not get through and are made again: refused (401, 403), throttled (429), failed (no connection, no answer, 5xx).",
        labels: &["result"],
        collect: Collect::Own(|view, samples| {
            if let Some(counts) = &view.poll.events {
                for outcome in Outcome::ALL {
                    samples.push([outcome.word()], as_f64(counts.of(outcome)));
                }
            }
        }),
    },
    plain(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time the exporter has used, in seconds.",
        |view, samples| own(view, samples, |process| Some(process.cpu_seconds)),
    ),
    plain(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "The exporter's resident memory.",
        |view, samples| {
            own(view, samples, |process| Some(process.resident.as_f64()));
        },
    ),
    plain(
        "process_virtual_memory_bytes",
        Kind::Gauge,
        "The exporter's address space.",
        |view, samples| {
            own(view, samples, |process| Some(Bytes::as_f64(process.virtual_memory)));
        },
    ),
    plain(
        "process_open_fds",
        Kind::Gauge,
        "Descriptors the exporter has open.",
        |view, samples| {
            own(view, samples, |process| Some(as_f64(process.open_descriptors)));
        },
    ),
    plain(
        "process_max_fds",
        Kind::Gauge,
        "Descriptors the exporter may have open.",
        |view, samples| {
            own(view, samples, |process| process.max_descriptors.map(as_f64));
        },
    ),
    plain("process_threads", Kind::Gauge, "Threads of the exporter.", |view, samples| {
        own(view, samples, |process| Some(as_f64(process.threads)));
    }),
    plain(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the exporter was started.",
        |view, samples| {
            own(view, samples, |process| Some(process.started.as_secs_f64()));
        },
    ),
];

fn own(view: &View, samples: &mut Samples, figure: impl Fn(&Process) -> Option<f64>) {
    if let Reading::Present(process) = &view.poll.process
        && let Some(figure) = figure(process)
    {
        samples.push([], figure);
    }
}
