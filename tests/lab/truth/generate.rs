//! All combinations, and the batches that they are run in.

use super::scenario::{Mapping, Need, Place, Plan, Point, Pool, Reservation};

const NEEDS: [Need; 5] =
    [Need::Below, Need::Equal, Need::OneAbove, Need::FarAbove, Need::LimitZero];
const PLACES: [Place; 4] = [Place::Container, Place::Pod, Place::Both, Place::Ancestor];
const RESERVATIONS: [Reservation; 3] =
    [Reservation::Unset, Reservation::Equal, Reservation::Looser];
const POOLS: [Pool; 3] = [Pool::Ample, Pool::Exact, Pool::Exhausted];

/// Every combination for one kind of mapping.
pub fn product(mapping: Mapping) -> Vec<Point> {
    let mut points = Vec::new();
    for pool in POOLS {
        for place in PLACES {
            for reservation in RESERVATIONS {
                for need in NEEDS {
                    for containers in [1, 2] {
                        points.push(Point { mapping, need, place, reservation, pool, containers });
                    }
                }
            }
        }
    }
    points
}

/// Why a combination says nothing that another does not say, if so.
pub fn redundant(point: &Point) -> Option<&'static str> {
    let refused = point.pool == Pool::Exhausted && point.mapping.is_reserved();
    // One need within the limit and one beyond it stay, to show that nothing is what becomes of both.
    (refused && !matches!(point.need, Need::Equal | Need::FarAbove))
        .then_some("an exhausted pool refuses every mapping with a reservation, however large")
}

/// The most scenarios of a batch: more make each poll slow.
const MOST: usize = 80;
/// The most pages that a batch may map, of the pool's 500.
const MOST_PAGES: u64 = 440;

/// Scenarios that are on the node at the same time: they share a state of the pool and fit into it.
pub fn batches(plans: Vec<Plan>) -> Vec<Vec<Plan>> {
    let mut batches: Vec<Vec<Plan>> = Vec::new();
    for plan in plans {
        let pages = |batch: &Vec<Plan>| batch.iter().map(Plan::pages).sum::<u64>();
        match batches.iter_mut().rev().find(|batch| batch[0].pool == plan.pool) {
            Some(batch) if batch.len() < MOST && pages(batch) + plan.pages() <= MOST_PAGES => {
                batch.push(plan);
            }
            _ => batches.push(vec![plan]),
        }
    }
    batches
}
