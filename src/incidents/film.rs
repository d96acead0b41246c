//! The last polls of one pod and page size.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::{FRAMES_BEFORE, Frame};
use crate::assessment::TenantSize;

/// What was seen of it.
#[derive(Debug, Default)]
pub(super) struct Film {
    /// The newest last.
    frames: VecDeque<Frame>,
    /// When the newest came, by the clock that never jumps.
    pushed: Duration,
}

impl Film {
    /// Adds a poll's figures, in place of the oldest if there are enough.
    pub(super) fn push(&mut self, frame: Frame, now: Duration) {
        if self.frames.len() >= FRAMES_BEFORE {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
        self.pushed = now;
    }

    /// Whether that poll had figures for it.
    pub(super) fn was_pushed_at(&self, now: Duration) -> bool {
        self.pushed == now
    }

    /// How many refusals there were between the last poll that knew and this one. What was counted before we
    /// first looked is no news.
    pub(super) fn refused_since(&self, frame: &Frame) -> u64 {
        let before = self.frames.iter().rev().find_map(|before| before.failures.present());
        match (before, frame.failures.present()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => 0,
        }
    }

    /// All of it.
    pub(super) fn frames(&self) -> Vec<Frame> {
        self.frames.iter().copied().collect()
    }
}

impl Frame {
    /// A pod's figures of a poll.
    pub(super) fn of(at: SystemTime, size: &TenantSize) -> Self {
        Self {
            at,
            usage: size.usage,
            reserved: size.reserved,
            limit: size.limit,
            failures: size.failures,
        }
    }
}
