//! Parts of objects that are mapped, and which of them several map.

use std::collections::BTreeMap;

use crate::snapshot::Mapping;
use crate::units::Bytes;

/// An object's device and inode.
type Object = ((i32, i32), u64);

/// From the first byte to the one after the last; in order, and none touches another.
type Ranges = Vec<(u64, u64)>;

/// Parts of objects.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects(BTreeMap<Object, Ranges>);

impl Objects {
    /// Whatever these map.
    pub(super) fn of<'a>(mappings: impl Iterator<Item = &'a Mapping>) -> Self {
        let mut objects: BTreeMap<Object, Ranges> = BTreeMap::new();
        for Mapping { object, size, .. } in mappings {
            let part = (object.offset, object.offset.saturating_add(size.0));
            objects.entry((object.device, object.inode)).or_default().push(part);
        }
        for ranges in objects.values_mut() {
            *ranges = sweep(ranges.iter().map(|part| (*part, 1)), |covers| covers > 0);
        }
        Self(objects)
    }

    /// What any of them holds.
    pub(super) fn all<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        Self::covered(parts, |covers| covers > 0)
    }

    /// What more than one of them hold.
    pub(super) fn several<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        Self::covered(parts, |covers| covers > 1)
    }

    fn covered<'a>(parts: impl Iterator<Item = &'a Self>, keep: fn(i64) -> bool) -> Self {
        let mut objects: BTreeMap<Object, Vec<&Ranges>> = BTreeMap::new();
        for (object, ranges) in parts.flat_map(|part| &part.0) {
            objects.entry(*object).or_default().push(ranges);
        }
        let covered = objects.into_iter().map(|(object, ranges)| {
            let parts = ranges.into_iter().flatten().map(|part| (*part, 1));
            (object, sweep(parts, keep))
        });
        Self(covered.collect())
    }

    /// What the other does not hold.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.against(other, |covers| covers == 1)
    }

    /// What the other holds too.
    pub(super) fn within(&self, other: &Self) -> Self {
        self.against(other, |covers| covers == 3)
    }

    /// Its own parts cover once, the other's twice.
    fn against(&self, other: &Self, keep: fn(i64) -> bool) -> Self {
        let objects = self.0.iter().map(|(object, own)| {
            let others = other.0.get(object).into_iter().flatten();
            let parts = own.iter().map(|part| (*part, 1)).chain(others.map(|part| (*part, 2)));
            (*object, sweep(parts, keep))
        });
        Self(objects.collect())
    }

    /// All of it together.
    pub(super) fn size(&self) -> Bytes {
        let sizes = self.0.values().flatten().map(|(start, end)| end.saturating_sub(*start));
        Bytes(sizes.fold(0, u64::saturating_add))
    }
}

/// The parts whose covers, added up, are to be kept.
fn sweep(parts: impl Iterator<Item = ((u64, u64), i64)>, keep: impl Fn(i64) -> bool) -> Ranges {
    let mut edges: Vec<(u64, i64)> =
        parts.flat_map(|((start, end), covers)| [(start, covers), (end, -covers)]).collect();
    edges.sort_unstable();
    let mut kept: Ranges = Vec::new();
    let (mut from, mut covers) = (0, 0);
    for (at, change) in edges {
        if at > from && keep(covers) {
            match kept.last_mut().filter(|(_, end)| *end == from) {
                Some((_, end)) => *end = at,
                None => kept.push((from, at)),
            }
        }
        (from, covers) = (at, covers + change);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objects(parts: &[(u64, u64)]) -> Objects {
        let ranges = sweep(parts.iter().map(|part| (*part, 1)), |covers| covers > 0);
        Objects([(((0, 1), 7), ranges)].into())
    }

    fn parts() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let part = (0_u64..30, 1_u64..9).prop_map(|(start, size)| (start, start + size));
        prop::collection::vec(part, 0..5)
    }

    fn holds(objects: &Objects, at: u64) -> bool {
        objects.0.values().flatten().any(|(start, end)| (*start..*end).contains(&at))
    }

    proptest! {
        #[test]
        fn every_byte_is_where_it_should_be(a in parts(), b in parts()) {
            let (a, b) = (objects(&a), objects(&b));
            let (without, within) = (a.without(&b), a.within(&b));
            let (all, several) = (Objects::all([&a, &b].into_iter()), Objects::several([&a, &b].into_iter()));
            for at in 0..40 {
                let (in_a, in_b) = (holds(&a, at), holds(&b, at));
                prop_assert_eq!(holds(&without, at), in_a && !in_b);
                prop_assert_eq!(holds(&within, at), in_a && in_b);
                prop_assert_eq!(holds(&several, at), in_a && in_b);
                prop_assert_eq!(holds(&all, at), in_a || in_b);
            }
            let size = (0..40).filter(|at| holds(&all, *at)).count();
            prop_assert_eq!(all.size(), Bytes(u64::try_from(size).expect("small")));
        }
    }
}
