//! What happened lately: for who comes after the crash, the pod's figures around it as pictures, and what happened.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use super::exporter::{clock, moment};
use super::film::{LIMIT, MAPPED, Picture, TOUCHED};
use super::killed;
use super::span::Span;
use crate::assessment::{Finding, Identity};
use crate::incidents::{Event, EventKind, Frame, Incident};
use crate::units::Bytes;
use crate::view::View;

/// So many are shown at once; the others are folded.
const OPEN: usize = 3;

/// What is longer has a second picture, of the seconds around the last refusal: before it and after it.
const LONG: Duration = Duration::from_secs(120);
const BEFORE: Duration = Duration::from_secs(30);
const AFTER: Duration = Duration::from_secs(10);

/// Nothing where nothing happened.
pub(super) fn section(view: &View) -> Markup {
    let (first, rest) = view.incidents.split_at(OPEN.min(view.incidents.len()));
    html! {
        @if !first.is_empty() {
            section aria-labelledby="incidents" {
                h2 #incidents { "What happened lately" }
                @for it in first { (incident(it, view)) }
                @if !rest.is_empty() {
                    details {
                        summary { (rest.len()) " more" }
                        @for it in rest { (incident(it, view)) }
                    }
                }
            }
        }
    }
}

fn incident(incident: &Incident, view: &View) -> Markup {
    let who = Identity { container: "".into(), ..incident.pod.clone() }.described();
    html! {
        div .incident {
            h3 { bdi { (who) } ", " (incident.page_size) " pages" }
            (pictures(incident, view.snapshot.taken.wall))
            ol {
                @for (index, event) in incident.events.iter().enumerate() {
                    @let before = incident.events.get(..index).unwrap_or_default();
                    li { span .when { (moment(event.at)) } " " (happened(event, before, incident, view)) }
                }
            }
        }
    }
}

fn happened(event: &Event, before: &[Event], incident: &Incident, view: &View) -> Markup {
    let (name, severity, sentence) = match &event.kind {
        EventKind::Raised { finding, severity, sentence } => (*finding, *severity, sentence),
        EventKind::Refused(1) => return html! { "One page was refused." },
        EventKind::Killed(it) => return html! { (killed::sentence(it)) },
        EventKind::Refused(count) => return html! { (count) " pages were refused." },
    };
    let is_same = |other: &Event| {
        matches!(&other.kind, EventKind::Raised { finding, severity: of, .. }
            if (*finding, *of) == (name, severity))
    };
    let is_shown = |finding: &Finding| {
        finding.name == name
            && finding.page_size == Some(incident.page_size)
            && finding.concerns(&incident.pod.uid)
    };
    html! {
        span .badge .(severity) { (name) }
        // What is among the findings, or was said before, is not said again.
        @if view.assessment.findings.iter().any(is_shown) {
            " " (severity) ", " a href="#findings" { "see above" }
        } @else if before.iter().any(is_same) {
            " " (severity) " again"
        } @else {
            " " bdi { (sentence) }
        }
    }
}

fn pictures(incident: &Incident, now: SystemTime) -> Markup {
    let Some(span) = Span::of(incident) else { return html! {} };
    let is_now = incident.frames.last().is_some_and(|frame| frame.at == now);
    let refused = incident.events.iter().rev().find(|event| event.is_refusal());
    let around = refused.filter(|_| span.length() > LONG).map(|event| event.at);
    let figures = Figures::of(incident, is_now);
    html! {
        (figures.legend())
        (Picture::of(incident, span, is_now).draw(&figures.words()))
        @if let Some(at) = around {
            @let words = format!("the seconds around the refusal at {} UTC", clock(at));
            p .caption { "Above: all of it. Below: " (words) "." }
            (Picture::of(incident, span.around(at, BEFORE, AFTER), is_now).draw(&words))
        }
    }
}

/// Its figures in words: how it is drawn, and what it was.
struct Figures(Vec<(&'static str, String)>);

impl Figures {
    fn of(incident: &Incident, is_now: bool) -> Self {
        let frames = &incident.frames;
        let when = if is_now { "now" } else { "last" };
        let last = |figure: fn(&Frame) -> Option<Bytes>| frames.iter().rev().find_map(figure);
        let most = |figure: fn(&Frame) -> Option<Bytes>| frames.iter().filter_map(figure).max();
        let mut figures = Vec::new();
        for (look, word, figure) in [("area", "touched", TOUCHED), ("over", "mapped", MAPPED)] {
            if let (Some(last), Some(most)) = (last(figure), most(figure)) {
                let peak = if last < most { format!(", {most} at most") } else { String::new() };
                figures.push((look, format!("{word}: {last} {when}{peak}")));
            }
        }
        figures.extend(limits(frames).map(|words| ("edge", words)));
        if !incident.events.is_empty() {
            figures.push(("event", "what happened, numbered as below".to_owned()));
        }
        Self(figures)
    }

    fn legend(&self) -> Markup {
        html! {
            p .legend {
                @for (look, words) in &self.0 {
                    span {
                        svg .sample aria-hidden="true" { rect class=(look) width="100%" {} }
                        (words)
                    }
                }
                span { "Times are UTC." }
            }
        }
    }

    fn words(&self) -> String {
        self.0.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join("; ")
    }
}

/// The limit, and since when it is that.
fn limits(frames: &[Frame]) -> Option<String> {
    let last = frames.iter().rev().find_map(LIMIT)?;
    let other = frames.iter().rev().find(|frame| LIMIT(frame).is_some_and(|limit| limit != last));
    let since = other.and_then(|other| {
        let after = frames.iter().find(|frame| frame.at > other.at && LIMIT(frame) == Some(last));
        Some((LIMIT(other)?, after?.at))
    });
    Some(match since {
        Some((before, at)) => format!("limit: {before}, from {} on {last}", clock(at)),
        None => format!("limit: {last}"),
    })
}
