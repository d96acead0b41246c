//! The status page: a node at a glance, for a person without Grafana. Made of a view alone, complete in itself, and
//! without a script: what names pods have is anyone's choice, and nothing on the page can run.

mod bar;
mod exporter;
mod findings;
mod incidents;
mod pods;
mod pools;
mod probes;
#[cfg(test)]
mod scenes;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::nothing_found;
use super::tenants::by_danger;
use crate::assessment::{Finding, Severity};
use crate::snapshot::{Health, SourceHealth};
use crate::view::View;

/// What a browser may do with the page: apply the style that is in it, and load, run and send nothing.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// After so many seconds the page is asked for again. The `Refresh` header says it and not the page itself, so that
/// who reads slowly can have the same page stand still.
pub const REFRESH_SECONDS: u64 = 10;

/// The query with which the page stands still.
pub const STILL: &str = "still";

const STYLE: &str = include_str!("page.css");
const DOCS: &str = "https://github.com/hugetlb-exporter/hugetlb-exporter/blob/main";

/// The page of a view. Its links are relative, so that it works behind a proxy that puts it elsewhere.
pub fn status(view: &View, telemetry_path: &str) -> String {
    let findings = &view.assessment.findings;
    let headline = headline(findings, view.snapshot.sources.iter().all(SourceHealth::is_up));
    let pods = by_danger(view);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (headline) " · hugetlb-exporter" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p .brand { strong { "hugetlb-exporter" } " " span { "Huge pages of this node" } }
                    nav aria-label="Other views" {
                        a href=(format!(".{telemetry_path}")) { "Metrics" }
                        a href="./api/v1/view" { "JSON" }
                        a href="./api/v1/incidents" { "Incidents" }
                        a href=(format!("{DOCS}/README.md")) { "Documentation" }
                    }
                }
                main {
                    (bar::patterns())
                    (summary(view, headline))
                    (findings::section(findings))
                    (incidents::section(view))
                    (pods::section(&pods, view))
                    (pods::others(view))
                    (pools::section(view))
                    (probes::section(view.snapshot.probes.as_deref()))
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

/// The page in one line. Less than "nothing critical" is said only where nothing at all was found: a warning may
/// be that it can't be told.
fn headline(findings: &[Finding], all_seen: bool) -> &'static str {
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        None => nothing_found(all_seen),
        Some(_) if findings.iter().any(Finding::foretells_a_crash) => "Something will crash.",
        Some(Severity::Critical) => "Something critical was found.",
        Some(_) if all_seen => "Nothing critical was found.",
        Some(_) => "Nothing critical was found in what could be seen.",
    }
}

/// What a glance is for: the headline, when it was true, and what could not be seen.
fn summary(view: &View, headline: &str) -> Markup {
    let findings = &view.assessment.findings;
    let worst = findings.iter().map(|finding| finding.severity).min();
    let taken = view.snapshot.taken.wall;
    html! {
        section .summary .(worst.map_or_else(|| "fine".to_owned(), |worst| worst.to_string())) {
            h1 { (headline) }
            p {
                @for (severity, words) in [
                    (Severity::Critical, "critical"),
                    (Severity::Warning, "to look into"),
                    (Severity::Info, "worth knowing"),
                ] {
                    @let number = findings.iter().filter(|finding| finding.severity == severity).count();
                    @if number > 0 { span .count { (number) " " (words) } " " }
                }
                span { "Seen " (exporter::moment(taken)) }
            }
            p .refresh {
                "Refresh: " a href="./" { "every " (REFRESH_SECONDS) " s" } " or "
                a href=(format!("?{STILL}")) { "never" }
            }
            @if view.snapshot.sources.iter().any(|source| !source.is_up()) {
                p { "Not seen:" }
                ul {
                    @for source in &view.snapshot.sources {
                        @if let Health::Down(why) = &source.health {
                            li { (source.source) ": " bdi { (why) } }
                        }
                    }
                }
            }
        }
    }
}
