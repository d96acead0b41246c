//! What an Event says, in no more bytes than Kubernetes allows.

/// Kubernetes' limit of a note (`NoteLengthLimit` in its validation of events).
const MOST_BYTES: usize = 1024;

/// A remedy of no more bytes is kept whole, and the sentence is cut instead.
const MOST_REMEDY: usize = 512;

const CUT: &str = "…";

/// A sentence and what to do.
pub(super) fn note(sentence: &str, remedy: &str) -> String {
    let (sentence, remedy) = (printable(sentence), printable(remedy));
    let remedy = if remedy.is_empty() { remedy } else { format!(" To do: {remedy}") };
    let remedy = cut(&remedy, MOST_REMEDY);
    let sentence = cut(&sentence, MOST_BYTES - remedy.len());
    format!("{sentence}{remedy}")
}

/// The same without process numbers and addresses: whoever may read the namespace's Events sees them. `postgres (pid 31083) was
/// killed at 0x7f12a0000000.` becomes `postgres was killed.`
pub(super) fn without_processes(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut words = text.split_inclusive(' ').peekable();
    while let Some(word) = words.next() {
        let is_pid = ["pid", "tid"].contains(&bare(word));
        if is_pid && words.peek().is_some_and(|next| is_numbered(next)) {
            kept.extend(words.next().and_then(end));
        } else if bare(word).split(['=', ':']).any(is_address) || is_assigned(word) {
            while kept.pop_if(|before| ["at", "address"].contains(&bare(before))).is_some() {}
            kept.extend(end(word));
        } else {
            kept.push(word);
        }
    }
    let mut text = kept.concat();
    for (with, without) in [(" ,", ","), (" .", "."), (" ;", ";"), (" :", ":"), (",,", ",")] {
        text = text.replace(with, without);
    }
    text
}

/// A word without what stands around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// What ends a sentence or a part of one behind a word that is left out.
fn end(word: &str) -> Option<&str> {
    let place = word.rfind(|c: char| !".,;: ".contains(c))?;
    let end = word.get(place..)?.trim_start_matches(|c: char| !".,;: ".contains(c));
    (!end.trim().is_empty()).then_some(end)
}

fn is_address(part: &str) -> bool {
    let digits = part.strip_prefix("0x").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `pid=31083`
fn is_assigned(word: &str) -> bool {
    let assigned = bare(word).split_once('=');
    assigned.is_some_and(|(name, value)| ["pid", "tid"].contains(&name) && is_numbered(value))
}

fn is_numbered(word: &str) -> bool {
    let digits = bare(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Paths and names are anyone's; what a terminal shows of an Event must not command it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(CUT.len()));
    format!("{}{CUT}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_note_is_the_sentence_and_what_to_do() {
        assert_eq!(note("It is so.", "Do that."), "It is so. To do: Do that.");
        assert_eq!(note("It is so.", ""), "It is so.");
        assert_eq!(note("a\u{1b}[31m\nb", ""), "a\u{fffd}[31m\u{fffd}b");
    }

    #[test]
    fn of_one_that_is_too_long_the_remedy_is_kept() {
        let long = note(&"é".repeat(1_000), "Do that.");
        assert!(long.len() <= MOST_BYTES && long.len() > MOST_BYTES - 4, "{}", long.len());
        assert!(long.ends_with("é… To do: Do that."), "{long}");
        let both = note(&"a".repeat(2_000), &"b".repeat(2_000));
        assert!(both.len() <= MOST_BYTES && both.contains("a… To do: b"), "{both}");
    }

    #[test]
    fn numbers_of_processes_and_addresses_are_left_out() {
        for (with, without) in [
            ("postgres (pid 31083) was killed", "postgres was killed"),
            ("It killed postgres (pid 31083).", "It killed postgres."),
            ("postgres (pid 7), initdb (pid 8) and 3 more", "postgres, initdb and 3 more"),
            ("postgres, pid 7, was killed", "postgres, was killed"),
            ("killed at 0x7f12a0000000: no page", "killed: no page"),
            ("killed at address 0x7f12a0000000.", "killed."),
            ("postgres (pid=7, address=0x7f12) died", "postgres, died"),
            ("a touch of 64 pages, 128Mi", "a touch of 64 pages, 128Mi"),
            ("the pid of postgres", "the pid of postgres"),
        ] {
            assert_eq!(without_processes(with), without);
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_long_and_no_number_of_a_process_stays(
            sentence in "\\PC{0,900}", remedy in "\\PC{0,900}", pid in 1_000_000_u32..,
        ) {
            prop_assert!(note(&sentence, &remedy).len() <= MOST_BYTES);
            let told = without_processes(&format!("{sentence} (pid {pid}) {remedy} at 0x7f{pid:010x}."));
            prop_assert!(!told.contains(&format!("{pid})")), "{}", told);
        }
    }
}
