//! Which frame of a long incident is missed least.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::{FRAMES_AFTER, FRAMES_BEFORE, Frame};
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

/// Takes one frame out: neither the first, nor one of the newest, nor one around the last refusal, nor the peak; of
/// the others that whose figures are most like those before it, for the shortest time. Those that are kept are fewer
/// than an incident has room for.
pub(super) fn out(frames: &mut Vec<Frame>, refused: Option<SystemTime>) {
    let newest = frames.len().saturating_sub(FRAMES_BEFORE);
    let refused = refused.and_then(|at| frames.iter().position(|frame| frame.at >= at));
    let usage = |(place, frame): &(usize, &Frame)| (frame.usage.present(), Reverse(*place));
    let peak = frames.iter().enumerate().max_by_key(usage).map(|(place, _)| place);
    let is_kept = |place: usize| {
        let around =
            |refused: usize| place + FRAMES_BEFORE >= refused && place <= refused + FRAMES_AFTER;
        place >= newest || Some(place) == peak || refused.is_some_and(around)
    };
    let neighbours = (1_usize..).zip(frames.windows(3)).filter(|(place, _)| !is_kept(*place));
    let loss = neighbours.filter_map(|(place, frames)| match frames {
        [before, frame, after] => Some((loss(before, frame, after), place)),
        _ => None,
    });
    if let Some((_, place)) = loss.min() {
        frames.remove(place);
    }
}

/// What the picture would lose: the figures before it would be shown for its time, too.
fn loss(before: &Frame, frame: &Frame, after: &Frame) -> u128 {
    let time = after.at.duration_since(frame.at).unwrap_or_default().as_millis().max(1);
    let limit = |frame: &Frame| {
        frame.limit.map(|limit| match limit {
            Limit::At(bytes) => bytes,
            Limit::Unlimited => Bytes(u64::MAX),
        })
    };
    let figures = |frame: &Frame| [frame.usage, frame.reserved, limit(frame)];
    let differences = figures(before).into_iter().zip(figures(frame)).map(|pair| match pair {
        (Reading::Present(one), Reading::Present(other)) => u128::from(one.0.abs_diff(other.0)),
        (one, other) if one == other => 0,
        _ => u128::from(u64::MAX),
    });
    differences.sum::<u128>().saturating_mul(time)
}
