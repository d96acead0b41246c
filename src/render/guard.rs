//! The guard in words: the labels of its metrics, and a sentence for the report and the page.

use crate::snapshot::guard::{Action, Mode, Outcome, Reason, Refuse, Report};
use crate::view::View;

/// The value of the label `action`.
pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::Refuse => "refuse",
        Action::Rescue => "rescue",
        Action::Bound => "bound",
        Action::Restore => "restore",
    }
}

/// The value of the label `result`.
pub(super) fn result(result: Outcome) -> &'static str {
    match result {
        Outcome::Written => "written",
        Outcome::WouldWrite => "would-write",
        Outcome::Busy => "busy",
        Outcome::Gone => "gone",
        Outcome::Contested => "contested",
        Outcome::Unnamed => "unnamed",
        Outcome::Unrecorded => "unrecorded",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "failed",
    }
}

/// The value of the label `reason`.
pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Excluded => "excluded",
        Reason::Paused => "paused",
        Reason::MemoryMax => "memory-max",
        Reason::PoolShort => "pool-short",
        Reason::Uncertain => "uncertain",
        Reason::AbovePod => "above-pod",
        Reason::TooSoon => "too-soon",
        Reason::Unreadable => "unreadable",
        Reason::InUse => "in-use",
    }
}

/// The value of the label `mode`: whether it acts.
pub(super) fn mode(report: &Report) -> &'static str {
    match report.mode {
        _ if report.paused => "paused",
        Mode::Enforce => "enforce",
        Mode::DryRun => "dry-run",
    }
}

/// The value of the label `refuse`.
pub(super) fn refuse(refuse: Refuse) -> &'static str {
    match refuse {
        Refuse::Off => "off",
        Refuse::Ungranted => "ungranted",
        Refuse::All => "all",
    }
}

/// A flag's word.
pub(super) fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Those of one action and result, whatever the reason: each pair once, in the order of the words.
pub(super) fn writes(report: &Report) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
    let pairs = report.writes.iter().map(|it| (it.action, it.result));
    let mut pairs: Vec<_> =
        pairs.map(|it| ((action(it.0), result(it.1)), report.count(it.0, it.1))).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into_iter().map(|((action, result), count)| (action, result, count))
}

/// What the guard does here; nothing where none has said anything.
pub(super) fn sentence(view: &View) -> Option<String> {
    let report = &view.snapshot.guard.as_ref()?.report;
    let policy = &report.policy;
    let refuses = match policy.refuse {
        Refuse::Off => "refuses nobody's mappings",
        Refuse::Ungranted => "refuses mappings of pods that were granted none",
        Refuse::All => "refuses mappings beyond the limit of every pod",
    };
    let rescues = match (policy.rescue, policy.rescue_bound) {
        (false, _) => "rescues nobody",
        (true, true) => "rescues who has reserved more than may be touched",
        (true, false) => "rescues who has reserved more than may be touched, without a bound",
    };
    let acts = match mode(report) {
        "paused" => "It is paused: what it wrote stays, and it writes nothing. Otherwise it",
        "dry-run" => "It writes nothing, as it was told to (dry run). Otherwise it",
        _ => "It",
    };
    let counts: Vec<_> = writes(report)
        .map(|(action, result, count)| format!("{action} {result} {count}"))
        .collect();
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    Some(format!("{acts} {refuses} and {rescues}. Writes since it started: {counts}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::report;
    use crate::snapshot::guard::Writes;

    #[test]
    fn the_words_are_those_of_the_guards_own_file() {
        fn spelt(word: impl serde::Serialize) -> String {
            serde_json::to_value(word).expect("JSON").as_str().expect("a word").to_owned()
        }
        for it in [Action::Refuse, Action::Rescue, Action::Bound, Action::Restore] {
            assert_eq!(action(it), spelt(it));
        }
        use Outcome::*;
        for it in [Written, WouldWrite, Busy, Gone, Contested, Unnamed, Unrecorded, Skipped, Failed]
        {
            assert_eq!(result(it), spelt(it));
        }
        use Reason::*;
        for it in [
            Excluded, Paused, MemoryMax, PoolShort, Uncertain, AbovePod, TooSoon, Unreadable, InUse,
        ] {
            assert_eq!(reason(it), spelt(it));
        }
        for it in [Refuse::Off, Refuse::Ungranted, Refuse::All] {
            assert_eq!(refuse(it), spelt(it));
        }
        assert_eq!(mode(&report(Vec::new())), spelt(Mode::Enforce));
        let dry = Report { mode: Mode::DryRun, ..report(Vec::new()) };
        assert_eq!(mode(&dry), spelt(Mode::DryRun));
        assert_eq!(mode(&Report { paused: true, ..dry }), "paused");
    }

    #[test]
    fn reasons_add_up() {
        let of = |reason, count| Writes {
            action: Action::Rescue,
            result: Outcome::Skipped,
            reason,
            count,
        };
        let mut report = report(Vec::new());
        report.writes = vec![of(Some(Reason::PoolShort), 2), of(Some(Reason::TooSoon), 3)];
        report.writes.push(Writes {
            action: Action::Refuse,
            result: Outcome::Written,
            ..of(None, 7)
        });
        let written: Vec<_> = writes(&report).collect();
        assert_eq!(written, [("refuse", "written", 7), ("rescue", "skipped", 5)]);
    }
}
