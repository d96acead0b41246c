//! Figures in words, the same in the report and on the page.

use std::fmt;

use crate::assessment::{MemoryOutlook, PoolState, TenantSize};
use crate::snapshot::{Limit, Pool, Reading};
use crate::units::Bytes;

/// What is said where no rule found anything; it is no promise where something was not seen.
pub(super) fn nothing_found(all_seen: bool) -> &'static str {
    if all_seen {
        "Nothing wrong was found."
    } else {
        "Nothing wrong was found in what could be seen."
    }
}

/// What is said of a pool whose reserved pages the kernel has lost count of.
pub(super) fn lost_count(pool: &Pool, state: &PoolState) -> Option<String> {
    let (lost, counted) = (state.lost_reservations?, pool.reserved.present()?);
    Some(format!(
        "The kernel has lost count of reserved {} pages: {} are counted, {} too few at least. Verdicts do not go by that count.",
        pool.page_size,
        counted.0,
        lost.0.div_ceil(pool.page_size.bytes().0),
    ))
}

/// What somebody has mapped and can't touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    /// So much.
    By(Bytes),
    /// The kernel's figures can't tell.
    Perhaps,
    /// Nothing.
    No,
    /// A figure that it needs could not be read.
    Failed,
    /// There is no such figure.
    Absent,
}

impl Short {
    /// What its own figures say.
    pub(super) fn of(size: &TenantSize) -> Self {
        match size.outlook.shortfall {
            _ if size.outlook.uncertainty.is_some() => Self::Perhaps,
            Reading::Present(Bytes::ZERO) => Self::No,
            Reading::Present(bytes) => Self::By(bytes),
            Reading::Failed => Self::Failed,
            Reading::Absent => Self::Absent,
        }
    }

    /// What a pod's row says: also what its containers are short of under limits of their own, and whether it may be
    /// among those that a finding about its node means. Who reads only that row must not take it that all is well.
    pub(super) fn with(self, containers: &[Self], may_be_meant: bool) -> Self {
        let missing = containers.iter().fold(Bytes::ZERO, |sum, short| match short {
            Self::By(bytes) => Bytes(sum.0.saturating_add(bytes.0)),
            _ => sum,
        });
        match self {
            Self::By(_) => self,
            _ if missing > Bytes::ZERO => Self::By(missing),
            _ if may_be_meant || containers.contains(&Self::Perhaps) => Self::Perhaps,
            _ => self,
        }
    }

    /// Of memory, where huge pages count as memory.
    pub(super) fn of_memory(memory: &MemoryOutlook) -> Self {
        match memory.shortfall {
            Reading::Present(Bytes::ZERO) => Self::No,
            Reading::Present(short) => Self::By(short),
            Reading::Failed => Self::Failed,
            Reading::Absent => Self::Perhaps,
        }
    }

    /// Whether there is nothing to worry about.
    pub(super) fn is_fine(self) -> bool {
        matches!(self, Self::No | Self::Absent)
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(bytes) => bytes.fmt(f),
            Self::Perhaps => f.pad("perhaps"),
            Self::No => f.pad("no"),
            Self::Failed => f.pad("?"),
            Self::Absent => f.pad("-"),
        }
    }
}

pub(super) fn bytes(reading: Reading<Bytes>) -> String {
    show(reading, |bytes| bytes.to_string())
}

pub(super) fn limit(reading: Reading<Limit>) -> String {
    show(reading, |limit| match limit {
        Limit::At(bytes) => bytes.to_string(),
        Limit::Unlimited => "none".to_owned(),
    })
}

/// `-` for what does not exist, `?` for what could not be read.
pub(super) fn show<T>(reading: Reading<T>, text: impl FnOnce(T) -> String) -> String {
    match reading {
        Reading::Present(value) => text(value),
        Reading::Absent => "-".to_owned(),
        Reading::Failed => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_as_short_as_it_or_its_containers_are_or_may_be() {
        let by = |pages: u64| Short::By(Bytes(pages << 21));
        let (no, perhaps, absent) = (Short::No, Short::Perhaps, Short::Absent);
        for (own, containers, may_be_meant, told) in [
            (no, vec![no, absent], false, no),
            (no, vec![by(36)], false, by(36)),
            (absent, vec![by(36), by(4), no], false, by(40)),
            (by(50), vec![by(36), by(4)], false, by(50)),
            (no, vec![perhaps, by(4)], false, by(4)),
            (no, vec![perhaps], false, perhaps),
            (no, vec![], true, perhaps),
            (by(1), vec![], true, by(1)),
            (Short::Failed, vec![no], false, Short::Failed),
        ] {
            assert_eq!(own.with(&containers, may_be_meant), told, "{own:?} with {containers:?}");
        }
    }
}
