//! Whether a need would fit here, before anything is mapped: `hugetlb-exporter fit`.

use crate::snapshot::{LevelLimits, LevelMemory, Limit, Pool, Reading};
use crate::units::{Bytes, PageSize};

/// What a need is held against.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The size of the pages.
    pub page_size: PageSize,
    /// How much of them, in whole pages.
    pub need: Bytes,
    /// The pool of that size.
    pub pool: Reading<&'a Pool>,
    /// The limits that are seen, the own cgroup's first.
    pub limits: &'a [LevelLimits],
    /// The limits of memory that huge pages count against, the own cgroup's first; none where they do not count.
    pub memory: &'a [LevelMemory],
    /// Whether these are all.
    pub sees_all_limits: bool,
    /// The limit that the pod's spec names, if that was told.
    pub declared: Option<Bytes>,
}

/// The answer, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It fits, as far as can be seen.
    Yes(String),
    /// It does not.
    No(String),
    /// What it takes to tell can't be read.
    Unknown(String),
}

/// Holds a need against every limit and the pool.
pub fn fit(wish: &Wish<'_>) -> Answer {
    let Wish { page_size, need, .. } = wish;
    let resource = format!("hugepages-{page_size}");
    if let Some(declared) = wish.declared
        && declared < *need
    {
        return Answer::No(format!(
            "{need} of {page_size} pages do not fit into {resource}: {declared}, {} too little; set it to at least {need}",
            need.less(declared),
        ));
    }
    for level in wish.limits {
        let usage =
            level.usage.combine(level.reserved, |usage, reserved| Some(usage.max(reserved)));
        for (what, limit) in
            [("limit", level.limit), ("reservation limit", level.reservation_limit)]
        {
            let at = match limit {
                Reading::Present(Limit::At(at)) => at,
                Reading::Failed => return can_not_tell(what, &level.cgroup),
                Reading::Present(Limit::Unlimited) | Reading::Absent => continue,
            };
            let Some(held) = usage.present() else { return can_not_tell("usage", &level.cgroup) };
            let room = at.less(held);
            if room < *need {
                return Answer::No(format!(
                    "{need} of {page_size} pages do not fit: the {what} of {} is {at} and leaves {room}, {} too little; set {resource} to at least {}",
                    level.cgroup,
                    need.less(room),
                    need.checked_add(held).unwrap_or(*need),
                ));
            }
        }
    }
    into_memory(wish).unwrap_or_else(|| into_pool(wish))
}

/// Where huge pages count as memory, there must be room for them too: who touches one too many hangs.
fn into_memory(wish: &Wish<'_>) -> Option<Answer> {
    let Wish { page_size, need, .. } = wish;
    wish.memory.iter().find_map(|level| {
        let (Some(limit), Some(room)) = (level.limit.present(), level.room.present()) else {
            return Some(can_not_tell("memory", &level.cgroup));
        };
        (room < *need).then(|| {
            Answer::No(format!(
                "{need} of {page_size} pages do not fit: huge pages count as memory here, and memory.max of {} is {limit} and leaves {room}, {} too little: a touch beyond hangs for ever; set memory to at least {}",
                level.cgroup,
                need.less(room),
                limit.checked_add(need.less(room)).unwrap_or(*need),
            ))
        })
    })
}

fn into_pool(wish: &Wish<'_>) -> Answer {
    let Wish { page_size, need, .. } = wish;
    let pool = match wish.pool {
        Reading::Present(pool) => pool,
        Reading::Absent => {
            return Answer::No(format!("this node has no pool of {page_size} pages"));
        }
        Reading::Failed => return can_not_tell("pool", &page_size.to_string()),
    };
    let room = pool.bytes(pool.available()).plus(pool.bytes(pool.overcommit_room()));
    let Some(room) = room.present() else { return can_not_tell("pool", &page_size.to_string()) };
    if room < *need {
        return Answer::No(format!(
            "{need} of {page_size} pages do not fit: the node's pool can give {room}, {} too little",
            need.less(room),
        ));
    }
    // What the kubelet grants a container it grants its pod; without a limit of its own the pod's may be any.
    let is_limited = wish.limits.iter().any(|level| level.limit.finite().is_some());
    if wish.sees_all_limits || wish.declared.is_some() || is_limited {
        let fits = format!("{need} of {page_size} pages fit: the node's pool can give {room}");
        return Answer::Yes(format!("{fits}, and no limit is in the way"));
    }
    Answer::Unknown(format!(
        "can't tell whether {need} of {page_size} pages fit: the node's pool can give {room}, but not every limit is seen from here: name the pod's with --limit"
    ))
}

