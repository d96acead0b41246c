//! It has happened.

use super::killed::{killed, killed_words};
use super::{
    Facts, Finding, REQUIRED_LIMIT, Rule, Severity, Subject, capital, limit_dropped, name_once,
    resource, times,
};
use crate::assessment::{Identity, TenantSize};
use crate::history::{Cause, Fault};
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

pub(super) const RULE: Rule = Rule {
    name: "faults-refused",
    severity: Severity::Critical,
    summary: "A touch of a huge page was refused: a process was killed by SIGBUS.",
    foretells: "It has happened, and will again: the restarted process maps the same memory. PostgreSQL's log says `terminated by signal 7: Bus error`; the container often does not restart, since its first process lives, so restart counts and exit codes show nothing.",
    evidence: "v1: failcnt of the container or its pod grew. v2 counts refused touches and refused mappings in one number (`hugetlb.*.events`, max): they are touches for certain where no reservation limit is finite (but see `refusals-ambiguous` where all that was in use still is), where usage fell by half within two polls, or by a page after the limit had left less than one, and where more had been mapped than may be touched (`will-crash`) and the limit was reached, or what was mapped fell by half. What is held is read when the kernel notifies of a refusal, and before and after; what the whole node has back a moment later counts where it would just have filled a limit of 8 pages or more. That a container or pod ended proves nothing by itself: only that it was full when it was refused. Held for 15 minutes after the last one. What it says of the limit is what that was at the refusal. Once the limit is above that, is no less than what was mapped then, and nothing is short under it, the severity is `info`: it is fixed. Of a pod that was made again, the new one of the same name tells. One death may count more than once: a process that handles the signal and tries again counts each time.",
    false_alarms: "MADV_POPULATE_WRITE, fallocate and reads into refused pages fail with an error instead of a signal and are counted the same; of a program that ends over such an error it is said that it was killed. What the exporter's own probe is refused is left out. Where a reservation limit is finite and the process started again between two polls, it may be counted as a refused mapping; and a server that was restarted in place, and whose new and larger mapping was refused just after its old memory had gone, may be counted as killed. A raised limit is taken for a fix where more was to be touched than was reserved (MAP_NORESERVE), until the next refusal.",
    remedy: "Raise `hugepages-<size>` of the container to what it maps, or make it map less. For a server that can't be started to be asked: `postgres -C shared_memory_size_in_huge_pages`.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, finding, findings);
}

fn finding(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let (refusals, fault) = (size.refusals.present()?, size.fault.as_deref()?);
    let age = facts.history.now().saturating_sub(fault.at);
    if age > facts.thresholds.refused_for {
        return None;
    }
    let limit = fault.limit.finite();
    let times = times(refusals.faults);
    let since = Since::of(facts, who, size, fault);
    let sentence = format!(
        "{} was refused a touch of a {} page {times}{}, last {}s ago: {}.{}",
        capital(&who.described()),
        size.page_size,
        limit.map_or_else(String::new, |limit| format!(" at a limit of {limit}")),
        age.as_secs(),
        killed_words(killed(facts, who, size.page_size, Cause::Limit)),
        since.sentence(fault),
    );
    let mut figures = vec![("faults", refusals.faults)];
    figures.extend(limit.map(|limit| ("limit_at_refusal_bytes", limit.0)));
    let mapped = fault.mapped.max(size.outlook.committed.present());
    let required = mapped.filter(|mapped| limit.is_some_and(|limit| *mapped > limit));
    let remedy = match (since, required) {
        (Since::Fixed(_), _) => "Nothing, unless it is refused again.".to_owned(),
        _ if is_resized(facts, who, size) => {
            "Recreate the pod: the kubelet's in-place resize has lowered its limit.".to_owned()
        }
        (_, Some(required)) => {
            figures.push((REQUIRED_LIMIT, required.0));
            format!("Set {} to at least {required}, or make it map less.", resource(size.page_size))
        }
        _ => format!(
            "Set {} to what it maps (postgres -C shared_memory_size_in_huge_pages tells it in pages), or turn huge pages off in it.",
            resource(size.page_size)
        ),
    };
    let subject = Subject::Tenant(who.clone());
    let finding = RULE.finding(subject, size.page_size, sentence, remedy, &figures);
    let is_fixed = matches!(since, Since::Fixed(_));
    Some(Finding { severity: if is_fixed { Severity::Info } else { RULE.severity }, ..finding })
}

