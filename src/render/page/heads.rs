//! Heads of tables, and legends. What a head means is its tooltip, and is written out below it for who has no pointer.

use maud::{Markup, html};

use super::bar;
use crate::render::columns::Column;

/// One head.
pub(super) fn head(column: &Column) -> Markup {
    html! { th scope="col" { abbr title=(column.means) { (column.word) } } }
}

/// What all of them mean, folded.
pub(super) fn meanings(columns: &[Column]) -> Markup {
    html! {
        details .meanings {
            summary { "What the columns mean" }
            dl { @for column in columns { div { dt { (column.word) } dd { (column.means) } } } }
        }
    }
}

/// A look and its words.
pub(super) type Look = (&'static str, &'static str);

/// The looks that are drawn.
pub(super) fn legend(looks: &[Look], drawn: &Markup) -> Markup {
    // Text has no bare quotation mark in markup, so nothing else reads like this.
    let is_drawn = |(look, _): &&Look| drawn.0.contains(&format!("class=\"{look}\""));
    html! {
        p .legend {
            @for (look, words) in looks.iter().filter(is_drawn) {
                span { (bar::sample(look)) (words) }
            }
        }
    }
}
