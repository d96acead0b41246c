//! What the processes of one container have mapped, each page counted once.
//!
//! Two processes need not map one object alike: one mapping may be split in two by `mprotect`, or one process may
//! have mapped more of it. What overlaps or touches becomes one run.

use std::collections::BTreeMap;

use super::smaps::{Object, Vma};
use crate::snapshot::{MappedObject, Mapping};
use crate::units::Bytes;

/// Runs that neither overlap nor touch, by where in which object they begin.
#[derive(Debug, Default)]
pub(super) struct Runs(BTreeMap<(Object, u64), Run>);

#[derive(Debug, Clone, Copy)]
struct Run {
    end: u64,
    /// At least so many bytes of it are touched.
    touched: u64,
}

impl Runs {
    /// Those of one process.
    pub(super) fn of(vmas: &[Vma]) -> Self {
        let mut runs = Self::default();
        for Vma { object, range: (start, end), touched } in vmas {
            runs.add(*object, *start, Run { end: *end, touched: *touched });
        }
        runs
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds another process's, up to that many runs; says whether there was room for all.
    pub(super) fn add_all(&mut self, others: Self, most: usize) -> bool {
        let mut all = true;
        for ((object, start), run) in others.0 {
            let joins =
                self.last_until(object, run.end).is_some_and(|(_, other)| other.end >= start);
            if joins || self.len() < most {
                self.add(object, start, run);
            } else {
                all = false;
            }
        }
        all
    }

    /// Of what overlaps, either may have touched what the other has; what only touches was touched besides.
    fn add(&mut self, object: Object, mut start: u64, run: Run) {
        let (from, mut end) = (start, run.end);
        let (mut beside, mut below) = (0_u64, 0_u64);
        while let Some((key, other)) =
            self.last_until(object, end).filter(|(_, other)| other.end >= from)
        {
            self.0.remove(&key);
            let sum = if other.end == from || key.1 == run.end { &mut beside } else { &mut below };
            *sum = sum.saturating_add(other.touched);
            start = start.min(key.1);
            end = end.max(other.end);
        }
        let touched = below.max(run.touched).saturating_add(beside);
        let touched = touched.min(end.saturating_sub(start));
        self.0.insert((object, start), Run { end, touched });
    }

    /// The last run of an object that begins at or before that offset.
    fn last_until(&self, object: Object, offset: u64) -> Option<((Object, u64), Run)> {
        let (key, run) = self.0.range((object, 0)..=(object, offset)).next_back()?;
        Some((*key, *run))
    }

    /// As the snapshot has them, in order.
    pub(super) fn into_mappings(self) -> Vec<Mapping> {
        let mut mappings: Vec<Mapping> = self
            .0
            .into_iter()
            .map(|((object, offset), run)| Mapping {
                object: MappedObject { device: object.device, inode: object.inode, offset },
                page_size: object.page_size,
                size: Bytes(run.end.saturating_sub(offset)),
                touched: Bytes(run.touched),
                shared: object.shared,
                reserved: object.reserved,
            })
            .collect();
        // Stable, so what is alike stays in the order above.
        mappings.sort_by_key(|mapping| mapping.object);
        mappings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PageSize;
    use proptest::prelude::*;

    fn vma(inode: u64, start: u64, end: u64, touched: u64) -> Vma {
        let page_size = PageSize::from_bytes(1).expect("a size");
        let device = (0, 17);
        let object =
            Object { device, inode, segment: false, page_size, shared: true, reserved: true };
        Vma { object, range: (start, end), touched }
    }

    /// Begin, end and touched of all runs of all these processes.
    fn together(processes: &[&[Vma]]) -> Vec<(u64, u64, u64)> {
        let mut runs = Runs::default();
        for vmas in processes {
            assert!(runs.add_all(Runs::of(vmas), 100));
        }
        let mappings = runs.into_mappings();
        let shown = |m: &Mapping| (m.object.offset, m.object.offset + m.size.0, m.touched.0);
        mappings.iter().map(shown).collect()
    }

    #[test]
    fn what_two_processes_map_is_one() {
        let (large, small) = ([vma(1, 0, 100, 30)], [vma(1, 0, 40, 40)]);
        assert_eq!(together(&[&large, &small]), [(0, 100, 40)]);
        assert_eq!(together(&[&small, &large]), [(0, 100, 40)]);
        assert_eq!(together(&[&[vma(1, 0, 60, 10)], &[vma(1, 50, 100, 50)]]), [(0, 100, 50)]);
    }

    #[test]
    fn a_mapping_that_was_split_is_the_same() {
        let (whole, split) = ([vma(1, 0, 100, 0)], [vma(1, 60, 100, 40), vma(1, 0, 60, 60)]);
        assert_eq!(together(&[&whole, &split]), [(0, 100, 100)]);
        assert_eq!(together(&[&split, &whole]), [(0, 100, 100)]);
    }

    #[test]
    fn what_is_mapped_twice_is_touched_once() {
        let views = [vma(1, 0, 100, 70), vma(1, 0, 100, 70), vma(1, 0, 100, 70)];
        assert_eq!(together(&[&views]), [(0, 100, 70)]);
    }

    #[test]
    fn there_is_room_for_what_is_there_already() {
        let mut runs = Runs::default();
        assert!(runs.add_all(Runs::of(&[vma(1, 0, 10, 0)]), 1));
        assert!(runs.add_all(Runs::of(&[vma(1, 5, 20, 0)]), 1));
        assert!(!runs.add_all(Runs::of(&[vma(2, 0, 10, 0)]), 1));
        assert_eq!(runs.len(), 1);
    }

    #[test]
    fn other_objects_and_gaps_stay_apart() {
        let apart = [vma(1, 0, 10, 1), vma(1, 11, 20, 2), vma(2, 0, 10, 3)];
        assert_eq!(together(&[&apart]), [(0, 10, 1), (11, 20, 2), (0, 10, 3)]);
        let mut private = vma(1, 0, 10, 4);
        private.object.shared = false;
        assert_eq!(together(&[&[vma(1, 0, 10, 1)], &[private]]), [(0, 10, 4), (0, 10, 1)]);
    }

    proptest! {
        #[test]
        fn runs_cover_exactly_what_is_mapped(
            processes in proptest::collection::vec(
                proptest::collection::vec((0_u64..40, 1_u64..10, 0_u64..10), 0..6), 0..4)
        ) {
            let processes: Vec<Vec<Vma>> = processes.iter()
                .map(|vmas| vmas.iter().map(|(start, size, touched)| vma(1, *start, start + size, *touched.min(size))).collect())
                .collect();
            let slices: Vec<&[Vma]> = processes.iter().map(Vec::as_slice).collect();
            let runs = together(&slices);
            for offset in 0..50 {
                let mapped = slices.iter().flat_map(|vmas| vmas.iter()).any(|v| (v.range.0..v.range.1).contains(&offset));
                let shown = runs.iter().filter(|(start, end, _)| (*start..*end).contains(&offset)).count();
                prop_assert_eq!(shown, usize::from(mapped));
            }
            prop_assert!(runs.iter().all(|(start, end, touched)| *touched <= end - start));
        }
    }
}
