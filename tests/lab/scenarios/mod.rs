//! What is tried on the real kernel.

mod abuse;
mod access;
mod by_hand;
mod clients;
mod faults;
pub mod figures;
mod guard;
mod heirs;
mod image;
mod incident;
mod lifecycle;
pub mod mappings;
pub mod memory;
mod panels;
mod postgres;
mod probe;
mod probing;
mod reader;
mod runtimes;
mod scraped;
mod soak;
mod tls;
mod waking;
pub mod witness;

use crate::Lab;
use crate::evidence;
use crate::machine::Phase;
use crate::refusals;
use crate::truth;

/// One scenario in one phase.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// How the machine is mounted.
    pub phase: Phase,
    /// What it is called.
    pub name: &'static str,
    /// What it does; it panics where something is wrong.
    pub run: fn(&Lab),
}

/// A scenario, by its name.
pub type Named = (&'static str, fn(&Lab));

/// All scenarios, phase by phase: remounting is dear.
pub fn all() -> Vec<Scenario> {
    let as_found = [access::AS_FOUND, tls::AS_FOUND].concat();
    let named = [(Phase::AsFound, as_found), (Phase::V2, v2()), (Phase::V1, v1())];
    let of = |(phase, named): (Phase, Vec<Named>)| {
        named.into_iter().map(move |(name, run)| Scenario { phase, name, run })
    };
    named.into_iter().flat_map(of).collect()
}

fn v2() -> Vec<Named> {
    [
        figures::BOTH,
        figures::V2,
        lifecycle::BOTH,
        lifecycle::V2,
        waking::V2,
        witness::V2,
        reader::BOTH,
        probe::V2,
        mappings::BOTH,
        access::BOTH,
        runtimes::BOTH,
        probe::BOTH,
        probing::BOTH,
        by_hand::BOTH,
        image::BOTH,
        image::V2,
        truth::BOTH,
        truth::NAMED,
        truth::CROSSED,
        refusals::BOTH,
        postgres::BOTH,
        incident::BOTH,
        heirs::BOTH,
        guard::BOTH,
        incident::V2,
        scraped::V2,
        abuse::V2,
        clients::V2,
        faults::V2,
        soak::V2,
    ]
    .concat()
}

fn v1() -> Vec<Named> {
    [
        figures::BOTH,
        figures::V1,
        lifecycle::BOTH,
        reader::BOTH,
        mappings::BOTH,
        access::BOTH,
        runtimes::BOTH,
        probe::BOTH,
        probing::BOTH,
        by_hand::BOTH,
        image::BOTH,
        truth::BOTH,
        truth::NAMED,
        truth::CROSSED,
        refusals::BOTH,
        postgres::BOTH,
        incident::BOTH,
        guard::BOTH,
        if evidence::is_long() { heirs::BOTH } else { &[] },
        if evidence::is_long() { soak::V1 } else { &[] },
    ]
    .concat()
}
