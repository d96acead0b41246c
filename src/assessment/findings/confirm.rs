//! What is found twice running is believed: usage and reservation are read one after the other, and a
//! mapping made between the two looks like a shortfall for one poll.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Finding, Severity, Subject};
use crate::units::PageSize;

/// What makes two findings the same: the rule, the page size, and whom they are about. A pod's name may come
/// late, so its UID counts; a container has two keys, its name and its newest instance's id.
type Key = (&'static str, Option<PageSize>, Arc<str>, Arc<str>);

/// The findings of the last poll, and those that were raised.
#[derive(Debug, Default)]
pub struct Findings {
    seen: HashSet<Key>,
    raised: Vec<Finding>,
}

/// What is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Raised by this poll.
    pub raised: Vec<Finding>,
    /// Raised by an earlier poll, and now of another severity.
    pub changed: Vec<Finding>,
    /// Not found any more.
    pub cleared: Vec<Finding>,
}

impl Findings {
    /// Leaves of what this poll found only what the last one found too.
    pub fn confirm(&mut self, found: &mut Vec<Finding>) -> Changes {
        let seen: HashSet<Key> = found.iter().flat_map(keys).collect();
        found.retain(|finding| keys(finding).iter().any(|key| self.seen.contains(key)));
        let (before, now) = (severities(&self.raised), severities(found));
        let mut cleared = std::mem::replace(&mut self.raised, found.clone());
        cleared.retain(|finding| severity(&now, finding).is_none());
        self.seen = seen;
        let mut changes = Changes { cleared, ..Changes::default() };
        for finding in found {
            match severity(&before, finding) {
                None => changes.raised.push(finding.clone()),
                Some(severity) if severity != finding.severity => {
                    changes.changed.push(finding.clone());
                }
                Some(_) => {}
            }
        }
        changes
    }
}

fn severities(findings: &[Finding]) -> HashMap<Key, Severity> {
    let of_one = |finding: &Finding| keys(finding).map(|key| (key, finding.severity));
    findings.iter().flat_map(of_one).collect()
}

/// That of the same finding among these.
fn severity(of: &HashMap<Key, Severity>, finding: &Finding) -> Option<Severity> {
    keys(finding).iter().find_map(|key| of.get(key)).copied()
}

fn keys(finding: &Finding) -> [Key; 2] {
    let key = |whom: &Arc<str>, part: &Arc<str>| {
        (finding.name, finding.page_size, Arc::clone(whom), Arc::clone(part))
    };
    match &finding.subject {
        Subject::Node => [key(&"".into(), &"".into()), key(&"".into(), &"".into())],
        Subject::Cgroup(path) => {
            let path = path.as_str().into();
            [key(&path, &"".into()), key(&path, &"".into())]
        }
        Subject::Tenant(who) => {
            let id = who.instance.as_ref().unwrap_or(&who.container);
            [key(&who.uid, &who.container), key(&who.uid, id)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assessment::{Identity, Severity};

    fn finding(cgroup: &str, sentence: &str) -> Finding {
        Finding {
            name: "will-crash",
            severity: Severity::Critical,
            subject: Subject::Cgroup(cgroup.to_owned()),
            concerned: Vec::new(),
            page_size: None,
            sentence: sentence.to_owned(),
            remedy: String::new(),
            figures: Vec::new(),
        }
    }

    fn names(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.sentence.as_str()).collect()
    }

    #[test]
    fn a_finding_is_raised_by_the_second_poll_and_cleared_by_the_first_without() {
        let mut findings = Findings::default();
        let mut poll = |found: &[(&str, &str)]| {
            let mut found: Vec<_> =
                found.iter().map(|(cgroup, sentence)| finding(cgroup, sentence)).collect();
            let changes = findings.confirm(&mut found);
            let told = |findings: &[Finding]| names(findings).join(",");
            (told(&found), told(&changes.raised), told(&changes.cleared))
        };
        let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(poll(&[("a", "a1")]), text("", "", ""), "once may be a race");
        assert_eq!(poll(&[("a", "a2"), ("b", "b2")]), text("a2", "a2", ""));
        assert_eq!(poll(&[("a", "a3")]), text("a3", "", ""), "raised once, with newer figures");
        assert_eq!(poll(&[]), text("", "", "a3"));
        assert_eq!(poll(&[("a", "a5")]), text("", "", ""), "and it begins again");
    }

    #[test]
    fn another_severity_is_news_and_no_new_finding() {
        let mut findings = Findings::default();
        let mut poll = |severity| {
            let mut found = vec![Finding { severity, ..finding("a", "") }];
            let Changes { raised, changed, cleared } = findings.confirm(&mut found);
            assert!(cleared.is_empty());
            (raised.len(), changed.first().map(|finding| finding.severity))
        };
        let (critical, info) = (Severity::Critical, Severity::Info);
        assert_eq!([critical, critical].map(&mut poll), [(0, None), (1, None)]);
        assert_eq!(poll(info), (0, Some(info)), "it got better");
        assert_eq!(poll(info), (0, None), "that is told once");
        assert_eq!(poll(critical), (0, Some(critical)), "it got worse");
    }

    #[test]
    fn a_name_that_comes_late_changes_nothing() {
        let of = |container: &str, pod: &str| {
            let who = Identity {
                namespace: pod.into(),
                pod: pod.into(),
                container: container.into(),
                uid: "u".into(),
                instance: Some("0123456789abcdef".into()),
            };
            Finding { subject: Subject::Tenant(who), ..finding("", container) }
        };
        let mut findings = Findings::default();
        let mut poll = |finding: Finding| {
            let mut found = vec![finding];
            let changes = findings.confirm(&mut found);
            (found.len(), changes.raised.len(), changes.cleared.len())
        };
        assert_eq!(poll(of("0123456789ab", "")), (0, 0, 0));
        assert_eq!(poll(of("postgres", "pg-0")), (1, 1, 0));
        assert_eq!(poll(of("0123456789ab", "")), (1, 0, 0));
        assert_eq!(poll(of("postgres", "pg-0")), (1, 0, 0));
    }
}
