//! The report for a terminal, 80 columns wide: what will crash, then who is tight, then the pools.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Style, findings};
use crate::assessment::TenantSize;
use crate::render::columns;
use crate::render::figures::{Short, bytes, limit, show};
use crate::render::tenants::by_danger;
use crate::snapshot::{Health, Pool, Reading, SourceHealth};
use crate::units::Pages;
use crate::view::View;

/// The report of a view.
pub fn table(view: &View, style: Style) -> String {
    let all_seen = view.snapshot.sources.iter().all(SourceHealth::is_up);
    let mut text = view.node.as_ref().map_or_else(String::new, |node| format!("Node {node}\n\n"));
    text += &findings::text(&view.assessment.findings, style, all_seen);
    section(
        &mut text,
        "Pods and their containers",
        &tenants(view),
        "No pod holds, was granted or was refused any.",
    );
    if !view.assessment.services.is_empty() {
        section(&mut text, "Other users", &services(view), "");
    }
    section(
        &mut text,
        "Huge-page pools of this node, in pages",
        &pools(&view.snapshot.pools),
        "This node has none.",
    );
    let problems: Vec<_> = view
        .snapshot
        .sources
        .iter()
        .filter_map(|source| match &source.health {
            Health::Up => None,
            Health::Down(why) => Some(format!("  {}: {why}", source.source)),
        })
        .collect();
    if !problems.is_empty() {
        let _ = write!(text, "\nNot seen:\n{}\n", problems.join("\n"));
    }
    text
}

/// A heading, and the rows below it or what to say without any.
fn section(text: &mut String, heading: &str, table: &Table, without: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    // Writing into a String cannot fail.
    let _ = if table.is_empty() {
        writeln!(text, "{heading}\n  {without}")
    } else {
        writeln!(text, "{heading}\n{}", table.trim_fmt())
    };
}

/// A table of columns, the first `left` of them aligned to the left.
fn with_columns(header: &[&str], left: usize) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(80);
    table.set_header(header);
    for column in table.column_iter_mut().skip(left) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn pools(pools: &[Pool]) -> Table {
    let mut table = with_columns(
        &["page size", "node", "total", "free", "reserved", "available", "surplus"],
        2,
    );
    for pool in pools {
        table.add_row([
            pool.page_size.to_string(),
            "all".to_owned(),
            pages(pool.size),
            pages(pool.free),
            pages(pool.reserved),
            pages(pool.available()),
            pages(pool.surplus),
        ]);
        // One node is all there is; the kernel keeps no reservation by node.
        for part in pool.nodes.iter().filter(|_| pool.nodes.len() > 1) {
            let (total, free, surplus) = (pages(part.size), pages(part.free), pages(part.surplus));
            let node = part.node.to_string();
            table.add_row([
                String::new(),
                node,
                total,
                free,
                String::new(),
                String::new(),
                surplus,
            ]);
        }
    }
    table
}

fn of_tenants(who: &str) -> Table {
    let words = columns::TENANT.map(|column| column.word);
    with_columns(&[&[who], &words[..]].concat(), 2)
}

fn tenants(view: &View) -> Table {
    let mut table = of_tenants("pod / container");
    for pod in by_danger(view) {
        add_tenant(&mut table, &pod.name(), pod.sizes, |size| pod.short(size));
        for container in &pod.containers {
            let name = format!("  {}", container.identity.container);
            add_tenant(&mut table, &name, &container.sizes, Short::of);
        }
    }
    table
}

fn services(view: &View) -> Table {
    let mut table = of_tenants("cgroup");
    for service in &view.assessment.services {
        add_tenant(&mut table, &service.cgroup, &service.sizes, Short::of);
    }
    table
}

/// A row for each page size, the name on the first.
fn add_tenant(
    table: &mut Table,
    name: &str,
    sizes: &[TenantSize],
    short: impl Fn(&TenantSize) -> Short,
) {
    if sizes.is_empty() {
        table.add_row([name]);
    }
    for (index, size) in sizes.iter().enumerate() {
        table.add_row([
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
