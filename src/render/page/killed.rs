//! Who got SIGBUS lately, where a witness saw it.

use maud::{Markup, html};

use super::exporter::moment;
use crate::assessment::Killed;
use crate::view::View;

/// So many are shown, the newest.
const SHOWN: usize = 10;

/// Nothing where nobody did.
pub(super) fn section(view: &View) -> Markup {
    let all = &view.assessment.killed;
    html! {
        @if !all.is_empty() {
            section aria-labelledby="killed" {
                h2 #killed { "Killed by SIGBUS lately" }
                ul {
                    @for it in all.iter().rev().take(SHOWN) {
                        li { span .when { (moment(it.at)) } " " bdi { (it.who.described()) } ": " (sentence(it)) }
                    }
                }
                @if all.len() > SHOWN {
                    p .caption { (all.len() - SHOWN) " before these." }
                }
            }
        }
    }
}

/// What it was called is anyone's choice.
pub(super) fn sentence(killed: &Killed) -> Markup {
    html! {
        b { bdi { (killed.comm) } } " (pid " (killed.pid) " on the node) got SIGBUS at "
        (format!("{:#x}", killed.address)) ": " (killed.why()) "."
    }
}
