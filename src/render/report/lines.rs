//! Text in lines.

use textwrap::WrapAlgorithm;
use textwrap::core::{Word, break_words, display_width};

/// Lines of that width, the first of them indented by `first` and all others by `others`. Names stay whole: one that is
/// longer than a line begins one, and is broken behind `-`, `/` or `.`, and anywhere only where it has none.
pub(super) fn wrap(text: &str, width: usize, first: &str, others: &str) -> Vec<String> {
    let room = |indent: &str| width.saturating_sub(display_width(indent)).max(1);
    let least = room(first).min(room(others));
    let mut indents = [first].into_iter().chain(std::iter::repeat(others));
    let mut lines = Vec::new();
    for words in runs(text, least) {
        let rooms = [if lines.is_empty() { room(first) } else { room(others) }, room(others)];
        let of_run = WrapAlgorithm::FirstFit.wrap(&words, &rooms);
        lines.extend(
            of_run.into_iter().zip(&mut indents).map(|(words, indent)| line(indent, words)),
        );
    }
    lines
}

/// The words, a new run beginning with each that is longer than a line.
fn runs(text: &str, width: usize) -> Vec<Vec<Word<'_>>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for word in text.split_inclusive(' ') {
        let whole = Word::from(word);
        if whole.width <= width {
            run.push(whole);
            continue;
        }
        if !run.is_empty() {
            runs.push(std::mem::take(&mut run));
        }
        let parts = word.split_inclusive(['-', '/', '.']).map(Word::from);
        run.extend(break_words(parts, width));
    }
    runs.push(run);
    runs
}

fn line(indent: &str, words: &[Word<'_>]) -> String {
    let words = words.iter().flat_map(|word| [word.word, word.whitespace]);
    let line: String = [indent].into_iter().chain(words).collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize) -> String {
        wrap(text, width, "", "").join("|")
    }

    #[test]
    fn a_name_that_fits_a_line_is_not_broken() {
        let uid = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b";
        assert_eq!(wrapped(&format!("pod {uid} is"), 40), format!("pod {uid}|is"));
        assert_eq!(wrapped(&format!("pod {uid} is"), 39), format!("pod|{uid} is"));
        assert_eq!(
            wrapped(&format!("Container c of pod {uid}."), 37),
            format!("Container c of pod|{uid}.")
        );
    }

    #[test]
    fn a_longer_one_is_broken_where_it_has_a_joint() {
        assert_eq!(
            wrapped("6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b", 23),
            "6f1c2a3b-4d5e-4f60-|8a7b-9c0d1e2f3a4b"
        );
        assert_eq!(wrapped("prod/db.example-0", 12), "prod/db.|example-0");
        assert_eq!(wrapped("of prod/database-0 here", 12), "of|prod/|database-0|here");
        assert_eq!(wrapped("of /a/b/c/d/e in all", 8), "of|/a/b/c/|d/e in|all");
        assert_eq!(wrapped("abcdefghij", 4), "abcd|efgh|ij", "without a joint anywhere");
        assert_eq!(wrapped("日本語日本語", 4), "日本|語日|本語");
    }

    #[test]
    fn no_width_is_too_narrow() {
        assert_eq!(wrap("To do", 0, "    ", "  "), ["    T", "  o", "  d", "  o"]);
        assert_eq!(wrap("", 80, "", ""), [""]);
    }
}
