//! Pods and their containers, and other users: a row with a bar for each page size. Those of which something is wrong
//! stand first; where there are many, the others are folded.

use maud::{Markup, html};

use super::bar;
use super::exporter::moment;
use super::heads::{Look, head, legend, meanings};
use crate::assessment::{Finding, TenantSize};
use crate::render::columns;
use crate::render::figures::{Short, bytes, limit, show};
use crate::render::tenants::Tenants;
use crate::snapshot::Pool;
use crate::view::View;

/// So many pods of which something is wrong are shown unfolded, and so many others.
const UNFOLDED_WRONG: usize = 20;
const UNFOLDED: usize = 12;

const LOOKS: [Look; 5] = [
    ("touched", "touched"),
    ("mapped", "mapped, not yet touched"),
    ("short", "mapped, and can't be touched"),
    ("mark", "limit"),
    ("within", "rest of the limit"),
];

pub(super) fn section(pods: &[Tenants<'_>], view: &View) -> Markup {
    let pools = &view.snapshot.pools;
    let (wrong, fine): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod.is_wrong());
    let (first, rest) = wrong.split_at(UNFOLDED_WRONG.min(wrong.len()));
    let tables = html! {
        @if !first.is_empty() { (table("Pods to look into", first, pools)) }
        @if !rest.is_empty() {
            details {
                summary { (rest.len()) " more to look into" }
                (table("More pods to look into", rest, pools))
            }
        }
        @if !fine.is_empty() {
            details open[fine.len() <= UNFOLDED] {
                summary {
                    @if wrong.is_empty() { "All " (fine.len()) } @else { (fine.len()) " more" }
                    " without a warning"
                }
                (table("Other pods", &fine, pools))
            }
        }
    };
    html! {
        section aria-labelledby="pods" {
            h2 #pods { "Pods and their containers" }
            @if pods.is_empty() {
                p { "No pod holds, was granted or was refused any." }
            } @else {
                (legend(&LOOKS, &tables))
                (tables)
                (meanings(&columns::TENANT))
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
                (heads("cgroup", "of the pool"))
                tbody {
                    @for service in services {
                        @let name = html! { bdi { (service.cgroup) } };
                        (rows(&name, &service.sizes, Short::of, &[], &view.snapshot.pools))
                    }
                }
            }
        }
    }
}

fn table(label: &str, pods: &[&Tenants<'_>], pools: &[Pool]) -> Markup {
    html! {
        table .tenants aria-label=(label) {
            (heads("pod / container", "of the limit"))
            @for pod in pods { tbody { (pod_rows(pod, pools)) } }
        }
    }
}

/// The bar stands after the page size.
fn heads(who: &str, whole: &str) -> Markup {
    let [size, figures @ ..] = &columns::TENANT;
    html! {
        thead {
            tr {
                th scope="col" { (who) }
                (head(size))
                th scope="col" { (whole) }
                @for figure in figures { (head(figure)) }
            }
        }
    }
}

fn badges(found: &[&Finding]) -> Markup {
    html! {
        @for (index, finding) in found.iter().enumerate() {
            // Of several containers the same may be found.
            @if found.iter().take(index).all(|other| other.name != finding.name) {
                " " span .badge .(finding.severity) { (finding.name) }
            }
        }
    }
}

fn pod_rows(pod: &Tenants<'_>, pools: &[Pool]) -> Markup {
    let badges = badges(&pod.found);
    let short = |size: &TenantSize| pod.short(size);
    let name = html! { b { bdi { (pod.name()) } } };
    if let [only] = &pod.containers[..]
        && only.sizes.len() == pod.sizes.len()
        && only.sizes.iter().zip(pod.sizes).all(|(container, pod)| shows_the_same(container, pod))
    {
        let name = html! { (name) " " bdi { (only.identity.container) } (badges) };
        return rows(&name, &only.sizes, short, &[], pools);
    }
    html! {
        (rows(&html! { (name) (badges) }, pod.sizes, short, &[], pools))
        @for container in &pod.containers {
            @let name = html! { bdi .of-pod { (container.identity.container) } };
            (rows(&name, &container.sizes, Short::of, pod.sizes, pools))
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
    // Where a container is short its pod is not, and the pod's row says it all the same.
    shown(container) == shown(pod)
        && (Short::of(pod).is_fine() || Short::of(pod) == Short::of(container))
}

/// A row for each page size, the name on the first. A bar's whole is the own limit, or that around it, or the pool.
fn rows(
    name: &Markup,
    sizes: &[TenantSize],
    short: impl Fn(&TenantSize) -> Short,
    around: &[TenantSize],
    pools: &[Pool],
) -> Markup {
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
                (missing(short(size)))
                td { (show(size.failures, |failures| failures.to_string())) }
            }
        }
    }
}

fn missing(short: Short) -> Markup {
    html! {
        @if let Short::By(_) = short { td .too-little { (short) } } @else { td { (short) } }
    }
}
