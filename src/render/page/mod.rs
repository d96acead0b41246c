//! The status page: a node at a glance, for a person without Grafana. Made of a view alone, complete in itself, and
//! without a script: what names pods have is anyone's choice, and nothing on the page can run.

mod bar;
mod exporter;
mod film;
mod findings;
mod guard;
mod heads;
mod incidents;
mod memory;
mod killed;
mod pods;
mod pools;
mod probes;
#[cfg(test)]
mod scenes;
mod span;
mod summary;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, PreEscaped, html};

use super::tenants::by_danger;
use crate::view::View;
use summary::Headline;

/// What a browser may do with the page: apply the style that is in it, and load, run and send nothing.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// After so many seconds the page is asked for again. The `Refresh` header says it and not the page itself, so that
/// who reads slowly can have the same page stand still.
pub const REFRESH_SECONDS: u64 = 10;

/// Whether a browser asks for the page again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Every [`REFRESH_SECONDS`].
    On,
    /// Not by itself.
    Off,
}

/// The query with which the page stands still.
pub const STILL: &str = "still";

const STYLE: &str = include_str!("page.css");
const DOCS: &str = "https://github.com/hugetlb-exporter/hugetlb-exporter/blob/main";

/// The page of a view. Its links are relative, so that it works behind a proxy that puts it elsewhere.
pub fn status(view: &View, telemetry_path: &str, refresh: Refresh) -> String {
    let headline = Headline::of(view);
    let pods = by_danger(view);
    let node = view.node.as_deref().unwrap_or("this node");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (node) ": " (headline) " · hugetlb-exporter" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p .brand { strong { "Huge pages of " bdi { (node) } } " " span { "hugetlb-exporter" } }
                    nav aria-label="Other views" {
                        a href=(format!(".{telemetry_path}")) { "Metrics" }
                        a href="./api/v1/view" { "JSON" }
                        a href="./api/v1/incidents" { "Incidents" }
                        a href=(format!("{DOCS}/README.md")) { "Documentation" }
                    }
                }
                main {
                    (bar::patterns())
                    (summary::section(view, &headline, refresh))
                    (findings::section(&view.assessment))
                    (killed::section(view))
                    (incidents::section(view))
                    (pods::section(&pods, view))
                    (memory::section(&pods, view))
                    (pods::others(view))
                    (pools::section(view))
                    (probes::section(view.snapshot.probes.as_deref()))
                    (guard::section(view))
                    (exporter::section(view))
                }
                footer {
                    p {
                        b { "-" } ": there is no such figure. " b { "?" } ": it could not be read. "
                        a href=(format!("{DOCS}/docs/how-hugetlb-fails.md")) { "How huge pages fail in a pod" }
                        ", " a href=(format!("{DOCS}/docs/METRICS.md")) { "all metrics" } "."
                    }
                }
            }
        }
    }
    .into_string()
}
