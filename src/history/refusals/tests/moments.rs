//! What was held before a refusal, when it was heard of, and after it.

use super::*;

#[test]
fn a_touch_that_is_refused_and_costs_nobody_his_pages_need_not_have_killed() {
    let mut populate = Story::begin();
    populate.poll(10, 0, v2(0), false);
    for _ in 0..2 {
        assert_eq!(populate.poll(10, 0, v2(1), false), (0, 0, 0), "they may come back yet");
    }
    assert_eq!(populate.poll(10, 0, v2(1), false), (0, 0, 1), "an error was the answer, perhaps");
    let mut killed = Story::begin();
    killed.poll(10, 0, v2(0), false);
    killed.poll(10, 0, v2(1), false);
    assert_eq!(killed.poll(9, 1, v2(1), false), (1, 0, 0), "a page is back");
    let mut gone = Story::begin();
    gone.poll(10, 0, v2(0), false);
    gone.poll(10, 0, v2(1), false);
    gone.watch.end(true);
    assert_eq!(gone.told(), (1, 0, 0));
}

#[test]
fn what_the_node_has_back_a_moment_later_was_held_by_whoever_was_refused() {
    // Fifty pages fill the limit; thirty do not, and are another's. Few pages fill one by chance.
    for (limit, given_back, told) in
        [(50, 50, (1, 0, 0)), (50, 30, (0, 1, 0)), (50, 0, (0, 1, 0)), (4, 4, (0, 1, 0))]
    {
        let mut story = Story::begin();
        story.poll(0, limit, v2(0), true);
        story.given_back = given_back;
        story.heard_at(0, limit);
        for _ in 0..3 {
            story.poll(0, limit, v2(1), true);
        }
        assert_eq!(story.told(), told, "{limit} {given_back}");
    }
}

#[test]
fn a_pod_that_is_deleted_takes_what_it_held_with_it() {
    for (is_container, told) in [(true, (1, 0, 0)), (false, (0, 0, 1))] {
        let mut story = Story::begin();
        story.poll(50, 0, v2(0), true);
        story.poll(50, 0, v2(1), true);
        story.watch.end(is_container);
        assert_eq!(story.told(), told);
    }
}

#[test]
fn a_limit_that_was_reached_when_it_was_heard_of_and_is_not_any_more_refused_a_touch() {
    // A child that copies its parent's 40 pages is killed at a limit of 50, and gives its ten back.
    let mut fork = Story::begin();
    fork.poll(40, 10, v2(0), true);
    fork.heard_at(50, 50);
    assert_eq!(fork.poll(40, 10, v2(1), true), (1, 0, 0));
    // A process that comes and goes between two polls was never seen with a page.
    let mut short = Story::begin();
    short.poll(0, 50, v2(0), true);
    short.heard_at(50, 50);
    assert_eq!(short.poll(0, 50, v2(1), true), (1, 0, 0));
    // Seen too late, when some pages are back, it is not called harmless.
    let mut late = Story::begin();
    late.poll(0, 50, v2(0), true);
    late.heard_at(30, 50);
    for _ in 0..3 {
        late.poll(0, 50, v2(1), true);
    }
    assert_eq!(late.told(), (0, 0, 1));
}

#[test]
fn what_is_refused_to_who_has_mapped_too_much_is_a_touch() {
    // The limit was set to 0 under a pod that has mapped six pages and touched none.
    let figures = |mapped: u64, count| Hugetlb {
        failures: v2(count),
        usage: Reading::Present(Bytes(0)),
        reserved: Reading::Present(Bytes(mapped * PAGE)),
        limit: Reading::Present(Limit::At(Bytes(0))),
        reservation_limit: Reading::Present(Limit::At(Bytes(8 * PAGE))),
        ..hugetlb(0, 0)
    };
    let mut story = Story::begin();
    for (second, mapped, count, told) in [(2, 6, 0, (0, 0, 0)), (4, 0, 1, (1, 0, 0))] {
        let (hugetlb, since_start) = (figures(mapped, count), Duration::from_secs(second));
        let chain = Chain::own(&hugetlb, (hugetlb.usage, hugetlb.reserved));
        let now = Now { wall: SystemTime::UNIX_EPOCH + since_start, since_start };
        assert_eq!(story.take_in(&hugetlb, chain, None, now), told);
    }
}

#[test]
fn v1_keeps_the_peak_that_tells_whether_the_limit_was_reached() {
    let figures = |used: u64, peak: u64, count| Hugetlb {
        failures: v1(0, count),
        usage: Reading::Present(Bytes(used * PAGE)),
        reserved: Reading::Present(Bytes(used * PAGE)),
        limit: Reading::Present(Limit::At(Bytes(50 * PAGE))),
        reservation_limit: Reading::Present(Limit::At(Bytes(50 * PAGE))),
        max_usage: Reading::Present(Bytes(peak * PAGE)),
        ..hugetlb(0, 0)
    };
    for (before, after, told) in [
        ((40, 40), (40, 40), (0, 1, 0)),
        ((40, 40), (40, 50), (1, 0, 0)),
        ((0, 0), (0, 50), (1, 0, 0)),
        ((40, 50), (40, 50), (0, 0, 1)),
    ] {
        let mut story = Story::begin();
        for (poll, (used, peak), count) in
            [(1, before, 0), (2, after, 1), (3, after, 1), (4, after, 1)]
        {
            let (hugetlb, since_start) =
                (figures(used, peak, count), Duration::from_secs(2 * poll));
            let chain = Chain::own(&hugetlb, (hugetlb.usage, hugetlb.reserved));
            let now = Now { wall: SystemTime::UNIX_EPOCH + since_start, since_start };
            story.take_in(&hugetlb, chain, None, now);
        }
        assert_eq!(story.told(), told, "{before:?} {after:?}");
    }
}

#[test]
fn what_was_predicted_is_a_touch_as_soon_as_the_limit_is_reached() {
    let figures = |used: u64, count| Hugetlb {
        failures: v2(count),
        usage: Reading::Present(Bytes(used * PAGE)),
        reserved: Reading::Present(Bytes(140 * PAGE)),
        limit: Reading::Present(Limit::At(Bytes(64 * PAGE))),
        ..hugetlb(0, 0)
    };
    for (used, told) in [(64, (1, 0, 0)), (20, (0, 0, 0))] {
        let mut story = Story::begin();
        for (second, count) in [(2, 0), (4, 1)] {
            let (hugetlb, since_start) = (figures(used, count), Duration::from_secs(second));
            let chain = Chain::own(&hugetlb, (hugetlb.usage, hugetlb.reserved));
            let chain = Chain { may_refuse_mappings: true, ..chain };
            let now = Now { wall: SystemTime::UNIX_EPOCH + since_start, since_start };
            story.take_in(&hugetlb, chain, None, now);
        }
        assert_eq!(story.told(), told, "{used} of 64, and 140 mapped");
    }
}
