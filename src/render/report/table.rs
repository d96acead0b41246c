//! The report for a terminal, 80 columns wide: what will crash, then who is tight, then the pools.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Style, findings};
use crate::assessment::{Identity, TenantSize};
use crate::snapshot::{Health, Limit, Pool, Reading, SourceHealth};
use crate::units::{Bytes, Pages, SignedBytes};
use crate::view::View;

/// The report of a view.
pub fn table(view: &View, style: Style) -> String {
    let all_seen = view.snapshot.sources.iter().all(SourceHealth::is_up);
    let mut text = findings::text(&view.assessment.findings, style, all_seen);
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
fn columns(header: &[&str], left: usize) -> Table {
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
    let mut table =
        columns(&["page size", "node", "total", "free", "reserved", "available", "surplus"], 2);
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

const TENANT_COLUMNS: [&str; 7] = ["size", "limit", "reserved", "used", "left", "short", "refused"];

fn tenants(view: &View) -> Table {
    let mut header = vec!["pod / container"];
    header.extend(TENANT_COLUMNS);
    let mut table = columns(&header, 2);
    let mut pods: BTreeMap<&str, (&Identity, &[TenantSize])> = BTreeMap::new();
    for pod in &view.assessment.pods {
        pods.insert(&pod.identity.uid, (&pod.identity, &pod.sizes));
    }
    for container in &view.assessment.containers {
        pods.entry(&container.identity.uid).or_insert((&container.identity, &[]));
    }
    let mut pods: Vec<_> = pods.into_iter().collect();
    pods.sort_by_key(|(uid, _)| danger(view, uid));
    for (uid, (identity, sizes)) in pods {
        let name = match &*identity.pod {
            "" => uid.to_owned(),
            pod => format!("{}/{pod}", identity.namespace),
        };
        add_tenant(&mut table, &name, sizes);
        for container in
            view.assessment.containers.iter().filter(|container| *container.identity.uid == *uid)
        {
            add_tenant(
                &mut table,
                &format!("  {}", container.identity.container),
                &container.sizes,
            );
        }
    }
    table
}

/// Who lacks most comes first, then who has least left.
fn danger(view: &View, uid: &str) -> (Reverse<Bytes>, SignedBytes) {
    let pods = view.assessment.pods.iter().filter(|pod| *pod.identity.uid == *uid);
    let containers =
        view.assessment.containers.iter().filter(|container| *container.identity.uid == *uid);
    let sizes =
        pods.flat_map(|pod| &pod.sizes).chain(containers.flat_map(|container| &container.sizes));
    let (mut short, mut margin) = (Bytes::ZERO, SignedBytes(i64::MAX));
    for size in sizes {
        short = short.max(size.outlook.shortfall.present().unwrap_or_default());
        margin = margin.min(size.outlook.margin.present().unwrap_or(margin));
    }
    (Reverse(short), margin)
}

fn services(view: &View) -> Table {
    let mut header = vec!["cgroup"];
    header.extend(TENANT_COLUMNS);
    let mut table = columns(&header, 2);
    for service in &view.assessment.services {
        add_tenant(&mut table, &service.cgroup, &service.sizes);
    }
    table
}

/// A row for each page size, the name on the first.
fn add_tenant(table: &mut Table, name: &str, sizes: &[TenantSize]) {
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
            shortfall(size),
            show(size.failures, |failures| failures.to_string()),
        ]);
    }
}

/// What is missing; `no` for nothing, `perhaps` where it can't be told.
fn shortfall(size: &TenantSize) -> String {
    match size.outlook.shortfall {
        _ if size.outlook.uncertainty.is_some() => "perhaps".to_owned(),
        Reading::Present(Bytes::ZERO) => "no".to_owned(),
        reading => bytes(reading),
    }
}

fn pages(reading: Reading<Pages>) -> String {
    show(reading, |pages| pages.0.to_string())
}

fn bytes(reading: Reading<Bytes>) -> String {
    show(reading, |bytes| bytes.to_string())
}

fn limit(reading: Reading<Limit>) -> String {
    show(reading, |limit| match limit {
        Limit::At(bytes) => bytes.to_string(),
        Limit::Unlimited => "none".to_owned(),
    })
}

/// `-` for what does not exist, `?` for what could not be read.
fn show<T>(reading: Reading<T>, text: impl FnOnce(T) -> String) -> String {
    match reading {
        Reading::Present(value) => text(value),
        Reading::Absent => "-".to_owned(),
        Reading::Failed => "?".to_owned(),
    }
}
