//! The same for programs.

use serde::Serialize;

use super::refused_by;
use crate::snapshot::{LevelLimits, LevelMemory, Limit, Outcome, Reading, RefusedBy, Trial};
use crate::units::{Bytes, Pages, SignedPages};

/// For programs: one object, a figure that does not exist being `null`, and no limit `"unlimited"`.
pub fn json(trial: &Trial) -> String {
    let (outcome, touched, by) = match &trial.outcome {
        Outcome::Fits => ("fits", trial.touch, None),
        Outcome::RefusedAtMmap(by) => ("refused_at_mmap", Pages(0), Some(by)),
        Outcome::RefusedAtTouch { touched, by } => ("refused_at_touch", *touched, Some(by)),
        Outcome::WouldHang { touched, .. } => ("would_hang", *touched, None),
        Outcome::Hung { touched, .. } => ("hung", *touched, None),
    };
    let pages = |pages: Reading<Pages>| pages.present().map(|pages| pages.0);
    let wire = TrialReport {
        pagesize: trial.page_size.to_string(),
        mapping: &trial.mapping,
        pages: trial.pages.0,
        touch: trial.touch.0,
        pool: trial.pool.as_ref().present().map(|pool| PoolReport {
            size_pages: pages(pool.size),
            free_pages: pages(pool.free),
            reserved_pages: pages(pool.reserved.map(SignedPages::at_least_none)),
            available_pages: pages(pool.available()),
        }),
        limits: trial.limits.iter().map(level_report).collect(),
        sees_all_limits: trial.sees_all_limits,
        memory: trial.memory.iter().map(memory_report).collect(),
        outcome,
        touched_pages: touched.0,
        refused_by: by.map(|by| RefusedByReport {
            kind: kind(by),
            bytes: match by {
                RefusedBy::Limit { at, .. } | RefusedBy::ReservationLimit { at, .. } => Some(at.0),
                _ => None,
            },
            words: refused_by(by, trial.page_size),
        }),
    };
    // Plain structs with text keys always serialise.
    let mut text = serde_json::to_string_pretty(&wire).unwrap_or_default();
    text.push('\n');
    text
}

fn kind(by: &RefusedBy) -> &'static str {
    match by {
        RefusedBy::Limit { .. } => "limit",
        RefusedBy::ReservationLimit { .. } => "reservation_limit",
        RefusedBy::LimitAbove => "limit_above",
        RefusedBy::Pool => "pool",
        RefusedBy::LimitAboveOrPool => "limit_above_or_pool",
        RefusedBy::Other(_) => "other",
    }
}

fn level_report(level: &LevelLimits) -> LevelReport<'_> {
    let bytes = |bytes: Reading<Bytes>| bytes.present().map(|bytes| bytes.0);
    let limit = |limit: Reading<Limit>| {
        limit.present().map(|limit| match limit {
            Limit::At(bytes) => LimitReport::At(bytes.0),
            Limit::Unlimited => LimitReport::Unlimited("unlimited"),
        })
    };
    LevelReport {
        cgroup: &level.cgroup,
        limit_bytes: limit(level.limit),
        usage_bytes: bytes(level.usage),
        reservation_limit_bytes: limit(level.reservation_limit),
        reserved_bytes: bytes(level.reserved),
    }
}

fn memory_report(level: &LevelMemory) -> MemoryReport<'_> {
    let bytes = |bytes: Reading<Bytes>| bytes.present().map(|bytes| bytes.0);
    MemoryReport {
        cgroup: &level.cgroup,
        limit_bytes: bytes(level.limit),
        room_bytes: bytes(level.room),
    }
}

#[derive(Serialize)]
struct MemoryReport<'a> {
    cgroup: &'a str,
    limit_bytes: Option<u64>,
    room_bytes: Option<u64>,
}

#[derive(Serialize)]
struct TrialReport<'a> {
    pagesize: String,
    mapping: &'a str,
    pages: u64,
    touch: u64,
    pool: Option<PoolReport>,
    limits: Vec<LevelReport<'a>>,
    sees_all_limits: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    memory: Vec<MemoryReport<'a>>,
    outcome: &'static str,
    touched_pages: u64,
    refused_by: Option<RefusedByReport>,
}

#[derive(Serialize)]
struct PoolReport {
    size_pages: Option<u64>,
    free_pages: Option<u64>,
    reserved_pages: Option<u64>,
    available_pages: Option<u64>,
}

#[derive(Serialize)]
struct LevelReport<'a> {
    cgroup: &'a str,
    limit_bytes: Option<LimitReport>,
    usage_bytes: Option<u64>,
    reservation_limit_bytes: Option<LimitReport>,
    reserved_bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LimitReport {
    At(u64),
    Unlimited(&'static str),
}

#[derive(Serialize)]
struct RefusedByReport {
    kind: &'static str,
    bytes: Option<u64>,
    words: String,
}
