//! Findings, the worst first, each with what to do and where it is explained.

use maud::{Markup, html};

use super::DOCS;
use crate::assessment::{Assessment, Finding, Severity};

/// So many are shown unfolded, and all that are critical.
const UNFOLDED: usize = 10;

pub(super) fn section(assessment: &Assessment) -> Markup {
    let Assessment { findings, muted, .. } = assessment;
    if findings.is_empty() && muted.is_empty() {
        return html! {};
    }
    let critical = findings.iter().filter(|finding| finding.severity == Severity::Critical).count();
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by_key(|finding| finding.severity);
    let folded = ordered.split_off(ordered.len().min(critical.max(UNFOLDED)));
    html! {
        section aria-labelledby="findings" {
            h2 #findings { "Findings" }
            @for finding in ordered { (article(finding)) }
            @if !folded.is_empty() {
                details {
                    summary { (folded.len()) " more" }
                    @for finding in folded { (article(finding)) }
                }
            }
            @if !muted.is_empty() {
                details {
                    summary { (muted.len()) " muted" }
                    @for finding in muted { (article(finding)) }
                }
            }
        }
    }
}

fn article(finding: &Finding) -> Markup {
    html! {
        article .finding .(finding.severity) {
            h3 { span .badge { (finding.severity) } " " (finding.name) }
            p { (sentence(&finding.sentence)) }
            p { b { "To do: " } (sentence(&finding.remedy)) }
            p .more {
                a href=(format!("{DOCS}/docs/findings.md#{}", finding.name)) {
                    "What " (finding.name) " means"
                }
            }
        }
    }
}

/// A sentence; what stands between backticks is to be typed.
fn sentence(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}
