//! Pods and their containers, and other users: a row with a bar for each page size. Those of which something is wrong
//! stand first; where there are many, the others are folded.

use std::collections::HashMap;

use maud::{Markup, html};

use super::bar;
use super::exporter::moment;
use crate::assessment::{Finding, Severity, Subject, TenantSize};
use crate::render::figures::{bytes, limit, shortfall, show};
use crate::render::tenants::Tenants;
use crate::snapshot::{Pool, Reading};
use crate::view::View;

/// So many pods of which nothing is wrong are shown unfolded.
const UNFOLDED: usize = 12;

/// What was found of each pod, by its UID, the worst first.
type Found<'a> = HashMap<&'a str, Vec<&'a Finding>>;

pub(super) fn section(pods: &[Tenants<'_>], view: &View) -> Markup {
    let found = found(&view.assessment.findings);
    let pools = &view.snapshot.pools;
    let (mut wrong, fine): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| is_wrong(pod, &found));
    // The order of danger stays among those of which the same is found.
    wrong.sort_by_key(|pod| worst(pod, &found).unwrap_or(Severity::Info));
    let total = fine.len() + wrong.len();
    html! {
        section aria-labelledby="pods" {
            h2 #pods { "Pods and their containers" }
            @if total == 0 {
                p { "No pod holds, was granted or was refused any." }
            } @else {
                (legend())
                @if !wrong.is_empty() { (table("Pods to look into", &wrong, &found, pools)) }
                @if !fine.is_empty() {
                    details open[fine.len() <= UNFOLDED] {
                        summary {
                            @if wrong.is_empty() { "All " (fine.len()) } @else { (fine.len()) " more" }
                            " without a warning"
                        }
                        (table("Other pods", &fine, &found, pools))
                    }
                }
            }
        }
    }
}

/// Users that are no pod.
pub(super) fn others(view: &View) -> Markup {
    let services = &view.assessment.services;
    if services.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="others" {
            h2 #others { "Other users" }
            table .tenants aria-labelledby="others" {
                (head("cgroup", "of the pool"))
                tbody {
                    @for service in services {
                        @let name = html! { bdi { (service.cgroup) } };
                        (rows(&name, &service.sizes, &[], &view.snapshot.pools))
                    }
                }
            }
        }
    }
}

fn found(findings: &[Finding]) -> Found<'_> {
    let mut found = Found::new();
    for finding in findings {
        if let Subject::Tenant(who) = &finding.subject {
            found.entry(&who.uid).or_default().push(finding);
        }
    }
    found.values_mut().for_each(|found| found.sort_by_key(|finding| finding.severity));
    found
}

fn worst(pod: &Tenants<'_>, found: &Found<'_>) -> Option<Severity> {
    found.get(&*pod.identity.uid)?.iter().map(|finding| finding.severity).min()
}

fn is_wrong(pod: &Tenants<'_>, found: &Found<'_>) -> bool {
    let is_short = |size: &TenantSize| {
        size.outlook.shortfall.is_some()
            || size.outlook.shortfall == Reading::Failed
            || size.outlook.uncertainty.is_some()
    };
    worst(pod, found).is_some_and(|worst| worst < Severity::Info) || pod.all_sizes().any(is_short)
}

fn legend() -> Markup {
    html! {
        p .legend {
            @for (look, words) in [
                ("used", "used (touched)"),
                ("reserved", "reserved (mapped), not yet touched"),
                ("short", "reserved, and can't be had"),
                ("mark", "limit"),
                ("within", "rest of the limit"),
            ] {
                span { (bar::sample(look)) (words) }
            }
        }
    }
}

fn table(label: &str, pods: &[&Tenants<'_>], found: &Found<'_>, pools: &[Pool]) -> Markup {
    html! {
        table .tenants aria-label=(label) {
            (head("pod / container", "of the limit"))
            @for pod in pods {
                @let found = found.get(&*pod.identity.uid).map_or(&[][..], Vec::as_slice);
                tbody { (pod_rows(pod, found, pools)) }
            }
        }
    }
}

fn head(who: &str, whole: &str) -> Markup {
    html! {
        thead {
            tr {
                th scope="col" { (who) }
                th scope="col" { "size" }
                th scope="col" { (whole) }
                @for figure in ["limit", "reserved", "used", "left", "short", "refused"] {
                    th scope="col" { (figure) }
                }
            }
        }
    }
}

fn pod_rows(pod: &Tenants<'_>, found: &[&Finding], pools: &[Pool]) -> Markup {
    let badges = html! {
        @for (index, finding) in found.iter().enumerate() {
            // Of several containers the same may be found.
            @if found.iter().take(index).all(|other| other.name != finding.name) {
                " " span .badge .(finding.severity) { (finding.name) }
            }
        }
    };
    let name = html! { b { bdi { (pod.name()) } } };
    if let [only] = &pod.containers[..]
        && only.sizes.len() == pod.sizes.len()
        && only.sizes.iter().zip(pod.sizes).all(|(container, pod)| shows_the_same(container, pod))
    {
        let name = html! { (name) " " bdi { (only.identity.container) } (badges) };
        return rows(&name, &only.sizes, &[], pools);
    }
    html! {
        (rows(&html! { (name) (badges) }, pod.sizes, &[], pools))
        @for container in &pod.containers {
            @let name = html! { bdi .of-pod { (container.identity.container) } };
            (rows(&name, &container.sizes, pod.sizes, pools))
        }
    }
}

/// Whether a pod's row would repeat its only container's.
fn shows_the_same(container: &TenantSize, pod: &TenantSize) -> bool {
    let shown = |size: &TenantSize| {
        (
            size.page_size,
            size.limit,
            size.reserved,
            size.usage,
            size.outlook.headroom,
            size.failures,
        )
    };
    let pods = (pod.outlook.shortfall, pod.outlook.uncertainty);
    // Who is named is named once: where a container is short its pod is not.
    shown(container) == shown(pod)
        && (pods.1.is_none() && !pods.0.is_some() && pods.0 != Reading::Failed
            || pods == (container.outlook.shortfall, container.outlook.uncertainty))
}

/// A row for each page size, the name on the first. A bar's whole is the own limit, or that around it, or the pool.
fn rows(name: &Markup, sizes: &[TenantSize], around: &[TenantSize], pools: &[Pool]) -> Markup {
    html! {
        @if sizes.is_empty() { tr { th scope="row" colspan="9" { (name) } } }
        @for (index, size) in sizes.iter().enumerate() {
            @let pod = around.iter().find(|other| other.page_size == size.page_size);
            @let pool = pools.iter().find(|pool| pool.page_size == size.page_size);
            @let whole = pod
                .and_then(|pod| pod.limit.finite())
                .or_else(|| pool.and_then(|pool| pool.bytes(pool.size).present()));
            tr {
                th scope="row" {
                    @if index == 0 { (name) } @else { span .again { (name) } }
                    @if let Some(last) = size.last_failure {
                        span .when { "last refused " (moment(last)) }
                    }
                }
                td { (size.page_size) }
                td { (bar::tenant(size, whole)) }
                td { (limit(size.limit)) }
                td { (bytes(size.reserved)) }
                td { (bytes(size.usage)) }
                td { (bytes(size.outlook.headroom)) }
                (short(size))
                td { (show(size.failures, |failures| failures.to_string())) }
            }
        }
    }
}

fn short(size: &TenantSize) -> Markup {
    let words = shortfall(size);
    if size.outlook.shortfall.is_some() {
        return html! { td .too-little { (words) } };
    }
    html! { td { (words) } }
}
