//! What was said against what happened, counted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use super::verdict::Verdict;
use crate::evidence;
use crate::machine::Phase;

/// What became of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nobody was killed because of it.
    Survived,
    /// Somebody was.
    Killed,
    /// The pool killed somebody below it, so that both verdicts are right of the limit above.
    Either,
}

impl Outcome {
    /// Whether a verdict, other than uncertain, foretold it.
    pub fn is(self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Safe => self != Self::Killed,
            Verdict::WillCrash => self != Self::Survived,
            Verdict::Uncertain | Verdict::Missing | Verdict::Contradictory => false,
        }
    }
}

/// Where a verdict is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// The version of the hierarchy.
    pub phase: String,
    /// With the mappings' collector or without, and before or after the first touch.
    pub when: String,
}

/// How often a verdict met an outcome.
type Counts = BTreeMap<(Verdict, Outcome), u64>;

/// By column, how often a verdict met an outcome.
static COUNTS: Mutex<BTreeMap<Column, Counts>> = Mutex::new(BTreeMap::new());
/// Scenarios that were run, left out, and so on, by phase and what it is that is counted.
static NOTES: Mutex<BTreeMap<(String, String), u64>> = Mutex::new(BTreeMap::new());

/// Counts a verdict.
pub fn count(column: Column, verdict: Verdict, outcome: Outcome) {
    let mut counts = COUNTS.lock().expect("the counts");
    *counts.entry(column).or_default().entry((verdict, outcome)).or_default() += 1;
}

/// Counts something that is no verdict.
pub fn note(phase: Phase, what: &str, number: usize) {
    let mut notes = NOTES.lock().expect("the notes");
    *notes.entry((phase.to_string(), what.to_owned())).or_default() += number as u64;
}

/// All matrices as Markdown; nothing if nothing was judged.
fn text() -> Option<String> {
    let counts = COUNTS.lock().expect("the counts");
    if counts.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (column, counts) in counts.iter() {
        let count = |verdict, outcome| counts.get(&(verdict, outcome)).copied().unwrap_or_default();
        let _ = writeln!(text, "\n{}, {}:\n", column.phase, column.when);
        text.push_str(
            "| said | survived | killed | killed by the pool, further down |\n|---|---|---|---|\n",
        );
        for (verdict, name) in [
            (Verdict::Safe, "safe"),
            (Verdict::WillCrash, "will crash"),
            (Verdict::Uncertain, "uncertain"),
            (Verdict::Missing, "nothing"),
            (Verdict::Contradictory, "a contradiction"),
        ] {
            let [survived, killed, either] = [Outcome::Survived, Outcome::Killed, Outcome::Either]
                .map(|outcome| count(verdict, outcome));
            if verdict <= Verdict::Uncertain || survived + killed + either > 0 {
                let _ = writeln!(text, "| {name} | {survived} | {killed} | {either} |");
            }
        }
    }
    text.push('\n');
    for ((phase, what), number) in NOTES.lock().expect("the notes").iter() {
        let _ = writeln!(text, "- {phase}: {number} {what}");
    }
    Some(text)
}

/// Prints the matrices; with `HUGETLB_LAB=long` those of a whole run go into docs/evidence.md too.
pub fn publish(whole: bool) {
    let Some(text) = text() else { return };
    eprintln!("{text}");
    if whole {
        let what = "Each limit owner was judged, then everything was touched to the end.";
        evidence::publish("The truth table", &format!("{what}\n{text}"));
    }
}
