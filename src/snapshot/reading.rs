//! A figure that may be missing, and a limit that may not exist.

use crate::units::Bytes;

/// What became of one figure of the kernel's.
///
/// Absent and failed are different things: an old kernel has no reservation files, and that is fine;
/// a file that is there and can't be read or understood is a fault of the node or ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading<T> {
    /// The kernel's figure.
    Present(T),
    /// There is no such file.
    #[default]
    Absent,
    /// The file is there, but unreadable or not understood. The reason stands in the source's health.
    Failed,
}

impl<T> Reading<T> {
    /// The figure, where there is one.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Failed => None,
        }
    }

    /// The same reading of something derived from the figure.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Present(value) => Reading::Present(f(value)),
            Self::Absent => Reading::Absent,
            Self::Failed => Reading::Failed,
        }
    }

    /// The same, where deriving may fail (an overflow).
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Option<U>) -> Reading<U> {
        match self {
            Self::Present(value) => f(value).map_or(Reading::Failed, Reading::Present),
            Self::Absent => Reading::Absent,
            Self::Failed => Reading::Failed,
        }
    }

    /// Two figures made one. A failed part makes the whole unknown; an absent one counts for nothing.
    pub fn combine(self, other: Self, f: impl FnOnce(T, T) -> Option<T>) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Present(a), Self::Present(b)) => f(a, b).map_or(Self::Failed, Self::Present),
            (Self::Present(value), Self::Absent) | (Self::Absent, Self::Present(value)) => {
                Self::Present(value)
            }
            (Self::Absent, Self::Absent) => Self::Absent,
        }
    }

    /// Borrowed.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Self::Present(value) => Reading::Present(value),
            Self::Absent => Reading::Absent,
            Self::Failed => Reading::Failed,
        }
    }
}

impl Reading<Bytes> {
    /// The sum of two figures.
    pub fn plus(self, other: Self) -> Self {
        self.combine(other, Bytes::checked_add)
    }

    /// Whether it is a figure above zero.
    pub fn is_some(self) -> bool {
        self.present().is_some_and(|bytes| bytes > Bytes::ZERO)
    }
}

impl Reading<u64> {
    /// The sum of two counters.
    pub fn plus(self, other: Self) -> Self {
        self.combine(other, u64::checked_add)
    }
}

/// A limit of a cgroup. `Unlimited` is greater than any figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// So many bytes.
    At(Bytes),
    /// None.
    Unlimited,
}

impl Limit {
    /// From 2^62 on the kernel, the kubelet and the runtimes mean "no limit": they have at least four
    /// ways to write it (`max`, 2^63 rounded down to a base page or to a huge page, 2^62).
    pub const UNLIMITED_FROM: u64 = 1 << 62;

    /// The limit that many bytes stand for.
    pub fn from_bytes(bytes: u64) -> Self {
        if bytes >= Self::UNLIMITED_FROM { Self::Unlimited } else { Self::At(Bytes(bytes)) }
    }

    /// The figure, where there is a limit.
    pub fn finite(self) -> Option<Bytes> {
        match self {
            Self::At(bytes) => Some(bytes),
            Self::Unlimited => None,
        }
    }
}

impl Reading<Limit> {
    /// The lesser of two limits.
    pub fn least(self, other: Self) -> Self {
        self.combine(other, |a, b| Some(a.min(b)))
    }

    /// The figure, where there is a limit and it is known.
    pub fn finite(self) -> Option<Bytes> {
        self.present().and_then(Limit::finite)
    }

    /// Whether huge pages were granted: a limit that is neither zero nor infinite.
    pub fn is_grant(self) -> bool {
        self.finite().is_some_and(|bytes| bytes > Bytes::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_unlimited_are_one() {
        for bytes in [
            4_611_686_018_427_387_904,
            9_223_372_036_854_771_712,
            9_223_372_036_852_678_656,
            9_223_372_035_781_033_984,
            9_223_372_019_674_906_624,
            u64::MAX,
        ] {
            assert_eq!(Limit::from_bytes(bytes), Limit::Unlimited, "{bytes}");
        }
        assert_eq!(Limit::from_bytes(0), Limit::At(Bytes::ZERO));
        assert_eq!(Limit::from_bytes((1 << 62) - 4096), Limit::At(Bytes((1 << 62) - 4096)));
    }

    #[test]
    fn unlimited_is_above_every_limit() {
        let finite = Reading::Present(Limit::At(Bytes(u64::MAX >> 2)));
        assert_eq!(finite.least(Reading::Present(Limit::Unlimited)), finite);
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let one = Reading::Present(Bytes(1));
        assert_eq!(one.plus(Reading::Failed), Reading::Failed);
        assert_eq!(Reading::<Bytes>::Failed.plus(Reading::Absent), Reading::Failed);
        assert_eq!(one.plus(Reading::Absent), one);
        assert_eq!(one.plus(Reading::Present(Bytes(u64::MAX))), Reading::Failed);
    }

    #[test]
    fn only_a_finite_limit_above_zero_is_a_grant() {
        assert!(Reading::Present(Limit::At(Bytes(1))).is_grant());
        assert!(!Reading::Present(Limit::At(Bytes::ZERO)).is_grant());
        assert!(!Reading::Present(Limit::Unlimited).is_grant());
        assert!(!Reading::<Limit>::Failed.is_grant());
    }
}
