//! How the exporter itself does.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use crate::snapshot::{Health, Reading};
use crate::units::Bytes;
use crate::view::View;

pub(super) fn section(view: &View) -> Markup {
    let snapshot = &view.snapshot;
    html! {
        section aria-labelledby="exporter" {
            h2 #exporter { "This exporter" }
            dl {
                (entry("Version", &html! {
                    (env!("CARGO_PKG_VERSION")) " (" (env!("HUGETLB_EXPORTER_REVISION")) ")"
                }))
                (entry("Last look", &html! {
                    (moment(snapshot.taken.wall)) ", number " (view.poll.number)
                    ", took " (span(view.poll.duration))
                }))
                (entry("Runs for", &html! { (span(whole_seconds(snapshot.taken.since_start))) }))
                @if let Reading::Present(process) = &view.poll.process {
                    (entry("Costs", &html! {
                        (tenths(process.resident)) " of memory, "
                        (format!("{:.1}", process.cpu_seconds)) " s of processor time"
                    }))
                }
                (entry("Cgroups", &html! {
                    @match &snapshot.hierarchy {
                        Some(hierarchy) => {
                            (snapshot.cgroups.len()) " with hugetlb files, " (hierarchy.version) " at "
                            bdi { (hierarchy.root.display()) }
                        }
                        None => "no hugetlb controller was found",
                    }
                }))
                (entry("Sources", &sources(view)))
            }
        }
    }
}

fn entry(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn sources(view: &View) -> Markup {
    html! {
        ul .sources {
            @for source in &view.snapshot.sources {
                @match &source.health {
                    Health::Up => li { (source.source) " ✓ read" },
                    Health::Missing(what) => li { (source.source) " ✓ none: " bdi { (what) } },
                    Health::Down(why) => li .down { (source.source) " ✗ " bdi { (why) } },
                }
            }
        }
    }
}

/// A moment, for people and for programs; `?` for one that the formatter's calendar has not.
pub(super) fn moment(time: SystemTime) -> Markup {
    let mut text = String::new();
    // It refuses what is after 9999, and must not be given what is before 1970.
    let is_shown = time >= SystemTime::UNIX_EPOCH
        && write!(text, "{}", humantime::format_rfc3339_seconds(time)).is_ok();
    html! {
        @if is_shown {
            time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) }
        } @else { "?" }
    }
}

/// The time of day, `14:02:30`; `?` for one that the formatter's calendar has not.
pub(super) fn clock(time: SystemTime) -> String {
    let mut text = String::new();
    let is_shown = time >= SystemTime::UNIX_EPOCH
        && write!(text, "{}", humantime::format_rfc3339_seconds(time)).is_ok();
    let clock = text.split(['T', 'Z']).nth(1).filter(|_| is_shown);
    clock.unwrap_or("?").to_owned()
}

/// How long, to three digits or so: `5m`, `1.2ms`.
pub(super) fn span(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => {
            humantime::format_duration(whole_seconds(duration)).to_string()
        }
        seconds => format!("{:.1} ms", seconds * 1e3),
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

fn tenths(bytes: Bytes) -> String {
    format!("{:.1}Mi", bytes.as_f64() / f64::from(1 << 20))
}