fn can_not_tell(what: &str, of: &str) -> Answer {
    Answer::Unknown(format!("can't read the {what} of {of}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::example::{page_size, pool};

    const MI: u64 = 1 << 20;

    fn level(limit: Option<u64>, reservation: Option<u64>, held: u64) -> LevelLimits {
        let of = |mebibytes: Option<u64>| {
            let limit = mebibytes.map(|mebibytes| Limit::At(Bytes(mebibytes * MI)));
            Reading::Present(limit.unwrap_or(Limit::Unlimited))
        };
        LevelLimits {
            cgroup: "/".to_owned(),
            limit: of(limit),
            usage: Reading::Present(Bytes::ZERO),
            reservation_limit: of(reservation),
            reserved: Reading::Present(Bytes(held * MI)),
        }
    }

    fn ask(limits: &[LevelLimits], pool: Option<&Pool>, declared: Option<u64>) -> Answer {
        fit(&Wish {
            page_size: page_size(),
            need: Bytes(282 * MI),
            pool: pool.map_or(Reading::Absent, Reading::Present),
            limits,
            memory: &[],
            sees_all_limits: false,
            declared: declared.map(|mebibytes| Bytes(mebibytes * MI)),
        })
    }

    #[test]
    fn every_limit_and_the_pool_are_asked() {
        let pool = pool(200, 0);
        let refused = |limits: &[LevelLimits]| match ask(limits, Some(&pool), None) {
            Answer::No(why) => why,
            other => panic!("{other:?}"),
        };
        let words = refused(&[level(Some(280), None, 0)]);
        assert_eq!(
            words,
            "282Mi of 2Mi pages do not fit: the limit of / is 280Mi and leaves 280Mi, 2Mi too little; set hugepages-2Mi to at least 282Mi"
        );
        assert!(refused(&[level(Some(300), None, 20)]).ends_with("at least 302Mi"));
        assert!(refused(&[level(Some(300), Some(0), 0)]).contains("the reservation limit of /"));
        assert!(matches!(
            ask(&[level(Some(282), Some(282), 0)], Some(&pool), None),
            Answer::Yes(_)
        ));
        assert!(matches!(ask(&[], Some(&pool), Some(280)), Answer::No(_)));
    }

    #[test]
    fn what_is_not_seen_is_said() {
        let pool = pool(141, 0);
        for unseen in [&[][..], &[level(None, Some(300), 0)]] {
            let Answer::Unknown(words) = ask(unseen, Some(&pool), None) else { panic!() };
            assert!(words.ends_with("name the pod's with --limit"), "{words}");
            let Answer::Yes(words) = ask(unseen, Some(&pool), Some(282)) else { panic!() };
            assert!(words.ends_with("no limit is in the way"), "{words}");
        }
        let granted = ask(&[level(Some(300), None, 0)], Some(&pool), None);
        assert!(matches!(granted, Answer::Yes(_)), "a pod has what its container has");
        let unreadable = LevelLimits { limit: Reading::Failed, ..level(None, None, 0) };
        assert!(matches!(ask(&[unreadable], Some(&pool), None), Answer::Unknown(_)));
    }

    #[test]
    fn where_huge_pages_count_as_memory_there_must_be_room_in_it() {
        let pool = pool(200, 0);
        let asked = |room: Reading<Bytes>| {
            let limit = Reading::Present(Bytes(512 * MI));
            let memory = [LevelMemory { cgroup: "/".to_owned(), limit, room }];
            fit(&Wish {
                page_size: page_size(),
                need: Bytes(282 * MI),
                pool: Reading::Present(&pool),
                limits: &[level(Some(300), None, 0)],
                memory: &memory,
                sees_all_limits: true,
                declared: None,
            })
        };
        let Answer::No(words) = asked(Reading::Present(Bytes(200 * MI))) else { panic!() };
        assert_eq!(
            words,
            "282Mi of 2Mi pages do not fit: huge pages count as memory here, and memory.max of / is 512Mi and leaves 200Mi, 82Mi too little: a touch beyond hangs for ever; set memory to at least 594Mi"
        );
        assert!(matches!(asked(Reading::Present(Bytes(282 * MI))), Answer::Yes(_)));
        assert!(matches!(asked(Reading::Failed), Answer::Unknown(_)));
    }

    #[test]
    fn a_pool_that_is_too_small() {
        assert!(matches!(ask(&[], Some(&pool(140, 0)), None), Answer::No(_)));
        assert!(matches!(ask(&[], None, None), Answer::No(_)));
        let (page_size, need) = (page_size(), Bytes(2 * MI));
        let (limits, sees_all_limits, declared) = (&[][..], true, None);
        let pool = Reading::Failed;
        let memory = &[][..];
        let unread =
            fit(&Wish { page_size, need, pool, limits, memory, sees_all_limits, declared });
        assert!(matches!(unread, Answer::Unknown(_)), "{unread:?}");
    }
}
