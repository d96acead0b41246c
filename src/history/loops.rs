//! Containers that end over a refusal, and come again.

use std::time::Duration;

/// Who ends so soon after a refusal ended over it: a server that insists on huge pages does at once.
const SOON: Duration = Duration::from_secs(30);

/// Ends further apart belong to two stories: the longest back-off of a kubelet is five minutes.
const APART: Duration = Duration::from_secs(15 * 60);

/// How often instances of one container ended just after they were refused a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedEnds {
    /// How many instances.
    pub count: u32,
    /// When the first of them ended, and the last.
    pub first: Duration,
    /// The last of them.
    pub last: Duration,
}

impl RefusedEnds {
    /// An instance that was refused at one time and gone at another; nothing where it ended over something else.
    pub(super) fn of(refused: Duration, ended: Duration) -> Option<Self> {
        let is_soon = ended.saturating_sub(refused) <= SOON;
        is_soon.then_some(Self { count: 1, first: ended, last: ended })
    }

    /// Those of a container and those that its pod alone counted. Of one poll they are of the same instance, which was found
    /// gone before its refusal was read.
    pub fn of_one(own: Option<Self>, unseen: Option<Self>) -> Option<Self> {
        match (own, unseen) {
            (Some(own), Some(unseen)) if own.last == unseen.last => {
                let first = own.first.min(unseen.first);
                Some(Self { count: own.count.max(unseen.count), first, last: own.last })
            }
            _ => Self::with(own, unseen),
        }
    }

    /// Both together, as far as they are one story.
    pub fn with(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
        let (earlier, later) = if other.first < one.first { (other, one) } else { (one, other) };
        if later.first.saturating_sub(earlier.last) > APART {
            return Some(later);
        }
        Some(Self {
            count: earlier.count.saturating_add(later.count),
            first: earlier.first,
            last: earlier.last.max(later.last),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(times: &[u64]) -> Option<RefusedEnds> {
        let one = |at: &u64| RefusedEnds::of(Duration::from_secs(*at), Duration::from_secs(*at));
        times.iter().map(one).fold(None, RefusedEnds::with)
    }

    #[test]
    fn ends_add_up_in_whatever_order_they_are_told() {
        let all =
            RefusedEnds { count: 3, first: Duration::from_secs(1), last: Duration::from_secs(40) };
        for times in [[1, 20, 40], [40, 1, 20], [20, 40, 1]] {
            assert_eq!(ends(&times), Some(all), "{times:?}");
        }
        assert_eq!(ends(&[1, 2, 2000]).map(|ends| ends.count), Some(1), "that is another story");
    }

    #[test]
    fn one_end_is_counted_once() {
        let both = |own: &[u64], unseen: &[u64]| {
            RefusedEnds::of_one(ends(own), ends(unseen)).map(|ends| ends.count)
        };
        assert_eq!(both(&[4], &[4]), Some(1), "it was one instance");
        assert_eq!(both(&[4], &[2]), Some(2));
        assert_eq!(both(&[2, 4], &[4]), Some(2));
        assert_eq!(both(&[], &[2, 4]), Some(2));
    }

    #[test]
    fn who_lives_on_for_a_while_ends_over_something_else() {
        let end = |after| RefusedEnds::of(Duration::ZERO, Duration::from_secs(after));
        assert_eq!((end(30).is_some(), end(31)), (true, None));
    }
}
