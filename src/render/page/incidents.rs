//! What happened lately: for who comes after the crash, the pod's figures around it as a small drawn time line.

use maud::{Markup, html};

use super::exporter::moment;
use crate::assessment::Identity;
use crate::incidents::{Event, EventKind, Frame, Incident};
use crate::units::Bytes;
use crate::view::View;

/// So many are shown at once; the others are folded.
const OPEN: usize = 3;

/// The time line's own measures; it is as wide as the page.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 60.0;

/// Nothing where nothing happened.
pub(super) fn section(view: &View) -> Markup {
    let (first, rest) = view.incidents.split_at(OPEN.min(view.incidents.len()));
    html! {
        @if !first.is_empty() {
            section aria-labelledby="incidents" {
                h2 #incidents { "What happened lately" }
                p .legend {
                    span { svg .sample aria-hidden="true" { rect class="used" width="100%" {} } "touched" }
                    span { svg .sample aria-hidden="true" { rect class="over" y="4" width="100%" {} } "mapped" }
                    span { svg .sample aria-hidden="true" { rect class="edge" y="4" width="100%" {} } "limit" }
                }
                @for it in first { (incident(it)) }
                @if !rest.is_empty() {
                    details {
                        summary { (rest.len()) " more" }
                        @for it in rest { (incident(it)) }
                    }
                }
            }
        }
    }
}

fn incident(incident: &Incident) -> Markup {
    let who = Identity { container: "".into(), ..incident.pod.clone() }.described();
    html! {
        div .incident {
            h3 { bdi { (who) } ", " (incident.page_size) " pages" }
            (film(incident))
            ol {
                @for event in &incident.events {
                    li { span .when { (moment(event.at)) } " " (happened(event)) }
                }
            }
        }
    }
}

fn happened(event: &Event) -> Markup {
    match &event.kind {
        EventKind::Raised { finding, severity, sentence } => {
            html! { span .badge .(severity) { (finding) } " " bdi { (sentence) } }
        }
        EventKind::Refused(1) => html! { "One page was refused." },
        EventKind::Refused(count) => html! { (count) " pages were refused." },
    }
}

/// Poll by poll: what was touched as an area, what was mapped and the limit as lines, what happened as marks.
fn film(incident: &Incident) -> Markup {
    let frames = &incident.frames;
    let usage = |frame: &Frame| frame.usage.present();
    let reserved = |frame: &Frame| frame.reserved.present();
    let limit = |frame: &Frame| frame.limit.finite();
    let all = frames.iter().flat_map(|frame| [usage(frame), reserved(frame), limit(frame)]);
    let top = all.flatten().max().unwrap_or_default();
    let peak = frames.iter().filter_map(usage).max();
    let words = format!(
        "{} polls: at most {} touched, at most {} mapped, limit {}",
        frames.len(),
        told(peak),
        told(frames.iter().filter_map(reserved).max()),
        told(frames.iter().rev().find_map(limit)),
    );
    let draw = |of: &dyn Fn(&Frame) -> Option<Bytes>| line(frames, top, of);
    let area = draw(&usage);
    let view_box = format!("0 0 {WIDTH} {HEIGHT}");
    html! {
        svg .film role="img" aria-label=(words) viewBox=(view_box) preserveAspectRatio="none" {
            @if !area.is_empty() {
                path class="touched" d=(format!("{area}V{HEIGHT}H0Z")) {}
            }
            path class="mapped" d=(draw(&reserved)) {}
            path class="bound" d=(draw(&limit)) {}
            @for event in &incident.events {
                @let at = frames.iter().position(|frame| frame.at >= event.at);
                @let x = place(at.unwrap_or(frames.len()), frames.len());
                path class="event" d=(format!("M{x:.1} 0V{HEIGHT}")) {}
            }
        }
    }
}

/// A figure over the polls: each holds until the next. One that was not seen holds what was there before.
fn line(frames: &[Frame], top: Bytes, of: &dyn Fn(&Frame) -> Option<Bytes>) -> String {
    let mut path = String::new();
    for (place_of, frame) in frames.iter().enumerate() {
        let Some(value) = of(frame) else { continue };
        let (x, next) = (place(place_of, frames.len()), place(place_of + 1, frames.len()));
        let y = HEIGHT * (1.0 - 0.95 * value.as_f64() / top.as_f64().max(1.0));
        path += &if path.is_empty() {
            format!("M{x:.1} {y:.1}H{next:.1}")
        } else {
            format!("V{y:.1}H{next:.1}")
        };
    }
    path
}

fn place(frame: usize, of: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    WIDTH * number(frame) / number(of.max(1))
}

fn told(bytes: Option<Bytes>) -> String {
    bytes.map_or_else(|| "nothing known".to_owned(), |bytes| bytes.to_string())
}
