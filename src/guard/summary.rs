//! What a dry run ends with: which pods would be refused, rescued or left alone, and why. A platform team can take it to
//! a review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::rules::Left;
use super::telling::word;
use crate::snapshot::guard::{Action, Outcome, Reason};
use crate::units::PageSize;

/// More pods are counted and not named.
const MOST: usize = 10_000;

/// What was seen since the start.
#[derive(Debug, Default)]
pub struct Summary {
    groups: BTreeMap<Group, BTreeSet<String>>,
    pods: usize,
    unnamed: usize,
}

/// What would have been done, and with what.
type Group = (Action, Outcome, Option<Reason>);

impl Summary {
    /// Takes in one that was left alone.
    pub fn left(&mut self, pod: &str, cgroup: &str, size: PageSize, left: &Left) {
        if self.pods >= MOST {
            self.unnamed += 1;
            return;
        }
        let line = match (left.old, left.value) {
            (old, value) if left.why == Action::Rescue => {
                format!("{pod}: {} from {} to {} ({cgroup})", size, shown(old), shown(value))
            }
            (_, value) => format!("{pod}: {} at {} ({cgroup})", size, shown(value)),
        };
        let group = (left.why, left.outcome, left.reason);
        self.pods += usize::from(self.groups.entry(group).or_default().insert(line));
    }

    fn title((action, outcome, reason): Group) -> String {
        let what = match action {
            Action::Refuse => "mappings that are too large would be refused (a reservation limit)",
            Action::Rescue => "the limit would be raised to what is reserved already",
            Action::Bound => "the reservation limit would be set to what is reserved",
            Action::Restore => "the limit that was there before would be set again",
        };
        match (outcome, reason) {
            (Outcome::WouldWrite, _) => what.to_owned(),
            (outcome, None) => format!("{what}, but: {}", word(outcome)),
            (_, Some(reason)) => format!("{what}, but: {}", why(reason)),
        }
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Excluded => "the namespace is excluded, or it is the exporter's own pod",
        Reason::Paused => "the guard is paused",
        Reason::MemoryMax => "huge pages count as memory here, and memory.max can't take the rest",
        Reason::PoolShort => "the pool has fewer free pages than are outstanding",
        Reason::Uncertain => "pages are reserved in one cgroup and touched in another",
        Reason::AbovePod => "a limit above the pod binds",
        Reason::TooSoon => "it was raised less than 10 s ago",
        Reason::Unreadable => "a figure could not be read",
        Reason::InUse => "a process lives by the raised limit",
    }
}

fn shown(limit: crate::snapshot::Limit) -> String {
    limit.finite().map_or("no limit".to_owned(), |bytes| bytes.to_string())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return writeln!(f, "dry run: nothing would have been written");
        }
        writeln!(f, "dry run: what would have been written, and what would not")?;
        for (group, lines) in &self.groups {
            writeln!(f, "\n{} ({}):", Self::title(*group), lines.len())?;
            for line in lines {
                writeln!(f, "  {line}")?;
            }
        }
        if self.unnamed > 0 {
            writeln!(f, "\nand {} more", self.unnamed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::facts::Place;
    use crate::snapshot::Limit;
    use crate::units::Bytes;

    #[test]
    fn it_says_who_what_and_why_not() {
        let mut summary = Summary::default();
        assert_eq!(summary.to_string(), "dry run: nothing would have been written\n");
        let size: PageSize = "2Mi".parse().expect("a size");
        let left = |why, outcome, reason| Left {
            place: Place::Pod,
            why,
            value: Limit::At(Bytes(100 << 21)),
            old: Limit::At(Bytes(64 << 21)),
            outcome,
            reason,
        };
        let refused = Left {
            value: Limit::At(Bytes::ZERO),
            ..left(Action::Refuse, Outcome::WouldWrite, None)
        };
        for _ in 0..2 {
            summary.left("web/nginx", "/kubepods/podx", size, &refused);
        }
        summary.left(
            "db/pg",
            "/kubepods/pody",
            size,
            &left(Action::Rescue, Outcome::Skipped, Some(Reason::PoolShort)),
        );
        assert_eq!(
            summary.to_string(),
            "dry run: what would have been written, and what would not\n\n\
             mappings that are too large would be refused (a reservation limit) (1):\n  \
             web/nginx: 2Mi at 0 (/kubepods/podx)\n\n\
             the limit would be raised to what is reserved already, but: the pool has fewer free pages than are outstanding (1):\n  \
             db/pg: 2Mi from 128Mi to 200Mi (/kubepods/pody)\n"
        );
    }
}
