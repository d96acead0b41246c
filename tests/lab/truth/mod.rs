//! The truth table: every scenario is first judged by the agent, then really touched to the end.
//!
//! The outcome is found without the agent: who died, and which cgroup had no room for one more page just before
//! (`blame`). A limit owner is *killed* if a process below it died of its limit, or, without a promise for its
//! pages, a process in it of the empty pool. Safe and will-crash must never be mixed up; uncertain is allowed in
//! the named cases that say so, and nowhere in the product.

pub mod blame;
mod generate;
mod judge;
mod matrix;
mod case;
mod named;
mod crossed;
mod owner;
mod scenario;
mod stage;
pub mod verdict;

pub use crossed::BOTH as CROSSED;
pub use matrix::publish;
pub use named::BOTH as NAMED;

use crate::Lab;
use crate::machine::Phase;
use crate::scenarios::Named;
use scenario::Mapping;

pub const BOTH: &[Named] = &[
    ("truth::product_of_private", |lab| whole(lab, Mapping::Private)),
    ("truth::product_of_shared", |lab| whole(lab, Mapping::Shared)),
    ("truth::product_of_file", |lab| whole(lab, Mapping::File)),
    ("truth::product_of_memfd", |lab| whole(lab, Mapping::Memfd)),
    ("truth::product_of_sys_v", |lab| whole(lab, Mapping::SysV)),
    ("truth::product_of_no_reserve", |lab| whole(lab, Mapping::NoReserve)),
];

/// The whole product for one kind of mapping.
fn whole(lab: &Lab, mapping: Mapping) {
    run(lab, generate::product(mapping));
}

fn run(lab: &Lab, points: Vec<scenario::Point>) {
    assert!(matches!(lab.phase, Phase::V2 | Phase::V1));
    let (left_out, points): (Vec<_>, Vec<_>) =
        points.into_iter().partition(|point| generate::redundant(point).is_some());
    for point in &left_out {
        let reason = generate::redundant(point).unwrap_or_default();
        matrix::note(lab.phase, &format!("combinations left out: {reason}"), 1);
    }
    matrix::note(lab.phase, "scenarios run", points.len());
    let plans = points.iter().map(scenario::Point::plan).collect();
    let mut node = judge::Node::new(lab);
    let mut wrong = Vec::new();
    for batch in generate::batches(plans) {
        wrong.extend(node.run(batch));
    }
    assert!(wrong.is_empty(), "{} wrong verdicts:\n{}", wrong.len(), wrong.join("\n"));
}
