//! What the touch-probe last found, and when.

use maud::{Markup, html};

use super::exporter::{moment, span};
use super::heads::{head, meanings};
use crate::render::columns;
use crate::snapshot::{Check, Probes};

pub(super) fn section(probes: Option<&Probes>) -> Markup {
    html! {
        section aria-labelledby="probe" {
            h2 #probe { "Touch-probe" }
            @match probes {
                None => p { "Nothing is probed here." },
                Some(probes) if probes.results.is_empty() => p { "No probe has ended yet." },
                Some(probes) => (results(probes)),
            }
        }
    }
}

fn results(probes: &Probes) -> Markup {
    html! {
        p .facts {
            "Every " (span(probes.interval)) " a page that must be refused is asked for (target "
            (probes.target) ")."
        }
        table .probes aria-labelledby="probe" {
            thead {
                tr {
                    @for column in &columns::PROBE { (head(column)) }
                }
            }
            tbody {
                @for ((page_size, check), probed) in &probes.results {
                    tr {
                        th scope="row" { (page_size) }
                        td { (words(*check)) }
                        @if *check == Check::Fault && probed.verdict.is_enforced() == Some(false) {
                            td .too-little { (probed.verdict) }
                        } @else {
                            td { (probed.verdict) }
                        }
                        td { (probed.in_a_row) }
                        td {
                            @match probes.last.get(page_size) {
                                Some(last) => { (moment(last.ended.wall)) ", took " (span(last.took)) }
                                None => "-",
                            }
                        }
                    }
                }
            }
        }
        (meanings(&columns::PROBE))
    }
}

/// A mapping that is not refused is how most kubelets are; a touch that is not, is not.
fn words(check: Check) -> &'static str {
    match check {
        Check::Fault => "to touch a page",
        Check::Reserve => "to map pages",
    }
}
