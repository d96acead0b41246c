//! The memory of those that hold huge pages, where these count as memory: a bar each.

use maud::{Markup, html};

use super::bar;
use super::heads::{Look, head, legend, meanings};
use crate::assessment::MemoryOutlook;
use crate::render::columns;
use crate::render::figures::{Short, bytes};
use crate::render::tenants::{OfMemory, Tenants, of_memory};
use crate::units::Bytes;
use crate::view::View;

const LOOKS: [Look; 5] = [
    ("touched", "charged"),
    ("mapped", "huge pages to come"),
    ("short", "huge pages that there is no room for"),
    ("mark", "limit of memory"),
    ("within", "rest of the limit"),
];

/// Nothing where huge pages do not count as memory, or nobody who has some has a limit.
pub(super) fn section(pods: &[Tenants<'_>], view: &View) -> Markup {
    let rows = of_memory(view, pods);
    if rows.is_empty() {
        return html! {};
    }
    let table = table(&rows);
    html! {
        section aria-labelledby="memory" {
            h2 #memory { "Their memory, which huge pages count as on this node" }
            (legend(&LOOKS, &table))
            (table)
            (meanings(&columns::MEMORY))
        }
    }
}

fn table(rows: &[OfMemory<'_>]) -> Markup {
    html! {
        table .tenants aria-labelledby="memory" {
            thead {
                tr {
                    th scope="col" { "pod / container" }
                    th scope="col" { "of the limit" }
                    @for column in &columns::MEMORY { (head(column)) }
                }
            }
            tbody { @for row in rows { (one(row)) } }
        }
    }
}

fn one(OfMemory { pod, container, memory }: &OfMemory<'_>) -> Markup {
    let short = Short::of_memory(memory);
    html! {
        tr {
            th scope="row" {
                b { bdi { (pod) } }
                @if !container.is_empty() { " " bdi { (container) } }
            }
            td { (drawn(memory)) }
            td { (memory.limit) }
            td { (bytes(memory.usage)) }
            td { (memory.to_come) }
            @if let Short::By(_) = short { td .too-little { (short) } } @else { td { (short) } }
        }
    }
}

/// What is charged and stays, then what is to come; of the first no more is known than the whole where there is room for all.
fn drawn(memory: &MemoryOutlook) -> Markup {
    let fixed = memory.held.map(|held| Bytes(held.huge.0.saturating_add(held.other.0)));
    let Some(charged) = fixed.or(memory.usage.present()) else {
        return html! { span .unseen { "all is touched" } };
    };
    let short = memory.shortfall.present().unwrap_or_default();
    bar::of_memory(charged, memory.to_come, short, memory.limit)
}
