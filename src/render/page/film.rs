//! A pod's figures around what happened to it, drawn against time: what was touched as an area, what was mapped and
//! the limit as lines, what happened as numbered marks. Places along the time are percent, so that the browser knows
//! the width; heights are pixels.

use maud::{Markup, html};

use super::exporter::clock;
use super::span::Span;
use crate::incidents::{Frame, Incident};
use crate::units::Bytes;

/// Where the figures' part begins and ends; above it are the marks' numbers, below it are the times.
const TOP: f64 = 18.0;
const BOTTOM: f64 = 122.0;
const HEIGHT: f64 = 142.0;
/// The least from one line of text to the next.
const LINE: f64 = 13.0;
/// The width of a letter in percent, where the picture is narrowest.
const LETTER: f64 = 2.4;
/// Marks nearer than this, in percent, share a number.
const APART: f64 = 5.0;

/// A figure of a frame.
type Figure = fn(&Frame) -> Option<Bytes>;

pub(super) const TOUCHED: Figure = |frame| frame.usage.present();
pub(super) const MAPPED: Figure = |frame| frame.reserved.present();
pub(super) const LIMIT: Figure = |frame| frame.limit.finite();

/// A picture of an incident.
pub(super) struct Picture<'a> {
    incident: &'a Incident,
    span: Span,
    /// The highest that is drawn.
    most: Bytes,
    /// Whether its last figures are the newest there are.
    is_now: bool,
}

/// A frame that is drawn, from where to where in percent.
#[derive(Clone, Copy)]
struct Shown<'a> {
    frame: &'a Frame,
    from: f64,
    to: f64,
}

impl<'a> Picture<'a> {
    pub(super) fn of(incident: &'a Incident, span: Span, is_now: bool) -> Self {
        let frames = incident.frames.iter();
        let all = frames.flat_map(|frame| [TOUCHED(frame), MAPPED(frame), LIMIT(frame)]);
        let most = all.flatten().max().unwrap_or_default();
        Self { incident, span: span.widened(), most, is_now }
    }

    pub(super) fn draw(&self, words: &str) -> Markup {
        let shown = self.shown();
        html! {
            div .film {
                (self.scale(&shown))
                svg .plot role="img" aria-label=(words) height=(HEIGHT) {
                    (self.axis())
                    svg width="100%" height=(BOTTOM) viewBox=(format!("0 0 100 {BOTTOM}")) preserveAspectRatio="none" {
                        path class="area" d=(self.line(&shown, TOUCHED, true)) {}
                        path class="over" d=(self.line(&shown, MAPPED, false)) {}
                        path class="edge" d=(self.line(&shown, LIMIT, false)) {}
                    }
                    (self.marks())
                    (self.peak_and_last(&shown))
                }
            }
        }
    }

