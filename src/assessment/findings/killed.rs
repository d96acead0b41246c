//! Who was killed, for the sentences of findings.

use std::collections::HashSet;

use super::Facts;
use crate::assessment::{Identity, Killed};
use crate::history::Cause;
use crate::units::PageSize;

/// Who of them was killed for pages of that size and that cause, for as long as it is news: the last, and how many processes.
pub(super) fn killed<'a>(
    facts: &Facts<'a>,
    who: &Identity,
    page_size: PageSize,
    cause: Cause,
) -> Option<(&'a Killed, usize)> {
    let now = facts.snapshot.taken.wall;
    let is_it = |it: &&Killed| {
        let age = now.duration_since(it.at).unwrap_or_default();
        it.cause == Some(cause)
            && it.page_size == Some(page_size)
            && (&it.who.uid, &it.who.container) == (&who.uid, &who.container)
            && age <= facts.thresholds.refused_for
    };
    let all: Vec<_> = facts.assessment.killed.iter().filter(is_it).collect();
    let processes: HashSet<_> = all.iter().map(|it| it.pid).collect();
    all.last().map(|last| (*last, processes.len()))
}

/// `a process was killed by SIGBUS`, with its name where a witness knows it.
pub(super) fn killed_words(killed: Option<(&Killed, usize)>) -> String {
    match killed {
        None => "a process was killed by SIGBUS".to_owned(),
        Some((one, 1)) => format!("{} was killed by SIGBUS", one.process()),
        Some((last, several)) => {
            format!("{several} processes were killed by SIGBUS, last {}", last.process())
        }
    }
}
