//! A process hangs at its limit of memory, touching a huge page.

use super::memory_short::Remedy;
use super::{Facts, Finding, Rule, Severity, Subject, times};
use crate::assessment::MemoryOutlook;
use crate::history::Stall;
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "memory-hang",
    severity: Severity::Critical,
    summary: "A process hangs: it touches a huge page that its limit of memory has no room for.",
    foretells: "It has happened. The process spins at 100 % of a core, in the kernel, until there is room: it answers nobody, nothing is logged but `Huh VM_FAULT_OOM leaked out to the #PF handler` in dmesg, no probe of the kubelet's that does not ask it notices, and locks that it holds stay held. SIGKILL ends it.",
    evidence: "Over two polls `memory.events` counted `max` (some thousand a second) and no `oom_kill`; huge pages are mapped and not touched (`hugetlb.*.rsvd.current` above `hugetlb.*.current`), and no more of them are touched; and `memory.max` leaves less than one of them beside what can't be reclaimed.",
    false_alarms: "A cgroup that is as full, reclaims caches all the time, and has pages mapped that it will not touch. Not seen: a page mapped with MAP_NORESERVE, and a process that hangs beside one that touches pages or is killed in every poll.",
    remedy: "Raise `memory.max` or remount cgroup2 without `memory_hugetlb_accounting`: it goes on at once. Then raise `memory` in the pod's spec by its huge pages.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let first = findings.len();
    for (index, outlook) in facts.memory_outlooks() {
        findings.extend(finding(facts, index, outlook));
    }
    facts.name_containers_rather_than_pods(findings, first);
}

fn finding(facts: &Facts<'_>, index: usize, outlook: &MemoryOutlook) -> Option<Finding> {
    let cgroup = facts.snapshot.cgroups.get(index)?;
    let stall = facts.history.stall(&cgroup.path)?;
    let untouched =
        cgroup.hugetlb.iter().filter(|size| size.reserved.present() > size.usage.present());
    let page = untouched.map(|size| size.page_size.bytes()).min()?;
    if outlook.to_come == Bytes::ZERO || !outlook.is_full_for(page) {
        return None;
    }
    let subject = facts.memory_subject(index)?;
    let whose = match &subject {
        Subject::Tenant(who) => who.described(),
        Subject::Cgroup(path) => format!("cgroup {path}"),
        Subject::Node => return None,
    };
    let since = facts.history.now().saturating_sub(stall.since).as_secs();
    let Stall { met, .. } = stall;
    let sentence = format!(
        "A process of {whose} hangs at 100 % of a core: it touches a huge page that memory.max ({}) has no room for, as huge pages count as memory on this node, and tries for ever (met {} in {since} s, nobody was killed, {} still to be touched).",
        outlook.limit,
        times(met),
        outlook.to_come,
    );
    let figures = [
        ("to_come_bytes", outlook.to_come.0),
        ("memory_limit_bytes", outlook.limit.0),
        ("limit_met", met),
        ("stuck_seconds", since),
    ];
    let remedy = Remedy::at_once(facts, index);
    Some(RULE.finding(subject, None, sentence, remedy, &figures))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{Node, findings_through};
    use crate::snapshot::MemoryEvents;

    const MI: u64 = 1 << 20;

    /// A container of 40 pages with so many touched, in 32 MiB that are full, whose limit was met so often.
    fn full(touched: u64, max: u64, oom_kill: u64) -> Node {
        Node::new().pod(Some(64)).container("postgres", None, (40, touched)).accounting().memory(
            2,
            32 * MI,
            (touched * 2 * MI, MI + MI / 2),
            MemoryEvents { max, oom: oom_kill, oom_kill },
        )
    }

    fn flicker(max: u64) -> Node {
        let page = crate::snapshot::Reading::Present(crate::units::Bytes(2 * MI));
        full(15, max, 0).but(|snapshot| {
            for cgroup in snapshot.cgroups_mut() {
                let hugetlb = &mut cgroup.hugetlb_mut()[0];
                hugetlb.usage = hugetlb.usage.plus(page);
            }
        })
    }

    fn found(polls: &[Node]) -> Vec<String> {
        let found = findings_through(polls, Duration::from_secs(2), "memory-hang");
        found.into_iter().map(|finding| finding.sentence).collect()
    }

    #[test]
    fn who_meets_the_limit_again_and_again_and_gets_nowhere_hangs() {
        let [sentence] = &found(&[full(15, 100, 0), full(15, 12_700, 0)])[..] else {
            panic!("one")
        };
        assert_eq!(
            sentence,
            "A process of container postgres of pod db/pg-0 hangs at 100 % of a core: it touches a huge page that memory.max (32Mi) has no room for, as huge pages count as memory on this node, and tries for ever (met 12600 times in 2 s, nobody was killed, 50Mi still to be touched)."
        );
        // Linux 7.2 charges the page to the huge pages, not to the memory, for an instant.
        assert_eq!(found(&[full(15, 100, 0), flicker(200), full(15, 300, 0)]).len(), 1);
        assert_eq!(found(&[full(15, 100, 0), flicker(200)]).len(), 1);
    }

    #[test]
    fn who_gets_on_or_is_killed_does_not_hang() {
        assert!(found(&[full(12, 100, 0), full(15, 200, 0)]).is_empty(), "three pages more");
        assert!(found(&[full(15, 100, 0), full(15, 200, 1)]).is_empty(), "killed");
        assert!(found(&[full(15, 100, 0), full(15, 100, 0)]).is_empty(), "nothing happens");
    }

    #[test]
    fn who_reclaims_caches_does_not_hang() {
        let cached = |max| {
            let events = MemoryEvents { max, oom: 0, oom_kill: 0 };
            let node = Node::new().pod(Some(64)).container("postgres", None, (40, 4)).accounting();
            node.memory(2, 32 * MI, (8 * MI, MI), events).but(|snapshot| {
                let memory = snapshot.cgroups_mut()[2].memory.as_mut().expect("there");
                let memory = std::sync::Arc::make_mut(memory);
                memory.usage = crate::snapshot::Reading::Present(crate::units::Bytes(32 * MI));
                memory.stat = memory.stat.map(|stat| crate::snapshot::MemoryStat {
                    inactive_file: crate::units::Bytes(23 * MI),
                    file: crate::units::Bytes(23 * MI),
                    ..stat
                });
            })
        };
        assert!(found(&[cached(100), cached(200), cached(300)]).is_empty());
    }
}
