//! What came of `hugetlb-exporter try`: for people, and for programs.

mod json;

use std::fmt::Write;
use std::time::Duration;

pub use json::json;

use crate::snapshot::{LevelLimits, LevelMemory, Limit, Outcome, Pool, Reading, RefusedBy, Trial};
use crate::units::{Bytes, PageSize, Pages, SignedPages};

/// Below the words, not below their name.
const INDENT: &str = "         ";

/// For people.
pub fn text(trial: &Trial) -> String {
    let mut text = String::new();
    let size = trial.page_size;
    let mut line = |name: &str, words: &str| {
        // A cgroup's path may be longer than a line, and is copied more easily in one piece.
        let options = textwrap::Options::new(80).subsequent_indent(INDENT).break_words(false);
        for line in textwrap::wrap(&format!("{name:<8} {words}"), options) {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{line}");
        }
    };
    line("Pool", &pool(trial.pool.as_ref(), size));
    for level in &trial.limits {
        line("Limit", &level_words(level));
    }
    for level in &trial.memory {
        line("Memory", &memory_words(level));
    }
    if !trial.sees_all_limits {
        line("Limit", "of what is above (a pod's): not seen from here");
    }
    line("Mapping", &format!("{} {}", amount(trial.pages, size), trial.mapping));
    match &trial.outcome {
        Outcome::RefusedAtMmap(by) => {
            line("Refused", "at mmap, which says so: ENOMEM. Nothing was touched.");
            line("By", &refused_by(by, size));
        }
        Outcome::Fits if trial.touch == Pages(0) => line("Mapped", &untouched(trial)),
        Outcome::Fits => line("Touched", &amount(trial.touch, size)),
        Outcome::RefusedAtTouch { touched, by } => {
            line("Touched", &amount(*touched, size));
            line("Refused", &format!("the touch of page {}: killed by SIGBUS.", touched.0 + 1));
            line("By", &refused_by(by, size));
        }
        Outcome::WouldHang { touched, at } => {
            line("Touched", &amount(*touched, size));
            line("Hangs", &would_hang(*touched, at));
        }
        Outcome::Hung { touched, after, counts_memory } => {
            line("Touched", &amount(*touched, size));
            line("Hangs", &hung(*touched, *after, *counts_memory));
        }
    }
    text
}

/// What is to be expected of a touch, as far as the limits that are seen tell.
fn untouched(trial: &Trial) -> String {
    let page = trial.page_size.bytes().0;
    let room = |level: &LevelLimits| {
        let left = level.limit.finite()?.less(level.usage.present()?);
        Some((left.0.checked_div(page)?, level.cgroup.clone()))
    };
    match trial.limits.iter().filter_map(room).min() {
        Some((pages, cgroup)) if pages < trial.pages.0 => {
            format!("and not touched. {cgroup} may touch {pages} more: a touch beyond is SIGBUS.")
        }
        _ => "and not touched. Only a touch (--touch) shows what is enforced.".to_owned(),
    }
}

fn memory_words(level: &LevelMemory) -> String {
    let shown = |bytes: Reading<Bytes>| {
        bytes.present().map_or_else(|| "?".to_owned(), |bytes| bytes.to_string())
    };
    format!(
        "{}, of which {} are left for huge pages, which count as memory here: {}",
        shown(level.limit),
        shown(level.room),
        level.cgroup,
    )
}

fn would_hang(touched: Pages, at: &LevelMemory) -> String {
    format!(
        "the touch of page {} was not tried: memory.max of {} has no room for it, and it would hang for ever, without a signal or an error.",
        touched.0 + 1,
        at.cgroup,
    )
}

fn hung(touched: Pages, after: Duration, counts_memory: bool) -> String {
    let why = match counts_memory {
        true => {
            " Huge pages count as memory here: a memory.max above, not seen from here, may have no room for it."
        }
        false => "",
    };
    format!(
        "the touch of page {} did not come back within {} s, and its process was ended.{why}",
        touched.0 + 1,
        after.as_secs(),
    )
}

/// `100 pages of 2Mi (200Mi)`
fn amount(pages: Pages, size: PageSize) -> String {
    let noun = if pages.0 == 1 { "page" } else { "pages" };
    let bytes = pages.bytes(size).map(|bytes| format!(" ({bytes})")).unwrap_or_default();
    format!("{} {noun} of {size}{bytes}", pages.0)
}

fn pool(pool: Reading<&Pool>, size: PageSize) -> String {
    let pool = match pool {
        Reading::Present(pool) => pool,
        Reading::Absent => return format!("this node has none of {size} pages"),
        Reading::Failed => return format!("of {size} pages: could not look"),
    };
    let pages = |pages: Reading<Pages>| match pages {
        Reading::Present(pages) => pages.0.to_string(),
        Reading::Absent => "-".to_owned(),
        Reading::Failed => "?".to_owned(),
    };
    format!(
        "{} pages of {size}: {} free, {} of them reserved, {} available",
        pages(pool.size),
        pages(pool.free),
        pages(pool.reserved.map(SignedPages::at_least_none)),
        pages(pool.available()),
    )
}

