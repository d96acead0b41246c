//! The last polls of one pod and page size.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::{FRAMES_BEFORE, Frame};
use crate::assessment::{ContainerState, TenantSize};
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

/// The times of the last polls, shared by all films.
#[derive(Debug, Default)]
pub(super) struct Polls {
    /// The newest last.
    times: VecDeque<SystemTime>,
    /// How many there ever were.
    count: u64,
}

/// What was seen of it: nearly always the same, poll after poll, and then it is kept once.
#[derive(Debug, Default)]
pub(super) struct Film {
    /// From which poll on, what; the newest last.
    scenes: VecDeque<(u64, Figures)>,
    /// The newest poll that had figures for it.
    newest: u64,
}

/// A frame without its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Figures {
    usage: Reading<Bytes>,
    reserved: Reading<Bytes>,
    limit: Reading<Limit>,
    failures: Reading<u64>,
}

impl Polls {
    /// Another one, at that time.
    pub(super) fn push(&mut self, at: SystemTime) {
        if self.times.len() >= FRAMES_BEFORE {
            self.times.pop_front();
        }
        self.times.push_back(at);
        self.count += 1;
    }

    /// The number of the oldest that is kept.
    fn oldest(&self) -> u64 {
        (self.count + 1).saturating_sub(self.times.len() as u64)
    }

    /// Those that are kept, each with its number.
    fn iter(&self) -> impl Iterator<Item = (u64, SystemTime)> {
        (self.oldest()..).zip(self.times.iter().copied())
    }
}

impl Film {
    /// Adds the newest poll's figures.
    pub(super) fn push(&mut self, figures: Figures, polls: &Polls) {
        if self.scenes.back().is_none_or(|(_, last)| *last != figures) {
            self.scenes.push_back((polls.count, figures));
        }
        self.go_on(polls);
    }

    /// The newest poll's figures are those of the one before.
    pub(super) fn go_on(&mut self, polls: &Polls) {
        self.newest = polls.count;
        while self.scenes.get(1).is_some_and(|(from, _)| *from <= polls.oldest()) {
            self.scenes.pop_front();
        }
    }

    /// Whether the newest poll had figures for it.
    pub(super) fn goes_on(&self, polls: &Polls) -> bool {
        self.newest == polls.count
    }

    /// How many refusals there were between the last poll that knew and this one. What was counted before we
    /// first looked is no news.
    pub(super) fn refused_since(&self, figures: &Figures) -> u64 {
        let before = self.scenes.iter().rev().find_map(|(_, before)| before.failures.present());
        match (before, figures.failures.present()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => 0,
        }
    }

    /// All of it.
    pub(super) fn frames(&self, polls: &Polls) -> Vec<Frame> {
        let at = |(number, at)| {
            let (_, figures) = self.scenes.iter().rev().find(|(from, _)| *from <= number)?;
            Some(figures.at(at))
        };
        polls.iter().filter_map(at).collect()
    }
}

impl Figures {
    /// A pod's. Where one of its containers alone holds pages, that one's limit counts too.
    pub(super) fn of(size: &TenantSize, containers: &[ContainerState]) -> Self {
        let TenantSize { usage, reserved, failures, .. } = *size;
        let sizes = containers.iter().flat_map(|container| &container.sizes);
        let mut holders =
            sizes.filter(|other| other.page_size == size.page_size && other.held() > Bytes::ZERO);
        let limit = match (holders.next(), holders.next()) {
            (Some(only), None) => size.limit.least(only.limit),
            _ => size.limit,
        };
        Self { usage, reserved, limit, failures }
    }

    /// As they were at that time.
    pub(super) fn at(self, at: SystemTime) -> Frame {
        let Self { usage, reserved, limit, failures } = self;
        Frame { at, usage, reserved, limit, failures }
    }
}
