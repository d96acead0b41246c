//! Pools on the wire.

use serde::Serialize;

use super::{Figure, bytes, signed};
use crate::assessment::PoolState;
use crate::snapshot::Pool;

#[derive(Serialize)]
pub(super) struct PoolReport {
    pagesize: String,
    #[serde(flatten)]
    figures: PoolFigures,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    reserved_bytes: Figure<i64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    available_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    overcommit_limit_bytes: Figure<u64>,
    #[serde(flatten)]
    promises: Option<Promises>,
    numa: Vec<NodeReport>,
}

#[derive(Serialize)]
struct Promises {
    #[serde(skip_serializing_if = "Figure::is_absent")]
    promised_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    unfilled_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    shortfall_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    orphaned_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    unattributed_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    unattributed_reserved_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_reservations_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PoolFigures {
    #[serde(skip_serializing_if = "Figure::is_absent")]
    size_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    free_bytes: Figure<u64>,
    #[serde(skip_serializing_if = "Figure::is_absent")]
    surplus_bytes: Figure<u64>,
}

#[derive(Serialize)]
struct NodeReport {
    numa_node: u32,
    #[serde(flatten)]
    figures: PoolFigures,
}

fn promises(state: &PoolState) -> Promises {
    Promises {
        promised_bytes: bytes(state.promised),
        unfilled_bytes: bytes(state.unfilled),
        shortfall_bytes: bytes(state.shortfall),
        orphaned_bytes: bytes(state.orphaned),
        unattributed_bytes: bytes(state.unattributed),
        unattributed_reserved_bytes: bytes(state.unattributed_reserved),
        lost_reservations_bytes: state.lost_reservations.map(|lost| lost.0),
    }
}

pub(super) fn pool(pool: &Pool, states: &[PoolState]) -> PoolReport {
    let state = states.iter().find(|state| state.page_size == pool.page_size);
    let in_bytes = |pages| bytes(pool.bytes(pages));
    PoolReport {
        pagesize: pool.page_size.to_string(),
        figures: PoolFigures {
            size_bytes: in_bytes(pool.size),
            free_bytes: in_bytes(pool.free),
            surplus_bytes: in_bytes(pool.surplus),
        },
        reserved_bytes: signed(pool.counted_reserved_bytes()),
        available_bytes: in_bytes(pool.available()),
        overcommit_limit_bytes: in_bytes(pool.overcommit_limit),
        promises: state.map(promises),
        numa: pool
            .nodes
            .iter()
            .map(|part| NodeReport {
                numa_node: part.node.0,
                figures: PoolFigures {
                    size_bytes: in_bytes(part.size),
                    free_bytes: in_bytes(part.free),
                    surplus_bytes: in_bytes(part.surplus),
                },
            })
            .collect(),
    }
}
