//! The node's pools: who holds what of each page size, as a whole and on every NUMA node.

use maud::{Markup, html};

use super::bar::{self, Part};
use super::heads::{Look, head, legend, meanings};
use crate::assessment::{PoolState, TenantSize};
use crate::render::columns::{self, Column};
use crate::render::figures::{bytes, lost_count, show};
use crate::snapshot::{NumaPool, Pool, Reading};
use crate::units::{Bytes, NumaNode, Pages};
use crate::view::View;

/// What a pool's pages may be: how it is drawn, and its words. They are drawn in the order of [`columns::POOL`], and
/// what is free as a whole where it is not known how much of it is reserved.
const LOOKS: [Look; 7] = [
    ("pods", "touched by pods"),
    ("services", "touched by services"),
    ("orphaned", "orphaned"),
    ("unexplained", "unexplained"),
    ("free", "free, reserved or not"),
    ("reserved", "reserved"),
    ("available", "available"),
];

const NONE: Reading<Bytes> = Reading::Present(Bytes::ZERO);

/// A pool, or a NUMA node's part of it.
struct Holding {
    of: String,
    /// As [`columns::POOL`] has them.
    figures: [Reading<Bytes>; 8],
}

pub(super) fn section(view: &View) -> Markup {
    html! {
        section aria-labelledby="pools" {
            h2 #pools { "Huge-page pools of this node" }
            @if view.snapshot.pools.is_empty() {
                p { "This node has none." }
            } @else {
                @let pools = html! { @for pool in &view.snapshot.pools { (one(view, pool)) } };
                (legend(&LOOKS, &pools))
                (pools)
                (meanings(&columns::POOL))
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
            @if let Some(lost) = state.and_then(|state| lost_count(pool, state)) { p { (lost) } }
            p .facts {
                (pages(pool.available())) " pages are available, "
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
            " is not yet mapped"
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
                    @for column in &columns::POOL { (head(column)) }
                }
            }
            tbody { @for holding in holdings { (row(&holding)) } }
        }
    }
}

fn row(holding: &Holding) -> Markup {
    let [total, ..] = holding.figures;
    html! {
        tr {
            th scope="row" { (holding.of) }
            td {
                @match total {
                    Reading::Present(Bytes::ZERO) => span .unseen { "none" },
                    Reading::Present(total) => (drawn(&holding.figures, total)),
                    Reading::Absent | Reading::Failed => span .unseen { "could not be read" },
                }
            }
            @for figure in holding.figures { td { (bytes(figure)) } }
        }
    }
}

fn drawn(figures: &[Reading<Bytes>; 8], total: Bytes) -> Markup {
    let [_, touched @ .., free, reserved, available] = figures;
    let is_split = reserved.present().is_some() && available.present().is_some();
    let free = if is_split { [&NONE, reserved, available] } else { [free, &NONE, &NONE] };
    let parts = LOOKS.iter().zip(touched.iter().chain(free));
    let parts: Vec<Part> = parts
        .map(|((look, _), part)| Part { look, bytes: part.present().unwrap_or_default() })
        .collect();
    let figures = columns::POOL.iter().zip(figures).skip(1).filter(|(_, part)| part.is_some());
    let label = figures.map(|(Column { word, .. }, part)| format!("{} {word}", bytes(*part)));
    bar::stacked(&parts, total, &label.collect::<Vec<_>>().join(", "))
}

fn whole(view: &View, pool: &Pool, state: Option<&PoolState>) -> Holding {
    let (size, free) = (pool.bytes(pool.size), pool.bytes(pool.free));
    let used = less(size, free);
    let (pods, services) = held(view, pool, |size| size.usage);
    let orphaned = state.map_or(Reading::Absent, |state| state.orphaned);
    let told = NONE.plus(pods).plus(services).plus(orphaned);
    Holding {
        of: "all".to_owned(),
        figures: [
            size,
            pods,
            services,
            orphaned,
            less(used, told),
            free,
            pool.reserved_bytes(),
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
        figures: [
            size,
            pods,
            services,
            none,
            less(less(size, free), NONE.plus(pods).plus(services)),
            free,
            none,
            none,
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
