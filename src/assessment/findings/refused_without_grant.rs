//! Programs that try huge pages where none were granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Facts, Finding, Rule, Severity, Subject, count, mapping_refused};
use crate::assessment::{Identity, TenantSize};
use crate::units::PageSize;

pub(super) const RULE: Rule = Rule {
    name: "refused-without-grant",
    severity: Severity::Info,
    summary: "Pods that were granted no huge pages asked for some and were refused.",
    foretells: "Nothing, as a rule: PHP's opcache, mimalloc, JVMs and PostgreSQL with `huge_pages=try` ask at every start and go on with ordinary pages.",
    evidence: "A refusal was counted in a container or pod whose limit is 0 and that held no page before it, when it was counted, or after it, and a reservation limit refuses mappings there: so it was a mapping, or the first touch without a reservation. Held for 15 minutes after the last. One finding for the node. A container that ends over it again and again is `mapping-refused`.",
    false_alarms: "None that needs anything to be done. A first touch without a reservation (MAP_NORESERVE) that was refused killed a process; the kernel counts it the same, and the container's log or exit code tells (signal 7, 135).",
    remedy: "Nothing where they run well. Else grant them pages, or tell them not to try: `opcache.huge_code_pages=0`, `MIMALLOC_ALLOW_LARGE_OS_PAGES=0`, `-XX:-UseLargePages`, `huge_pages=off`.",
    find,
};

/// So many are named.
const NAMED: usize = 3;

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let mut refused: BTreeMap<PageSize, BTreeMap<&Arc<str>, (String, u64)>> = BTreeMap::new();
    let containers = facts.containers().map(|(container, size)| (&container.identity, size));
    for (who, size) in containers.chain(facts.pods().map(|(pod, size)| (&pod.identity, size))) {
        if let Some(count) = refusals(facts, who, size) {
            let pods = refused.entry(size.page_size).or_default();
            let (_, sum) = pods.entry(&who.uid).or_insert_with(|| (who.pod_name(), 0));
            *sum = sum.saturating_add(count);
        }
    }
    findings.extend(refused.into_iter().map(|(page_size, pods)| finding(page_size, &pods)));
}

fn refusals(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<u64> {
    let refusals = size.refusals.present()?;
    let age = facts.history.now().saturating_sub(refusals.last_ungranted?);
    let is_news = age <= facts.thresholds.refused_for;
    (is_news && mapping_refused::loops(facts, who, size).is_none()).then_some(refusals.ungranted)
}

fn finding(page_size: PageSize, pods: &BTreeMap<&Arc<str>, (String, u64)>) -> Finding {
    let total: u64 = pods.values().map(|(_, count)| count).sum();
    let mut worst: Vec<_> = pods.values().collect();
    worst.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
    let named: Vec<_> =
        worst.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
    let most = if pods.len() > NAMED { "most often " } else { "" };
    let sentence = format!(
        "{} of this node {} granted no {page_size} pages, asked for some and {} refused, {most}{}: programs that only try go on without.",
        count(pods.len(), "pod"),
        if pods.len() == 1 { "was" } else { "were" },
        if pods.len() == 1 { "was" } else { "were" },
        named.join(", "),
    );
    let remedy = "Nothing where they run well; else grant them pages, or tell them not to try.";
    let figures = [("pods", u64::try_from(pods.len()).unwrap_or(u64::MAX)), ("refusals", total)];
    let finding = RULE.finding(Subject::Node, page_size, sentence, remedy.to_owned(), &figures);
    finding.concerning(pods.keys().map(|uid| Arc::clone(uid)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, figures, findings_through, limit};
    use crate::snapshot::{Failures, Reading};

    /// So many pods without a grant, each of whose only container was refused so often.
    fn pods(number: u64, refused: u64) -> Node {
        Node::new().but(|snapshot| {
            for pod in 0..number {
                let mut hugetlb = figures(Some(0), (0, 0));
                hugetlb.reservation_limit = limit(Some(0));
                let count = Reading::Present(refused * (pod + 1));
                hugetlb.failures = Failures::V2 { hierarchical: count, local: Reading::Absent };
                let container = crate::snapshot::Hugetlb { limit: limit(None), ..hugetlb.clone() };
                let uid = format!("u{pod}");
                let name = format!("php-{pod}");
                *snapshot = snapshot
                    .clone()
                    .with(&format!("/kubepods/pod{uid}"), hugetlb)
                    .with_container(&uid, pod + 1, container)
                    .named(&uid, pod + 1, ["web", &name, "php"], 0);
            }
        })
    }

    #[test]
    fn it_is_one_piece_of_information_for_the_node() {
        let polls: Vec<Node> = [0, 1, 1, 1, 1].map(|refused| pods(5, refused)).to_vec();
        let apart = Duration::from_secs(2);
        let found = findings_through(&polls, apart, "refused-without-grant");
        let [found] = &found[..] else { panic!("one: {found:?}") };
        assert_eq!(
            found.sentence,
            "5 pods of this node were granted no 2Mi pages, asked for some and were refused, most often web/php-4 (5), web/php-3 (4), web/php-2 (3): programs that only try go on without."
        );
        assert!(found.concerns("u0") && found.concerns("u4"));
        for other in ["refusals-ambiguous", "mapping-refused", "faults-refused"] {
            assert!(findings_through(&polls, apart, other).is_empty(), "{other}");
        }
    }

    #[test]
    fn after_a_quarter_of_an_hour_it_is_history() {
        let mut polls: Vec<Node> = [0, 1, 1, 1, 1].map(|refused| pods(1, refused)).to_vec();
        polls.extend((0..500).map(|_| pods(1, 1)));
        let found = findings_through(&polls, Duration::from_secs(2), "refused-without-grant");
        assert!(found.is_empty());
    }
}
