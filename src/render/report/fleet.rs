//! The reports of several nodes as one: what will crash in the cluster, then who is tight, then the pools.

use std::fmt::Write;

use serde_json::{Value, json};

use super::layout::Rows;
use super::table::{of_tenants, section};
use super::{Layout, lines};
use crate::fleet::{Figures, Fleet, NodeReport, NodeTenant};
use crate::render::figures::{self, Short, nothing_found, show};
use crate::snapshot::Reading;
use crate::units::Bytes;

/// For a terminal.
pub fn fleet_table(fleet: &Fleet, layout: Layout<'_>) -> String {
    let failures = fleet.failures();
    let mut text = asked(fleet, layout);
    let findings = fleet.findings();
    let all_seen = failures.is_empty() && fleet.unanswered.is_empty();
    if findings.is_empty() {
        text += &(lines::wrap(nothing_found(all_seen), layout.width, "", "").join("\n") + "\n");
    }
    for (place, finding) in &findings {
        let severity = layout.style.severity(finding.severity);
        let head = format!("{} on {}", finding.name, fleet.name(*place));
        let head = lines::wrap(&head, layout.width.saturating_sub(9), "", "  ").join("\n");
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{severity} {head}");
        for (first, others, words) in
            [("  ", "  ", &finding.sentence), ("  To do: ", "         ", &finding.remedy)]
        {
            let _ =
                writeln!(text, "{}", lines::wrap(words, layout.width, first, others).join("\n"));
        }
    }
    let no_pods = format!("No pod{} holds, was granted or was refused any.", layout.whom);
    section(&mut text, layout.width, "Pods and their containers", &tenants(fleet), &no_pods);
    section(&mut text, layout.width, "Huge-page pools, in pages", &pools(fleet), "None.");
    let mut list = |heading: &str, entries: Vec<String>| {
        if entries.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{heading}:");
        for entry in entries {
            let _ =
                writeln!(text, "{}", lines::wrap(&entry, layout.width, "  ", "    ").join("\n"));
        }
    };
    let of_node = |(place, why): &(usize, String)| format!("{}: {why}", fleet.name(*place));
    list("Not seen", failures.iter().map(of_node).collect());
    let of_url = |(from, why): &(String, String)| format!("{from}: {why}");
    list("No answer", fleet.unanswered.iter().map(of_url).collect());
    text
}

/// As JSON: each node's own report, and who did not answer.
pub fn fleet_json(fleet: &Fleet) -> String {
    let reports = fleet.reports.iter().map(
        |(from, report)| json!({"from": from, "report": Value::Object(report.as_json().clone())}),
    );
    let unanswered =
        fleet.unanswered.iter().map(|(from, problem)| json!({"from": from, "problem": problem}));
    let value = json!({
        "reports": reports.collect::<Vec<_>>(),
        "unanswered": unanswered.collect::<Vec<_>>(),
    });
    // Values with text keys always serialise.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn asked(fleet: &Fleet, layout: Layout<'_>) -> String {
    let (answered, unanswered) = (fleet.reports.len(), fleet.unanswered.len());
    let words = match unanswered {
        0 => format!("{answered} of {answered} nodes answered."),
        _ => format!(
            "{answered} of {} nodes answered; those that did not come last.",
            answered + unanswered
        ),
    };
    lines::wrap(&words, layout.width, "", "").join("\n") + "\n\n"
}

/// Each node's pods below its name, those in danger first.
fn tenants(fleet: &Fleet) -> Rows {
    let mut rows = of_tenants("node / pod / container");
    for (place, (_, report)) in fleet.reports.iter().enumerate() {
        let mut pods: Vec<_> = report.pods().map(|pod| Pod::of(report, pod)).collect();
        if pods.is_empty() {
            continue;
        }
        pods.sort_by_key(|pod| (!pod.is_short(), pod.tenant.pod_name()));
        rows.add([fleet.name(place)]);
        for pod in pods {
            add(&mut rows, &format!("  {}", pod.tenant.pod_name()), &pod.sizes);
            for container in &pod.containers {
                let sizes: Vec<_> = container.sizes().map(|it| (short(&it), it)).collect();
                add(&mut rows, &format!("    {}", container.container()), &sizes);
            }
        }
    }
    rows
}

struct Pod<'a> {
    tenant: NodeTenant<'a>,
    containers: Vec<NodeTenant<'a>>,
    sizes: Vec<(Short, Figures<'a>)>,
}

impl<'a> Pod<'a> {
    fn of(report: &'a NodeReport, tenant: NodeTenant<'a>) -> Self {
        let containers: Vec<_> =
            report.containers().filter(|container| container.uid() == tenant.uid()).collect();
        let with_short = |size: Figures<'a>| {
            let is_same = |other: &Figures<'_>| other.page_size() == size.page_size();
            let of_containers: Vec<_> = containers
                .iter()
                .flat_map(NodeTenant::sizes)
                .filter(is_same)
                .map(|size| short(&size))
                .collect();
            let may_be_meant = report.may_mean(&tenant, size.page_size());
            (short(&size).with(&of_containers, may_be_meant), size)
        };
        let sizes = tenant.sizes().map(with_short).collect();
        Self { containers, sizes, tenant }
    }

    fn is_short(&self) -> bool {
        self.sizes.iter().any(|(short, _)| !short.is_fine())
    }
}

/// What its own figures say.
fn short(size: &Figures<'_>) -> Short {
    match size.number("shortfall_bytes") {
        _ if size.is_uncertain() => Short::Perhaps,
        Reading::Present(0) => Short::No,
        Reading::Present(bytes) => Short::By(Bytes(bytes)),
        Reading::Failed => Short::Failed,
        Reading::Absent => Short::Absent,
    }
}

/// A row for each page size, the name on the first.
fn add(rows: &mut Rows, name: &str, sizes: &[(Short, Figures<'_>)]) {
    if sizes.is_empty() {
        rows.add([name.to_owned()]);
    }
    let bytes = |size: &Figures<'_>, key| figures::bytes(size.number(key).map(Bytes));
    for (index, (short, size)) in sizes.iter().enumerate() {
        rows.add([
            if index == 0 { name.to_owned() } else { String::new() },
            size.page_size().to_owned(),
            figures::limit(size.limit()),
            bytes(size, "reserved_bytes"),
            bytes(size, "usage_bytes"),
            bytes(size, "headroom_bytes"),
            short.to_string(),
            show(size.number("failures"), |failures| failures.to_string()),
        ]);
    }
}

fn pools(fleet: &Fleet) -> Rows {
    let heads = ["node", "page size", "total", "free", "reserved", "available", "surplus"];
    let mut rows = Rows::new(&heads, 2);
    for (place, (_, report)) in fleet.reports.iter().enumerate() {
        for (index, pool) in report.pools().enumerate() {
            let name = if index == 0 { fleet.name(place) } else { String::new() };
            let pages = |key| show(pool.pages(key), |pages| pages.to_string());
            let keys =
                ["size_bytes", "free_bytes", "reserved_bytes", "available_bytes", "surplus_bytes"];
            let figures = keys.map(pages);
            let mut row = vec![name, pool.page_size().to_owned()];
            row.extend(figures);
            rows.add(row);
        }
    }
    rows
}
