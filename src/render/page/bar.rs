//! Bars, drawn as SVG: its lengths are attributes, so the policy needs to allow no style on an element. What is short
//! is hatched as well as red.

use maud::{Markup, PreEscaped, html};

use crate::assessment::TenantSize;
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

/// What is too little to be seen is drawn so wide, in percent.
const LEAST_SEEN: f64 = 1.5;

/// The patterns that bars are filled with, once for the page.
pub(super) fn patterns() -> Markup {
    let hatching = |name: &str, step: u32, line: u32| {
        html! {
            pattern id=(name) width=(step) height=(step) patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)" {
                rect class=(format!("{name}-ground")) width=(step) height=(step) {}
                rect class=(format!("{name}-line")) width=(line) height=(step) {}
            }
        }
    };
    html! {
        svg .patterns aria-hidden="true" width="0" height="0" {
            defs { (hatching("hatch", 6, 2)) (hatching("stripe", 5, 2)) (hatching("fine", 4, 1)) }
        }
    }
}

/// A part of a bar: its look and what it stands for.
pub(super) struct Part {
    pub(super) look: &'static str,
    pub(super) bytes: Bytes,
}

/// Parts one after the other, of a whole.
pub(super) fn stacked(parts: &[Part], whole: Bytes, label: &str) -> Markup {
    let mut begin = Bytes::ZERO;
    let pieces = parts.iter().map(|part| {
        let end = Bytes(begin.0.saturating_add(part.bytes.0));
        let from = std::mem::replace(&mut begin, end);
        piece(part.look, percent(from, whole), percent(end, whole))
    });
    html! { svg .bar role="img" aria-label=(label) { @for piece in pieces { (piece) } } }
}

/// One tenant's bar: what it has touched, what it has mapped beyond that, and what of this it can't touch, against its limit
/// or, where it has none itself, that of its pod.
pub(super) fn tenant(size: &TenantSize, around: Option<Bytes>) -> Markup {
    let mapped = size.outlook.committed.present().max(Some(size.held())).unwrap_or_default();
    match (size.usage, size.reserved) {
        (Reading::Absent, Reading::Absent) => return html! { span .unseen { "gone" } },
        (Reading::Failed, _) | (_, Reading::Failed) => {
            return html! { span .unseen { "could not be read" } };
        }
        // Against what it is to be held is not known.
        _ if size.limit == Reading::Failed => {
            return html! { span .unseen { "the limit could not be read" } };
        }
        _ => {}
    }
    let limit = size.limit.finite().or(around);
    let whole = limit.unwrap_or_default().max(mapped);
    let touched = size.usage.present().unwrap_or_default();
    let short = size.outlook.shortfall.present().unwrap_or_default();
    let at = |bytes| percent(bytes, whole);
    let over = limit.filter(|limit| *limit < whole);
    // What is short is drawn over the end of what is mapped, wide enough to be seen.
    let short_from = at(mapped.less(short)).min(at(mapped) - LEAST_SEEN).max(0.0);
    html! {
        svg .bar role="img" aria-label=(words(size, mapped, short)) {
            (piece("within", 0.0, at(limit.unwrap_or_default())))
            (piece("touched", 0.0, at(touched)))
            (piece("mapped", at(touched), at(mapped)))
            @if short > Bytes::ZERO { (piece("short", short_from, at(mapped))) }
            @if let Some(limit) = over { rect class="mark" x=(length(at(limit))) width="2" {} }
        }
    }
}

/// Memory that is charged, huge pages to come, what of these there is no room for, and the limit.
pub(super) fn of_memory(charged: Bytes, to_come: Bytes, short: Bytes, limit: Bytes) -> Markup {
    let all = Bytes(charged.0.saturating_add(to_come.0));
    let whole = all.max(limit);
    let at = |bytes| percent(bytes, whole);
    let short_from = at(all.less(short)).min(at(all) - LEAST_SEEN).max(0.0);
    let missing = if short > Bytes::ZERO { format!(", {short} too little") } else { String::new() };
    let label =
        format!("{charged} charged, {to_come} of huge pages to come, limit {limit}{missing}");
    html! {
        svg .bar role="img" aria-label=(label) {
            (piece("within", 0.0, at(limit)))
            (piece("touched", 0.0, at(charged)))
            (piece("mapped", at(charged), at(all)))
            @if short > Bytes::ZERO { (piece("short", short_from, at(all))) }
            @if limit < whole { rect class="mark" x=(length(at(limit))) width="2" {} }
        }
    }
}

fn words(size: &TenantSize, mapped: Bytes, short: Bytes) -> String {
    let mut words = match size.usage {
        Reading::Present(touched) => format!("{touched} touched, {mapped} mapped"),
        Reading::Absent | Reading::Failed => format!("{mapped} mapped"),
    };
    match size.limit {
        Reading::Present(Limit::At(limit)) => words += &format!(", limit {limit}"),
        Reading::Present(Limit::Unlimited) => words += ", no limit",
        Reading::Absent | Reading::Failed => {}
    }
    if short > Bytes::ZERO {
        words += &format!(", {short} too little");
    }
    words
}

/// A sample of a look, for a legend.
pub(super) fn sample(look: &str) -> Markup {
    html! { svg .sample aria-hidden="true" { rect class=(look) width="100%" {} } }
}

fn piece(look: &str, from: f64, to: f64) -> Markup {
    if to - from < 0.005 {
        return html! {};
    }
    PreEscaped(format!(
        r#"<rect class="{look}" x="{}" width="{}"/>"#,
        length(from),
        length(to - from)
    ))
}

/// Of a hundred.
fn percent(part: Bytes, whole: Bytes) -> f64 {
    if whole == Bytes::ZERO { 0.0 } else { (part.as_f64() / whole.as_f64() * 100.0).min(100.0) }
}

/// As an attribute: `12.5%`, `100%`.
fn length(percent: f64) -> String {
    let digits = format!("{percent:.2}");
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}
