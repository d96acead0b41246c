//! docs/METRICS.md, from the table of families.

use std::fmt::Write;

use super::{Kind, families};

const HEAD: &str = "\
# Metrics

<!-- Made from the table of families in src/render/metrics; `UPDATE_EXPECT=1 cargo test` writes it. -->

Bytes and seconds everywhere; a page size is spelled as in a pod spec (`pagesize=\"2Mi\"`). A figure that does
not exist or could not be read is an absent series, never a zero; \"unlimited\" is an absent limit. The labels
`namespace` and `pod` are those of the pod observed, so a scrape needs `honor_labels: true`; they are empty
while a pod's name is not known, and `container` is then the first 12 digits of the container's id.

The words here, on the page and in the report: what is *touched* is charged to a cgroup (`usage`); what is *mapped*
was mapped by its processes, touched or not (`reserved`, the kernel's word for a cgroup). A pool's *free* pages
are touched by nobody; some of them are *reserved*, mapped and not yet touched; the others are *available*.

A container or pod has series if it was granted huge pages (a container: or its pod was), has touched or
mapped some, or was refused some; with `--collector.idle` all of them have. What was refused some stays for
15 minutes after its cgroup is gone.

| metric | type | labels | what it is |
|---|---|---|---|
";

/// The reference of all metrics, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for family in families() {
        let kind = match family.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(" ") };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", family.name, family.help);
    }
    text
}