fn level_words(level: &LevelLimits) -> String {
    let limit = |limit: Reading<Limit>| match limit {
        Reading::Present(Limit::At(bytes)) => bytes.to_string(),
        Reading::Present(Limit::Unlimited) | Reading::Absent => "none".to_owned(),
        Reading::Failed => "unreadable".to_owned(),
    };
    let held = |bytes: Reading<Bytes>| match bytes {
        Reading::Present(bytes) => bytes.to_string(),
        Reading::Absent => "-".to_owned(),
        Reading::Failed => "?".to_owned(),
    };
    format!(
        "to touch {} ({} touched), to map {} ({} mapped): {}",
        limit(level.limit),
        held(level.usage),
        limit(level.reservation_limit),
        held(level.reserved),
        level.cgroup,
    )
}

fn refused_by(by: &RefusedBy, size: PageSize) -> String {
    let name = size.cgroup_name();
    match by {
        RefusedBy::Limit { cgroup, at } => {
            format!("the limit of {cgroup} (hugetlb.{name}.max, v1 limit_in_bytes): {at}")
        }
        RefusedBy::ReservationLimit { cgroup, at } => format!(
            "the reservation limit of {cgroup} (hugetlb.{name}.rsvd.max, v1 rsvd.limit_in_bytes): {at}"
        ),
        RefusedBy::LimitAbove => {
            "a limit of a cgroup above, not seen from here (with stock containerd the pod's)"
                .to_owned()
        }
        RefusedBy::Pool => "the node's pool: no page was left that nobody has reserved".to_owned(),
        RefusedBy::LimitAboveOrPool => {
            "a limit of a cgroup above, or the pool; the counters that tell are not seen from here"
                .to_owned()
        }
        RefusedBy::Other(why) => why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::{page_size, pool};

    fn seed() -> Trial {
        Trial {
            page_size: page_size(),
            mapping: "private".to_owned(),
            pages: Pages(100),
            touch: Pages(100),
            pool: Reading::Present(pool(500, 0)),
            limits: vec![LevelLimits {
                cgroup: "/".to_owned(),
                limit: Reading::Present(Limit::At(Bytes(64 << 21))),
                usage: Reading::Present(Bytes(0)),
                reservation_limit: Reading::Present(Limit::Unlimited),
                reserved: Reading::Failed,
            }],
            memory: Vec::new(),
            sees_all_limits: false,
            outcome: Outcome::RefusedAtTouch {
                touched: Pages(64),
                by: RefusedBy::Limit { cgroup: "/".to_owned(), at: Bytes(64 << 21) },
            },
        }
    }

    #[test]
    fn the_story_in_words() {
        expect_test::expect![[r"
            Pool     500 pages of 2Mi: 500 free, 0 of them reserved, 500 available
            Limit    to touch 128Mi (0 touched), to map none (? mapped): /
            Limit    of what is above (a pod's): not seen from here
            Mapping  100 pages of 2Mi (200Mi) private
            Touched  64 pages of 2Mi (128Mi)
            Refused  the touch of page 65: killed by SIGBUS.
            By       the limit of / (hugetlb.2MB.max, v1 limit_in_bytes): 128Mi
        "]]
        .assert_eq(&text(&seed()));
        let by = RefusedBy::Pool;
        let refused =
            Trial { outcome: Outcome::RefusedAtMmap(by), pool: Reading::Absent, ..seed() };
        let refused = text(&refused);
        assert!(refused.contains("this node has none of 2Mi pages"), "{refused}");
        let unread = text(&Trial { pool: Reading::Failed, ..seed() });
        assert!(unread.starts_with("Pool     of 2Mi pages: could not look\n"), "{unread}");
        assert!(refused.contains("at mmap") && refused.contains("the node's pool"), "{refused}");
        assert!(refused.lines().all(|line| line.chars().count() <= 80), "{refused}");
        let mapped = |pages| {
            let (pages, touch) = (Pages(pages), Pages(0));
            text(&Trial { outcome: Outcome::Fits, pages, touch, ..seed() })
        };
        assert!(mapped(65).contains("/ may touch 64 more: a touch beyond is SIGBUS"));
        assert!(!mapped(64).contains("SIGBUS"));
    }

    #[test]
    fn the_story_for_programs() {
        let value: serde_json::Value = serde_json::from_str(&json(&seed())).expect("JSON");
        assert_eq!(value["outcome"], "refused_at_touch");
        assert_eq!(value["touched_pages"], 64);
        assert_eq!(value["refused_by"]["kind"], "limit");
        assert_eq!(value["refused_by"]["bytes"], 64 << 21);
        assert_eq!(value["limits"][0]["reservation_limit_bytes"], "unlimited");
        assert!(value["limits"][0]["reserved_bytes"].is_null());
    }
}
