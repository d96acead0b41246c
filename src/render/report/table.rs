//! The report for a terminal: what will crash, then who is tight, then the pools.

use std::fmt::Write;

use super::layout::Rows;
use super::{Layout, findings, lines};
use crate::assessment::TenantSize;
use crate::render::columns;
use crate::render::figures::{Short, bytes, limit, lost_count, show};
use crate::render::guard;
use crate::render::tenants::{OfMemory, by_danger, of_memory};
use crate::snapshot::{Pool, Reading, Source};
use crate::units::Pages;
use crate::view::View;

/// The report of a view.
pub fn table(view: &View, layout: Layout<'_>) -> String {
    let unseen: Vec<_> = view.snapshot.failures().collect();
    let failed = |source| unseen.iter().any(|(failed, _)| *failed == source);
    let mut text = view.node.as_ref().map_or_else(String::new, |node| format!("Node {node}\n\n"));
    text += &findings::text(&view.assessment.findings, layout, unseen.is_empty());
    text += &findings::muted(&view.assessment.muted, layout);
    text += &findings::killed(&view.assessment.killed, layout);
    let no_pods = match view.snapshot.hierarchy {
        _ if failed(Source::Cgroups) => "Could not look at all cgroups.".to_owned(),
        None => no_controller(&view.snapshot.pools),
        Some(_) => format!("No pod{} holds, was granted or was refused any.", layout.whom),
    };
    let mut section = |heading: &str, rows: &Rows, without: &str| {
        section(&mut text, layout.width, heading, rows, without);
    };
    section("Pods and their containers", &tenants(view), &no_pods);
    let memory = memory(view);
    if !memory.is_empty() {
        section("Their memory, which huge pages count as on this node", &memory, "");
    }
    if !view.assessment.services.is_empty() {
        section("Other users", &services(view), "");
    }
    let no_pools = if failed(Source::Pools) { "Could not look." } else { "This node has none." };
    section("Huge-page pools of this node, in pages", &pools(&view.snapshot.pools), no_pools);
    for lost in view.pools().filter_map(|(pool, state)| lost_count(pool, state)) {
        let _ = writeln!(text, "{}", lines::wrap(&lost, layout.width, "  ", "  ").join("\n"));
    }
    if let Some(guard) = guard::sentence(view) {
        let _ =
            writeln!(text, "\nGuard\n{}", lines::wrap(&guard, layout.width, "  ", "  ").join("\n"));
    }
    if !unseen.is_empty() {
        text.push_str("\nNot seen:\n");
    }
    for (source, why) in unseen {
        let _ = writeln!(text, "  {source}: {why}");
    }
    text
}

/// A heading, and the rows below it or what to say without any.
pub(super) fn section(text: &mut String, width: usize, heading: &str, rows: &Rows, without: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    let below = if rows.is_empty() {
        lines::wrap(without, width, "  ", "  ").join("\n")
    } else {
        rows.text(width)
    };
    let heading = lines::wrap(heading, width, "", "").join("\n");
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{heading}\n{below}");
}

/// It matters only where there are pages to be limited.
fn no_controller(pools: &[Pool]) -> String {
    let none = "This node has no hugetlb controller: no pod is limited or shown.";
    if pools.iter().all(Pool::is_empty) {
        format!("{none} None needs to be, since this node has no huge pages.")
    } else {
        none.to_owned()
    }
}

fn pools(pools: &[Pool]) -> Rows {
    let heads = ["page size", "node", "total", "free", "reserved", "available", "surplus"];
    let mut rows = Rows::new(&heads, 2);
    for pool in pools {
        rows.add([
            pool.page_size.to_string(),
            "all".to_owned(),
            pages(pool.size),
            pages(pool.free),
            show(pool.reserved, |pages| pages.0.to_string()),
            pages(pool.available()),
            pages(pool.surplus),
        ]);
        // One node is all there is; the kernel keeps no reservation by node.
        for part in pool.nodes.iter().filter(|_| pool.nodes.len() > 1) {
            let (total, free, surplus) = (pages(part.size), pages(part.free), pages(part.surplus));
            let node = part.node.to_string();
            rows.add([String::new(), node, total, free, String::new(), String::new(), surplus]);
        }
    }
    rows
}

pub(super) fn of_tenants(who: &'static str) -> Rows {
    let words = columns::TENANT.map(|column| column.word);
    Rows::new(&[&[who], &words[..]].concat(), 2)
}

fn tenants(view: &View) -> Rows {
    let mut rows = of_tenants("pod / container");
    for pod in by_danger(view) {
        add_tenant(&mut rows, &pod.name(), pod.sizes, |size| pod.short(size));
        for container in &pod.containers {
            let name = format!("  {}", container.identity.container);
            add_tenant(&mut rows, &name, &container.sizes, Short::of);
        }
    }
    rows
}

fn memory(view: &View) -> Rows {
    let words = columns::MEMORY.map(|column| column.word);
    let mut rows = Rows::new(&[&["pod / container"], &words[..]].concat(), 1);
    for OfMemory { pod, container, memory } in of_memory(view, &by_danger(view)) {
        rows.add([
            if container.is_empty() { pod } else { format!("  {container} of {pod}") },
            memory.limit.to_string(),
            bytes(memory.usage),
            memory.to_come.to_string(),
            Short::of_memory(memory).to_string(),
        ]);
    }
    rows
}

fn services(view: &View) -> Rows {
    let mut rows = of_tenants("cgroup");
    for service in &view.assessment.services {
        add_tenant(&mut rows, &service.cgroup, &service.sizes, Short::of);
    }
    rows
}

/// A row for each page size, the name on the first.
fn add_tenant(
    rows: &mut Rows,
    name: &str,
    sizes: &[TenantSize],
    short: impl Fn(&TenantSize) -> Short,
) {
    if sizes.is_empty() {
        rows.add([name.to_owned()]);
    }
    for (index, size) in sizes.iter().enumerate() {
        rows.add([
            if index == 0 { name.to_owned() } else { String::new() },
            size.page_size.to_string(),
            limit(size.limit),
            bytes(size.reserved),
            bytes(size.usage),
            bytes(size.outlook.headroom),
            short(size).to_string(),
            show(size.failures, |failures| failures.to_string()),
        ]);
    }
}

fn pages(reading: Reading<Pages>) -> String {
    show(reading, |pages| pages.0.to_string())
}