/// Whether the limit is what an in-place resize left of it.
fn is_resized(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> bool {
    let sizes = facts.pod(who).map(|pod| pod.sizes.iter()).into_iter().flatten();
    let mut of_size = sizes.filter(|of| of.page_size == size.page_size);
    of_size.any(|of| limit_dropped::resized_from(of).is_some())
}

/// What became of the limit since a touch was refused under it.
#[derive(Clone, Copy)]
enum Since {
    /// It is what it was, or less, or not known.
    Same,
    /// It was raised, but not to what was mapped.
    Raised(Bytes),
    /// It was raised to what was mapped, and nothing says that this is too little.
    Fixed(Limit),
}

impl Since {
    fn of(facts: &Facts<'_>, who: &Identity, size: &TenantSize, fault: &Fault) -> Self {
        // The cgroup that the touch was refused in may be gone, and its pod made again.
        let is_gone = size.outlook.limit == Reading::Absent;
        let living = if is_gone { successor(facts, who, size) } else { Some((who, size)) };
        let Some(then) = fault.limit.finite() else { return Self::Same };
        let (limit, is_safe) = match living {
            Some((who, size)) => (size.outlook.limit, is_safe(facts, who, size)),
            // What was fixed before its end stays so.
            None => (fault.last_limit, true),
        };
        match limit.present() {
            Some(Limit::At(now)) if now <= then => Self::Same,
            Some(Limit::At(now)) if fault.mapped.is_some_and(|mapped| mapped > now) => {
                Self::Raised(now)
            }
            Some(now) if is_safe => Self::Fixed(now),
            Some(Limit::At(now)) => Self::Raised(now),
            _ => Self::Same,
        }
    }

    fn sentence(self, fault: &Fault) -> String {
        match (self, fault.mapped) {
            (Self::Fixed(Limit::At(now)), _) => format!(" Fixed since: limit raised to {now}."),
            (Self::Fixed(Limit::Unlimited), _) => " Fixed since: limit removed.".to_owned(),
            (Self::Raised(now), Some(mapped)) if mapped > now => {
                format!(" Its limit was raised to {now} since, and it had mapped {mapped}.")
            }
            (Self::Raised(now), _) => {
                format!(" Its limit was raised to {now} since, which may be too little.")
            }
            (Self::Same, _) => String::new(),
        }
    }
}

/// The same container, or the same pod, of a pod that was made again under the same name.
fn successor<'a>(
    facts: &Facts<'a>,
    who: &Identity,
    size: &TenantSize,
) -> Option<(&'a Identity, &'a TenantSize)> {
    let is_same = |(other, of): &(&Identity, &TenantSize)| {
        other.uid != who.uid
            && (&other.namespace, &other.pod) == (&who.namespace, &who.pod)
            && other.container == who.container
            && of.page_size == size.page_size
            && of.outlook.limit != Reading::Absent
    };
    let containers = facts.containers().map(|(container, size)| (&container.identity, size));
    let pods = facts.pods().map(|(pod, size)| (&pod.identity, size));
    containers.chain(pods).find(is_same).filter(|_| !who.pod.is_empty())
}

