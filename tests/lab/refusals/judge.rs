//! What was said of every pod against what became of it.

use std::collections::BTreeMap;

use super::SECTION;
use super::heard::{Heard, Said};
use super::play::{Played, Run};
use super::program::Program;
use super::row::{Kind, Limit, Reservation, Row};
use crate::Lab;
use crate::evidence;

/// What tells of a kill, in the pod's name or as a number for the node.
const TELLS: [&str; 3] = ["faults-refused", "refusals-ambiguous", "mapping-refused"];
const FOR_THE_NODE: &str = "refused-without-grant";
/// Of the harmless, one in so many may be warned of.
const SHARE: usize = 100;

/// What a row's runs came to.
#[derive(Default)]
struct Counts {
    runs: usize,
    killed: usize,
    failed: usize,
    said: BTreeMap<String, usize>,
}

pub fn judge(lab: &Lab, played: &[(Run, Played)], heard: &Heard) {
    let mut kinds: BTreeMap<Kind, Counts> = BTreeMap::new();
    let mut wrong = Vec::new();
    let node = heard.of_node();
    let for_the_node = node.iter().find(|(said, _)| said.finding == FOR_THE_NODE);
    let (mut harmless, mut warned, mut left_out) = (0, Vec::new(), BTreeMap::new());
    for (run, played) in played {
        let said = heard.of(&played.uid);
        let counts = kinds.entry(run.row.kind()).or_default();
        counts.runs += 1;
        counts.killed += usize::from(played.killed > 0);
        counts.failed += usize::from(played.failed > 0);
        for Said { finding, severity } in said.keys() {
            *counts.said.entry(format!("{finding} ({severity})")).or_default() += 1;
        }
        let is_counted = for_the_node.is_some() && is_countable(run);
        wrong.extend(wrongs(run, played, &said, is_counted));
        let is_harmless = played.killed == 0 && played.failed == 0 && !played.is_beyond;
        if let Some(why) = untellable(run).or_else(|| twin(run)).filter(|_| is_harmless) {
            *left_out.entry((run.row.program, why)).or_insert(0) += 1;
        } else if is_harmless {
            harmless += 1;
            if said.keys().any(|said| said.severity == "warning") {
                warned.push(describe(run, played, &said));
            }
        }
    }
    for (kind, counts) in &kinds {
        evidence::tell(SECTION, format!("{}: {kind}: {counts}", lab.phase));
    }
    let known: Vec<&str> = played.iter().map(|(_, played)| played.uid.as_str()).collect();
    let strays = heard.pods().into_iter().filter(|uid| !known.contains(&uid.as_str()));
    wrong.extend(strays.map(|uid| format!("said of nobody: {uid}: {:?}", heard.of(&uid))));
    for (said, (summary, figures)) in &node {
        eprintln!("{}: the node: {said:?}: {summary} {figures:?}", lab.phase);
    }
    evidence::tell(
        SECTION,
        format!("{}: {} of {harmless} harmless runs were warned of", lab.phase, warned.len()),
    );
    for ((program, why), runs) in left_out {
        evidence::tell(SECTION, format!("{}: {program}, {runs} runs, left out: {why}", lab.phase));
    }
    if warned.len() * SHARE >= harmless.max(1) {
        wrong.push(format!("{} of {harmless} harmless runs were warned of:", warned.len()));
        wrong.extend(warned);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong about what was said of a pod.
fn wrongs(
    run: &Run,
    played: &Played,
    said: &BTreeMap<Said, String>,
    is_counted: bool,
) -> Vec<String> {
    let has = |finding: &str, severity: Option<&str>| {
        said.keys().any(|said| {
            said.finding == finding && severity.is_none_or(|severity| said.severity == severity)
        })
    };
    let critical = |finding| has(finding, Some("critical"));
    let mut wrong = Vec::new();
    if played.killed > 0 && !is_counted && !TELLS.iter().any(|finding| has(finding, None)) {
        wrong.push("a kill without a finding");
    }
    if played.killed == 0 && critical("faults-refused") && untellable(run).is_none() {
        wrong.push("a kill was reported that was none");
    }
    if played.failed + played.killed == 0 && critical("mapping-refused") {
        wrong.push("a container was reported to end for want of pages, and none did");
    }
    let will_crash = critical("will-crash");
    if will_crash && played.killed == 0 && (run.row.program.touches_all() || !played.is_beyond) {
        wrong.push("a crash was predicted that did not come");
    }
    wrong.into_iter().map(|wrong| format!("{wrong}: {}", describe(run, played, said))).collect()
}

/// Whether a refusal of its may be reported of the node: nothing granted, and a mapping would have been refused.
fn is_countable(run: &Run) -> bool {
    run.row.limit_pages() == 0 && run.row.reservation == Reservation::Equal
}

/// Why the kernel's figures can't tell what became of a row, if so.
fn untellable(run: &Run) -> Option<&'static str> {
    let why = "a page refused to the kernel's own access is counted as one refused to the process";
    matches!(run.row.program, Program::Read | Program::Populate).then_some(why)
}

/// Why a harmless row looks like a kill, if so: PHP keeps some of the pages that it gets, and asks for more.
fn twin(run: &Run) -> Option<&'static str> {
    let why = "it holds as many pages as the limit leaves, as does a parent whose child is killed";
    let Row { program, limit, reservation, .. } = run.row;
    let is_it = program == Program::Php && limit == Limit::TooSmall;
    (is_it && reservation == Reservation::Equal).then_some(why)
}

fn describe(run: &Run, played: &Played, said: &BTreeMap<Said, String>) -> String {
    let said: Vec<String> = said
        .iter()
        .map(|(Said { finding, severity }, summary)| format!("{finding} ({severity}): {summary}"))
        .collect();
    format!(
        "run {} of {}: {} killed, {} failed, {} refusals; said: {}",
        run.number,
        run.row,
        played.killed,
        played.failed,
        played.refusals,
        if said.is_empty() { "nothing".to_owned() } else { said.join(" | ") }
    )
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} runs, {} with a kill, {} that failed", self.runs, self.killed, self.failed)?;
        for (said, number) in &self.said {
            write!(f, "; {said} of {number}")?;
        }
        Ok(())
    }
}
