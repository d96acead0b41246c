//! Findings for a terminal.

use std::fmt::Write;
use std::time::SystemTime;

use super::{Layout, Style, lines};
use crate::assessment::{Finding, Killed, Severity};
use crate::render::figures::nothing_found;

/// So many of those that were killed are listed.
const MOST_KILLED: usize = 10;

/// The findings, each with what to do; or that there are none, as far as all was seen.
pub(super) fn text(findings: &[Finding], layout: Layout<'_>, all_seen: bool) -> String {
    if findings.is_empty() {
        return lines::wrap(nothing_found(all_seen), layout.width, "", "").join("\n") + "\n";
    }
    let mut text = String::new();
    for finding in findings {
        let severity = layout.style.severity(finding.severity);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{severity} {}", finding.name);
        let mut paragraph = |first: &str, others: &str, words: &str| {
            for line in lines::wrap(words, layout.width, first, others) {
                let _ = writeln!(text, "{line}");
            }
        };
        paragraph("  ", "  ", &finding.sentence);
        paragraph("  To do: ", "         ", &finding.remedy);
    }
    text
}

/// What is found and muted, in one sentence; nothing where there is none.
pub(super) fn muted(findings: &[Finding], layout: Layout<'_>) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let all: Vec<_> = findings.iter().map(Finding::named).collect();
    lines::wrap(&format!("Muted: {}.", all.join(", ")), layout.width, "", "  ").join("\n") + "\n"
}

/// Who got SIGBUS lately, the newest first; nothing where nobody did.
pub(super) fn killed(killed: &[Killed], layout: Layout<'_>) -> String {
    let mut text = String::new();
    for (index, it) in killed.iter().rev().take(MOST_KILLED).enumerate() {
        if index == 0 {
            text.push_str("\nKilled by SIGBUS lately, the newest first:\n");
        }
        let words = format!(
            "{} {}: {} at {:#x}: {}.",
            moment(it.at),
            it.who.described(),
            it.process(),
            it.address,
            it.why()
        );
        text += &(lines::wrap(&words, layout.width, "  ", "    ").join("\n") + "\n");
    }
    text
}

/// `2026-11-29T12:00:00Z`; `?` for a time that the formatter's calendar has not.
fn moment(time: SystemTime) -> String {
    let mut text = String::new();
    // It must not be given what is before 1970.
    let is_shown = time >= SystemTime::UNIX_EPOCH
        && write!(text, "{}", humantime::format_rfc3339_seconds(time)).is_ok();
    if is_shown { text } else { "?".to_owned() }
}

impl Style {
    /// The word, coloured where colours are shown; it says the same without.
    pub(super) fn severity(self, severity: Severity) -> String {
        let colour = match severity {
            Severity::Critical => "1;31",
            Severity::Warning => "33",
            Severity::Info => "36",
        };
        let word = severity.to_string().to_uppercase();
        match self {
            Self::Plain => word,
            Self::Coloured => format!("\u{1b}[{colour}m{word}\u{1b}[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assessment::Subject;

    fn finding() -> Finding {
        Finding {
            name: "will-crash",
            severity: Severity::Critical,
            subject: Subject::Node,
            concerned: Vec::new(),
            page_size: None,
            sentence: "word ".repeat(30).trim_end().to_owned() + ".",
            remedy: format!("Set {}.", "x".repeat(100)),
            figures: Vec::new(),
        }
    }

    fn said(findings: &[Finding], style: Style, all_seen: bool) -> String {
        text(findings, Layout { style, ..Layout::default() }, all_seen)
    }

    #[test]
    fn it_fits_a_terminal_and_says_the_same_without_colour() {
        let plain = said(&[finding()], Style::Plain, true);
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
        assert!(plain.starts_with("CRITICAL will-crash\n  word"), "{plain}");
        let coloured = said(&[finding()], Style::Coloured, true);
        assert_eq!(coloured.replace("\u{1b}[1;31m", "").replace("\u{1b}[0m", ""), plain);
        assert_ne!(coloured, plain);
    }

    #[test]
    fn nothing_found_is_no_promise_where_something_was_not_seen() {
        assert_eq!(said(&[], Style::Plain, true), "Nothing wrong was found.\n");
        let told = said(&[], Style::Plain, false);
        assert_eq!(told, "Nothing wrong was found in what could be seen.\n");
    }
}