    fn shown(&self) -> Vec<Shown<'a>> {
        let frames = &self.incident.frames;
        let ends = frames.iter().skip(1).map(|next| self.span.place(next.at)).chain([100.0]);
        let all = frames.iter().zip(ends);
        let shown = all.map(|(frame, to)| Shown { frame, from: self.span.place(frame.at), to });
        shown.filter(|shown| shown.from < shown.to).collect()
    }

    fn height(&self, bytes: Bytes) -> f64 {
        let part = bytes.as_f64() / self.most.as_f64().max(1.0);
        BOTTOM - (BOTTOM - TOP) * part
    }

    /// A figure over time: each holds until the next, and there is a gap where it was not known. Filled down to zero, or
    /// not.
    fn line(&self, shown: &[Shown<'_>], figure: Figure, filled: bool) -> String {
        let mut path = String::new();
        let mut begun = None;
        let end = |begun: Option<f64>| match begun {
            Some(from) if filled => format!("V{BOTTOM}H{from:.2}Z"),
            _ => String::new(),
        };
        for Shown { frame, from, to } in shown {
            match figure(frame).map(|bytes| self.height(bytes)) {
                Some(height) if begun.is_some() => path += &format!("V{height:.1}H{to:.2}"),
                Some(height) => {
                    begun = Some(*from);
                    path += &format!("M{from:.2} {height:.1}H{to:.2}");
                }
                None => path += &end(begun.take()),
            }
        }
        path + &end(begun)
    }

    /// The limits, the most that was mapped, and zero, at their heights.
    fn scale(&self, shown: &[Shown<'_>]) -> Markup {
        let limits = || shown.iter().filter_map(|shown| LIMIT(shown.frame));
        let mapped = shown.iter().filter_map(|shown| MAPPED(shown.frame)).max();
        let mut values: Vec<(Bytes, &str)> = Vec::new();
        let limits = [limits().next_back(), limits().next()].map(|limit| (limit, "edge"));
        for (value, look) in limits.into_iter().chain([(mapped, "over"), (Some(Bytes::ZERO), "")]) {
            if let Some(value) = value
                && values.iter().all(|(other, _)| *other != value)
            {
                values.push((value, look));
            }
        }
        values.sort_unstable_by(|one, other| other.cmp(one));
        let mut heights: Vec<f64> = values.iter().map(|(value, _)| self.height(*value)).collect();
        spread(&mut heights);
        html! {
            svg .scale aria-hidden="true" width="68" height=(HEIGHT) {
                @for ((value, look), height) in values.iter().zip(heights) {
                    text .(look) x="62" y=(format!("{:.1}", height + 4.0)) text-anchor="end" { (value) }
                }
            }
        }
    }

    /// Round times, as far as there is room for them.
    fn axis(&self) -> Markup {
        let mut room_from = 0.0;
        let ticks = self.span.ticks().into_iter().map(|tick| {
            let (place, time) = (self.span.place(tick), clock(tick));
            let (anchor, from, to) = anchored(place, &time);
            let fits = from >= room_from;
            room_from = if fits { to + LETTER } else { room_from };
            (place, anchor, fits.then_some(time))
        });
        html! {
            @for (place, anchor, time) in ticks {
                line class="tick" x1=(percent(place)) x2=(percent(place)) y1=(TOP) y2=(BOTTOM + 4.0) {}
                @if let Some(time) = time { (text("time", place, HEIGHT - 5.0, anchor, &time)) }
            }
        }
    }

    /// What happened, with its number in the list; what happened at nearly the same time shares one.
    fn marks(&self) -> Markup {
        let events = (1_usize..).zip(&self.incident.events);
        let shown = events.filter(|(_, event)| self.span.contains(event.at));
        let places = shown.map(|(number, event)| (number, self.span.place(event.at)));
        let mut groups: Vec<(usize, usize, f64, f64)> = Vec::new();
        for (number, place) in places {
            match groups.last_mut() {
                Some((_, last, _, until)) if place - *until < APART => {
                    (*last, *until) = (number, place);
                }
                _ => groups.push((number, number, place, place)),
            }
        }
        html! {
            @for (first, last, from, until) in groups {
                @for place in [Some(from), Some(until).filter(|until| *until > from)].into_iter().flatten() {
                    line class="event" x1=(percent(place)) x2=(percent(place)) y1=(TOP - 4.0) y2=(BOTTOM) {}
                }
                @let numbers = if first == last { first.to_string() } else { format!("{first}–{last}") };
                @let middle = f64::midpoint(from, until);
                (text("number", middle, TOP - 6.0, anchored(middle, &numbers).0, &numbers))
            }
        }
    }

    /// The most that was touched, and what is touched in the end, each with its value.
    fn peak_and_last(&self, shown: &[Shown<'_>]) -> Markup {
        let known = || shown.iter().filter_map(|shown| Some((shown.from, TOUCHED(shown.frame)?)));
        let peak = known().rev().max_by_key(|(_, bytes)| *bytes);
        let newest = self.incident.frames.last();
        let last = shown.last().filter(|shown| newest.is_some_and(|newest| newest == shown.frame));
        let last = last.and_then(|shown| Some((shown.from, TOUCHED(shown.frame)?)));
        let word = if self.is_now { "now" } else { "last" };
        let last = last.map(|value| Label::of(self, value, word));
        let peak = peak.map(|value| Label::of(self, value, "peak"));
        let is_apart = |peak: &Label| {
            last.as_ref().is_none_or(|last| peak.bytes > last.bytes && !peak.touches(last))
        };
        let peak = peak.filter(is_apart);
        html! { @for label in [peak, last].into_iter().flatten() { (label.draw()) } }
    }
}

/// A value at its place.
struct Label {
    place: f64,
    height: f64,
    bytes: Bytes,
    words: String,
}

impl Label {
    fn of(picture: &Picture<'_>, (place, bytes): (f64, Bytes), word: &str) -> Self {
        Self { place, height: picture.height(bytes), bytes, words: format!("{word} {bytes}") }
    }

    /// Above it, or below where there is no room above.
    fn line(&self) -> f64 {
        if self.height < TOP + LINE { self.height + LINE + 3.0 } else { self.height - 6.0 }
    }

    fn is_on_the_left(&self) -> bool {
        self.place > 50.0
    }

    /// Whether they would be written over each other.
    fn touches(&self, other: &Self) -> bool {
        let extent = |label: &Self| {
            let width = width(&label.words);
            if label.is_on_the_left() {
                (label.place - width, label.place)
            } else {
                (label.place, label.place + width)
            }
        };
        let ((from, to), (others_from, others_to)) = (extent(self), extent(other));
        (self.line() - other.line()).abs() < LINE && from < others_to && others_from < to
    }

    fn draw(&self) -> Markup {
        let anchor = if self.is_on_the_left() { "end" } else { "start" };
        html! {
            circle class="dot" cx=(percent(self.place)) cy=(format!("{:.1}", self.height)) r="3.5" {}
            text class="value" x=(percent(self.place)) y=(format!("{:.1}", self.line()))
                dx=(if self.is_on_the_left() { -6 } else { 6 }) text-anchor=(anchor) { (self.words) }
        }
    }
}

/// Lines of text, the highest first, moved apart and none below the zero.
fn spread(heights: &mut [f64]) {
    let mut least = f64::MIN;
    for height in heights.iter_mut() {
        *height = height.max(least);
        least = *height + LINE;
    }
    let mut most = BOTTOM;
    for height in heights.iter_mut().rev() {
        *height = height.min(most);
        most = *height - LINE;
    }
}

/// In percent, where the picture is narrowest.
fn width(words: &str) -> f64 {
    LETTER * f64::from(u32::try_from(words.len()).unwrap_or(u32::MAX))
}

/// How text is anchored so that it stays within the picture, and from where to where it is.
fn anchored(place: f64, words: &str) -> (&'static str, f64, f64) {
    let width = width(words);
    let half = width / 2.0;
    if place < half {
        ("start", place, place + width)
    } else if place > 100.0 - half {
        ("end", place - width, place)
    } else {
        ("middle", place - half, place + half)
    }
}

fn text(class: &str, place: f64, height: f64, anchor: &str, words: &str) -> Markup {
    html! {
        text .(class) x=(percent(place)) y=(format!("{height:.1}")) text-anchor=(anchor) { (words) }
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}
