//! It has happened.

use super::{
    Facts, Finding, REQUIRED_LIMIT, Rule, Severity, Subject, capital, name_once, resource,
};
use crate::assessment::{Identity, TenantSize};

pub(super) const RULE: Rule = Rule {
    name: "faults-refused",
    severity: Severity::Critical,
    summary: "A touch of a huge page was refused: a process was killed by SIGBUS.",
    foretells: "It has happened, and will again: the restarted process maps the same memory. PostgreSQL's log says `terminated by signal 7: Bus error`; the container often does not restart, since its first process lives, so restart counts and exit codes show nothing.",
    evidence: "v1: failcnt of the container or its pod grew. v2 counts refused touches and refused mappings in one number (`hugetlb.*.events`, max): they are touches for certain where no reservation limit is finite, and where usage fell by half within two polls. Held for 15 minutes after the last one. One death may count more than once: a process that handles the signal and tries again counts each time.",
    false_alarms: "MADV_POPULATE_WRITE, fallocate and reads into refused pages fail with an error instead of a signal and are counted the same; programs that try (DPDK) go on with less. What the exporter's own probe is refused is left out. Where a reservation limit is finite and the process started again between two polls, it may be counted as a refused mapping; and a server that was restarted in place, and whose new and larger mapping was refused just after its old memory had gone, may be counted as killed.",
    remedy: "Raise `hugepages-<size>` of the container to what it maps, or make it map less. For a server that can't be started to be asked: `postgres -C shared_memory_size_in_huge_pages`.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, finding, findings);
}

fn finding(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let refusals = size.refusals.present()?;
    let age = facts.history.now().saturating_sub(refusals.last_fault?);
    if age > facts.thresholds.refused_for {
        return None;
    }
    let may = match size.limit.finite() {
        Some(limit) => format!(", which may touch {limit},"),
        None => String::new(),
    };
    let times = match refusals.faults {
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    let sentence = format!(
        "{}{may} was refused a touch of a {} page {times}, last {}s ago: a process was killed by SIGBUS.",
        capital(&who.described()),
        size.page_size,
        age.as_secs(),
    );
    let resource = resource(size.page_size);
    let mut figures = vec![("faults", refusals.faults)];
    let remedy = match (size.outlook.committed.present(), size.limit.finite()) {
        (Some(committed), Some(limit)) if committed > limit => {
            figures.push((REQUIRED_LIMIT, committed.0));
            format!("Set {resource} to at least {committed}, or make it map less.")
        }
        _ => format!(
            "Set {resource} to what it maps (postgres -C shared_memory_size_in_huge_pages tells it in pages), or turn huge pages off in it."
        ),
    };
    let subject = Subject::Tenant(who.clone());
    Some(RULE.finding(subject, size.page_size, sentence, remedy, &figures))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through};

    fn crash_loop() -> Node {
        Node::new().pod(Some(0)).container("initdb", None, (0, 0))
    }

    #[test]
    fn a_refused_touch_is_told_once_of_the_container() {
        let polls = [crash_loop(), crash_loop().refused(25)];
        let found = findings_through(&polls, Duration::from_secs(2), "faults-refused");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].sentence,
            "Container initdb of pod db/pg-0 was refused a touch of a 2Mi page 25 times, last 0s ago: a process was killed by SIGBUS."
        );
    }

    #[test]
    fn of_a_container_that_lived_too_shortly_its_pod_tells() {
        let gone = Node::new().pod(Some(0));
        let polls = [gone.clone(), gone.refused(1)];
        let found = findings_through(&polls, Duration::from_secs(2), "faults-refused");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].sentence.starts_with("Pod db/pg-0") || found[0].sentence.starts_with("Pod u")
        );
    }

    #[test]
    fn after_a_quarter_of_an_hour_it_is_history() {
        let refused = crash_loop().refused(1);
        let polls = [crash_loop(), refused.clone(), refused];
        assert!(findings_through(&polls, Duration::from_secs(901), "faults-refused").is_empty());
        let refused = crash_loop().refused(1);
        let polls = [crash_loop(), refused.clone(), refused];
        assert_eq!(findings_through(&polls, Duration::from_secs(899), "faults-refused").len(), 1);
    }

    #[test]
    fn what_our_own_probe_is_refused_is_no_news() {
        let ours = |node: Node| node.but(|snapshot| *snapshot = snapshot.clone().owned(2));
        let polls = [ours(crash_loop()), ours(crash_loop().refused(1))];
        assert!(findings_through(&polls, Duration::from_secs(2), "faults-refused").is_empty());
        let gone = |refused| {
            ours(Node::new().pod(Some(0)).refused(refused)).but(|snapshot| {
                *snapshot = snapshot.clone().owned(1);
            })
        };
        let found = findings_through(&[gone(0), gone(1)], Duration::from_secs(2), "faults-refused");
        assert!(found.is_empty());
    }

    #[test]
    fn what_was_refused_before_we_came_is_not_news() {
        let polls = [crash_loop().refused(3), crash_loop().refused(3)];
        assert!(findings_through(&polls, Duration::from_secs(2), "faults-refused").is_empty());
    }
}