/// Whether neither it nor its pod is known to be short, or not known not to be.
fn is_safe(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> bool {
    let pods = facts.pods().filter(|(pod, _)| pod.identity.uid == who.uid);
    let mut all = pods.map(|(_, of_pod)| of_pod).chain([size]);
    all.all(|of| {
        let outlook = &of.outlook;
        of.page_size != size.page_size
            || (!outlook.shortfall.is_some()
                && outlook.shortfall != Reading::Failed
                && outlook.uncertainty.is_none())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Severity;
    use super::super::example::{Node, figures, findings_through};

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
            "Container initdb of pod db/pg-0 was refused a touch of a 2Mi page 25 times at a limit of 0, last 0s ago: a process was killed by SIGBUS."
        );
    }

    /// A server that maps 100 pages, under a limit of its pod, and was refused so many times.
    fn server(limit: u64, held: (u64, u64), refused: u64) -> Node {
        Node::new().pod(Some(limit)).container("postgres", None, held).refused(refused)
    }

    fn told(polls: &[Node]) -> (Severity, String, String) {
        let found = findings_through(polls, Duration::from_secs(2), "faults-refused");
        let [found] = &found[..] else { panic!("one: {found:?}") };
        (found.severity, found.sentence.clone(), found.remedy.clone())
    }

    const WAS: &str = "Container postgres of pod db/pg-0 was refused a touch of a 2Mi page once at a limit of 128Mi, last";

    #[test]
    fn it_speaks_of_the_limit_at_the_refusal_until_that_is_raised_enough() {
        let mut polls = vec![server(64, (100, 60), 0), server(64, (12, 12), 1)];
        let (severity, sentence, remedy) = told(&polls);
        let end = "a process was killed by SIGBUS.";
        assert_eq!((severity, sentence), (Severity::Critical, format!("{WAS} 0s ago: {end}")));
        assert_eq!(remedy, "Set hugepages-2Mi to at least 200Mi, or make it map less.");
        polls.push(server(80, (12, 12), 1));
        let (severity, sentence, remedy) = told(&polls);
        let raised = "Its limit was raised to 160Mi since, and it had mapped 200Mi.";
        assert_eq!(
            (severity, sentence),
            (Severity::Critical, format!("{WAS} 2s ago: {end} {raised}"))
        );
        assert!(remedy.starts_with("Set hugepages-2Mi to at least 200Mi"), "{remedy}");
        polls.push(server(100, (12, 12), 1));
        let (severity, sentence, remedy) = told(&polls);
        let fixed = "Fixed since: limit raised to 200Mi.";
        assert_eq!((severity, sentence), (Severity::Info, format!("{WAS} 4s ago: {end} {fixed}")));
        assert_eq!(remedy, "Nothing, unless it is refused again.");
        polls.push(server(100, (120, 12), 1));
        assert_eq!(told(&polls).0, Severity::Critical, "it maps even more now");
        polls.push(server(100, (12, 12), 2));
        let (severity, sentence, _) = told(&polls);
        assert!(sentence.contains("2 times at a limit of 200Mi"), "{sentence}");
        assert_eq!(severity, Severity::Critical, "refused again, under the new limit");
    }

    #[test]
    fn a_limit_that_falls_or_was_never_known_is_no_fix() {
        let of = |then: Option<u64>, now: Option<u64>| {
            let node = |limit, refused| {
                let node = Node::new().pod(limit).container("postgres", None, (12, 12));
                node.refused(refused)
            };
            told(&[node(then, 0), node(then, 1), node(now, 1)]).0
        };
        assert_eq!(of(Some(64), Some(64)), Severity::Critical);
        assert_eq!(of(Some(64), Some(32)), Severity::Critical);
        assert_eq!(of(None, Some(64)), Severity::Critical);
        assert_eq!(of(Some(64), None), Severity::Info, "nothing limits it any more");
    }

    #[test]
    fn of_a_pod_made_again_the_new_one_of_the_same_name_tells() {
        let again = |name: &str, limit: u64| {
            let node = Node::new().but(|snapshot| {
                let new = |held| figures(Some(limit), held);
                *snapshot = snapshot
                    .clone()
                    .with("/kubepods/podnew", new((100, 12)))
                    .with_container("new", 7, figures(None, (100, 12)))
                    .named("new", 7, ["db", name, "postgres"], 0);
            });
            let old = [server(64, (100, 60), 0), server(64, (12, 12), 1)];
            told(&[&old[..], &[node]].concat())
        };
        let (severity, sentence, _) = again("pg-0", 100);
        assert!(sentence.ends_with("Fixed since: limit raised to 200Mi."), "{sentence}");
        assert_eq!(severity, Severity::Info);
        assert_eq!(again("pg-0", 64).0, Severity::Critical, "with the same limit");
        assert_eq!(again("pg-1", 100).0, Severity::Critical, "that is another");
    }

    #[test]
    fn what_was_fixed_stays_so_when_the_pod_is_deleted() {
        let deleted = || Node::new().but(|snapshot| snapshot.cgroups_mut().truncate(1));
        let after = |limit| {
            told(&[
                server(64, (100, 60), 0),
                server(64, (12, 12), 1),
                server(limit, (100, 12), 1),
                deleted(),
            ])
        };
        let (severity, sentence, _) = after(100);
        assert_eq!(severity, Severity::Info, "{sentence}");
        assert_eq!(after(64).0, Severity::Critical);
    }

    #[test]
    fn another_instance_of_the_container_may_have_another_limit() {
        let instance = |id: u64, limit: u64, held, refused| {
            Node::new()
                .pod(None)
                .but(|snapshot| {
                    *snapshot =
                        snapshot.clone().with_container("u", id, figures(Some(limit), held)).named(
                            "u",
                            id,
                            ["db", "pg-0", "postgres"],
                            u32::try_from(id).expect("small"),
                        );
                })
                .refused(refused)
        };
        let first = [instance(1, 64, (100, 60), 0), instance(1, 64, (12, 12), 1)];
        let then = |limit| told(&[&first[..], &[instance(2, limit, (12, 12), 0)]].concat());
        assert_eq!(then(64).0, Severity::Critical);
        let (severity, sentence, _) = then(100);
        assert!(sentence.ends_with("Fixed since: limit raised to 200Mi."), "{sentence}");
        assert_eq!(severity, Severity::Info);
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
