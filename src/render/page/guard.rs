//! What the guard does, where there is one.

use maud::{Markup, html};

use crate::render::guard::sentence;
use crate::view::View;

pub(super) fn section(view: &View) -> Markup {
    html! {
        @if let Some(sentence) = sentence(view) {
            section aria-labelledby="guard" {
                h2 #guard { "Guard" }
                p { (sentence) }
            }
        }
    }
}
