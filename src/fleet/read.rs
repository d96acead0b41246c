//! An agent's answer, read: JSON that anyone may have made.

use serde_json::{Map, Value};

/// A text is not longer; the longest sentence has some hundreds of characters.
const MOST_CHARACTERS: usize = 4_096;

/// So much of what is no report is shown.
const SHOWN: usize = 40;

/// Why an answer is no report.
#[derive(Debug, thiserror::Error)]
pub enum NotAReport {
    /// It is no JSON.
    #[error(
        "the answer is no JSON: {source}; it begins with {begin:?}; expected a hugetlb-exporter"
    )]
    NoJson {
        /// Why.
        source: serde_json::Error,
        /// How it begins.
        begin: String,
    },
    /// It is JSON of something else.
    #[error("the answer has no list {lacks}; expected a hugetlb-exporter's /api/v1/view")]
    Another {
        /// What it lacks.
        lacks: &'static str,
    },
}

/// What every report has, of every version.
const LISTS: [&str; 5] = ["findings", "pools", "pods", "containers", "sources"];

/// The report in an answer's body. Nothing in it can command a terminal.
pub(super) fn report(body: &[u8]) -> Result<Map<String, Value>, NotAReport> {
    let value: Value = serde_json::from_slice(body).map_err(|source| {
        let begin = String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body)).into_owned();
        NotAReport::NoJson { source, begin }
    })?;
    let Value::Object(report) = cleaned(value) else {
        return Err(NotAReport::Another { lacks: LISTS[0] });
    };
    match LISTS.into_iter().find(|list| !report.get(*list).is_some_and(Value::is_array)) {
        Some(lacks) => Err(NotAReport::Another { lacks }),
        None => Ok(report),
    }
}

/// The same with clean texts. JSON is not nested deeper than 128 levels: the parser refuses more.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(cleaned).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (clean(&key), cleaned(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// A text without what commands a terminal or turns the direction of writing, and no longer than needed.
pub(super) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let dangerous = |c: char| c.is_control() || turns(c);
    text.chars().take(MOST_CHARACTERS).map(|c| if dangerous(c) { '\u{fffd}' } else { c }).collect()
}
