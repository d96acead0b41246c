//! The node's pools: who holds what of each page size, as a whole and on every NUMA node.

use maud::{Markup, html};

use super::bar::{self, Part};
use crate::assessment::{PoolState, TenantSize};
use crate::render::figures::{bytes, show};
use crate::snapshot::{NumaPool, Pool, Reading};
use crate::units::{Bytes, NumaNode, Pages};
use crate::view::View;

/// Who may hold pages: how it is drawn, and its words.
const HOLDERS: [(&str, &str); 6] = [
    ("pods", "pods"),
    ("services", "services"),
    ("orphaned", "orphaned"),
    ("unexplained", "unexplained"),
    ("reserved", "reserved"),
    ("free", "free"),
];

const NONE: Reading<Bytes> = Reading::Present(Bytes::ZERO);

/// A pool, or a NUMA node's part of it, in the order of [`HOLDERS`].
struct Holding {
    of: String,
    total: Reading<Bytes>,
    parts: [Reading<Bytes>; 6],
}

pub(super) fn section(view: &View) -> Markup {
    html! {
        section aria-labelledby="pools" {
            h2 #pools { "Huge-page pools of this node" }
            @if view.snapshot.pools.is_empty() {
                p { "This node has none." }
            } @else {
                p .legend {
                    @for (look, words) in HOLDERS { span { (bar::sample(look)) (words) } }
                }
                @for pool in &view.snapshot.pools { (one(view, pool)) }
            }
        }
    }
}

fn one(view: &View, pool: &Pool) -> Markup {
    let pages = |reading: Reading<Pages>| show(reading, |pages| pages.0.to_string());
    let state = view.assessment.pools.iter().find(|state| state.page_size == pool.page_size);
    html! {
        h3 { (pool.page_size) " pages: " (pages(pool.size)) }
        @if pool.size != Reading::Present(Pages(0)) {
            (table(view, pool, state))
            p .facts {
                (pages(pool.available())) " pages are free and reserved by nobody, "
                (pages(pool.surplus)) " are surplus."
                @if let Some(state) = state { (promises(state)) }
            }
        }
    }
}

fn promises(state: &PoolState) -> Markup {
    html! {
        @if state.promised != NONE {
            " Pods may touch " (bytes(state.promised)) ", of which " (bytes(state.unfilled))
            " is not yet reserved"
            @if state.shortfall.is_some() {
                ", " b { (bytes(state.shortfall)) " more than the pool can give" }
            }
            "."
        }
    }
}

fn table(view: &View, pool: &Pool, state: Option<&PoolState>) -> Markup {
    let mut holdings = vec![whole(view, pool, state)];
    // One node is all there is.
    if pool.nodes.len() > 1 {
        holdings.extend(pool.nodes.iter().map(|part| of_node(view, pool, part)));
    }
    html! {
        table .pools aria-label=(format!("Who holds {} pages", pool.page_size)) {
            thead {
                tr {
                    th scope="col" { "NUMA node" }
                    th scope="col" { "held by" }
                    th scope="col" { "total" }
                    @for (_, words) in HOLDERS { th scope="col" { (words) } }
                }
            }
            tbody { @for holding in holdings { (row(&holding)) } }
        }
    }
}

fn row(holding: &Holding) -> Markup {
    let drawn = HOLDERS.iter().zip(holding.parts);
    let parts: Vec<Part> = drawn
        .map(|((look, _), part)| Part { look, bytes: part.present().unwrap_or_default() })
        .collect();
    let held = HOLDERS.iter().zip(holding.parts).filter(|(_, part)| part.is_some());
    let label: Vec<String> =
        held.map(|((_, words), part)| format!("{} {words}", bytes(part))).collect();
    html! {
        tr {
            th scope="row" { (holding.of) }
            td {
                @match holding.total {
                    Reading::Present(Bytes::ZERO) => span .unseen { "none" },
                    Reading::Present(total) => (bar::stacked(&parts, total, &label.join(", "))),
                    Reading::Absent | Reading::Failed => span .unseen { "could not be read" },
                }
            }
            td { (bytes(holding.total)) }
            @for part in holding.parts { td { (bytes(part)) } }
        }
    }
}

fn whole(view: &View, pool: &Pool, state: Option<&PoolState>) -> Holding {
    let (size, free) = (pool.bytes(pool.size), pool.bytes(pool.free));
    let used = less(size, free);
    let (pods, services) = held(view, pool, |size| size.usage);
    let orphaned = state.map_or(Reading::Absent, |state| state.orphaned);
    let told = NONE.plus(pods).plus(services).plus(orphaned);
    Holding {
        of: "all".to_owned(),
        total: size,
        parts: [
            pods,
            services,
            orphaned,
            less(used, told),
            pool.bytes(pool.reserved),
            pool.bytes(pool.available()),
        ],
    }
}

/// The kernel keeps no reservation by node, and what is charged nowhere has none.
fn of_node(view: &View, pool: &Pool, part: &NumaPool) -> Holding {
    let (size, free) = (pool.bytes(part.size), pool.bytes(part.free));
    let (pods, services) = held(view, pool, |size| on_node(size, part.node));
    let none = Reading::Absent;
    Holding {
        of: part.node.to_string(),
        total: size,
        parts: [
            pods,
            services,
            none,
            less(less(size, free), NONE.plus(pods).plus(services)),
            none,
            free,
        ],
    }
}

/// What pods and services hold of a pool: a sum that could not be read in full is none.
fn held(
    view: &View,
    pool: &Pool,
    figure: impl Fn(&TenantSize) -> Reading<Bytes>,
) -> (Reading<Bytes>, Reading<Bytes>) {
    // Where cgroups are seen, one that is not there holds nothing.
    let nobody = if view.snapshot.hierarchy.is_some() { NONE } else { Reading::Absent };
    let sum = |sizes: &mut dyn Iterator<Item = &TenantSize>| {
        let sizes = sizes.filter(|size| size.page_size == pool.page_size);
        sizes.fold(nobody, |sum, size| sum.plus(figure(size)))
    };
    let (pods, services) = (&view.assessment.pods, &view.assessment.services);
    (
        sum(&mut pods.iter().flat_map(|pod| &pod.sizes)),
        sum(&mut services.iter().flat_map(|service| &service.sizes)),
    )
}

fn on_node(size: &TenantSize, node: NumaNode) -> Reading<Bytes> {
    size.numa_usage.as_ref().map(|parts| {
        let part = parts.iter().find(|part| part.node == node);
        part.map_or(Bytes::ZERO, |part| part.usage)
    })
}

/// The one less the other, where both are known.
fn less(a: Reading<Bytes>, b: Reading<Bytes>) -> Reading<Bytes> {
    match (a, b) {
        (Reading::Present(a), Reading::Present(b)) => Reading::Present(a.less(b)),
        (Reading::Failed, _) | (_, Reading::Failed) => Reading::Failed,
        _ => Reading::Absent,
    }
}
