//! What is read though nothing notified of it: the new at every poll, all others in their turn, and everything once an hour or
//! where notifications were lost.

use super::*;

#[test]
fn a_limit_set_by_hand_on_an_idle_cgroup_is_seen_within_a_minute() {
    let paths: Vec<String> = (0..40).map(|number| format!("c{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut example = Example::settled(&paths);
    for (minute, limit) in [4096, 8192, 12288].into_iter().enumerate() {
        paths.iter().for_each(|path| example.write(path, "max", &limit.to_string()));
        let seen = |example: &Example| {
            paths.iter().filter(|path| example.limit(&format!("/{path}")) == at(limit)).count()
        };
        example.read();
        assert!(seen(&example) < 10, "not all at once");
        example.after(30);
        assert!((10..35).contains(&seen(&example)), "they take turns");
        example.after(30);
        assert_eq!(seen(&example), 40, "minute {minute}");
    }
}

#[test]
fn of_an_idle_cgroup_the_limits_alone_are_read_in_its_turn_and_all_of_it_within_the_hour() {
    let mut example = Example::settled(&["k", "k/a"]);
    // What no kernel would show: the sums say that nothing is used and nothing was refused.
    example.use_pages(&["k/a"], 2);
    example.write("k/a", "events.local", "max 7");
    example.write("k/a", "rsvd.max", "4096");
    example.after(60);
    assert_eq!(example.figures("/k/a").reservation_limit, at(4096));
    assert_eq!(example.pages("/k/a"), 0);
    example.after(3600);
    assert_eq!(example.pages("/k/a"), 2);
    let Failures::V2 { local, .. } = example.figures("/k/a").failures else { panic!("v2") };
    assert_eq!(local, Reading::Present(7));
}

#[test]
fn the_most_that_an_idle_cgroup_of_v1_used_is_read_in_its_turn() {
    let mut example = Example::of(CgroupVersion::V1, &["a"]);
    example.after(100);
    example.write("a", "max_usage_in_bytes", "2097152");
    example.after(60);
    assert_eq!(example.figures("/a").max_usage, Reading::Present(Bytes(2 << 20)));
}

#[test]
fn a_refusal_of_v1_to_one_that_holds_nothing_and_was_granted_nothing_is_seen_within_ten_seconds() {
    let mut example = Example::of(CgroupVersion::V1, &["none", "granted", "holds"]);
    let limits = [("none", 0), ("granted", 4096), ("holds", 0)];
    limits.iter().for_each(|(path, it)| example.write(path, "limit_in_bytes", &it.to_string()));
    example.use_pages(&["", "holds"], 1);
    example.after(100);
    let refused = |example: &Example, path: &str| example.figures(path).failures.total();
    for count in [1, 2] {
        limits.iter().for_each(|(path, _)| example.write(path, "failcnt", &count.to_string()));
        example.read();
        for path in ["/granted", "/holds"] {
            assert_eq!(refused(&example, path), Reading::Present(count), "{path}");
        }
        assert_ne!(refused(&example, "/none"), Reading::Present(count));
        example.after(10);
        assert_eq!(refused(&example, "/none"), Reading::Present(count));
    }
}

#[test]
fn the_root_of_v1_is_kept() {
    let mut example = Example::of(CgroupVersion::V1, &["a"]);
    let outermost = example.tree().outermost();
    example.after(4);
    assert_eq!(example.tree().outermost(), outermost, "its directory has no name of its own");
}

#[test]
fn a_new_cgroup_is_read_at_every_poll() {
    let mut example = Example::settled(&["k"]);
    example.make("k/new");
    for seconds in 0..5 {
        example.write("k/new", "max", &(4096 << seconds).to_string());
        example.after(2);
        assert_eq!(example.limit("/k/new"), at(4096 << seconds));
    }
    example.after(4);
    example.write("k/new", "max", "0");
    example.read();
    assert_ne!(example.limit("/k/new"), at(0), "it is not new any more");
}

#[test]
fn a_figure_that_failed_is_read_at_every_poll() {
    let mut example = Example::settled(&["k"]);
    example.write("k", "max", "?");
    example.after(60);
    assert_eq!(example.limit("/k"), Reading::Failed);
    assert!(matches!(example.problems, Health::Down(_)));
    example.write("k", "max", "4096");
    example.read();
    assert_eq!(example.limit("/k"), at(4096));
    assert_eq!(example.problems, Health::Up);
}

#[test]
fn limits_that_were_set_while_the_queue_was_full_are_read_at_the_next_poll() {
    let mut example = Example::settled(&["b", "c", "idle"]);
    example.use_pages(&["b", "c"], 1);
    example.read();
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    let most: usize = most.expect("a limit").trim().parse().expect("a number");
    // Two in turn, or the kernel would tell of them once.
    for number in 0..most {
        example.write(["b", "c"][number % 2], "max", "max");
    }
    example.make("late");
    example.write("c", "max", "4096");
    example.write("idle", "max", "8192");
    example.read();
    assert_eq!(example.paths(), ["/b", "/c", "/idle", "/late"]);
    assert_eq!((example.limit("/c"), example.limit("/idle")), (at(4096), at(8192)));
    assert_eq!(example.cgroups.notifications(), Some(Health::Up));
}

#[test]
fn what_was_not_notified_is_seen_within_the_hour() {
    let mut example = Example::settled(&["a"]);
    example.lose_watches();
    example.make("a/lost");
    example.after(1800);
    assert_eq!(example.paths(), ["/a"]);
    example.after(1800);
    assert_eq!(example.paths(), ["/a", "/a/lost"]);
}

#[test]
fn all_is_read_at_every_poll_while_something_can_not_be_watched() {
    let mut example = Example::settled(&["a", "b"]);
    example.lose_watches();
    example.watch().failure = Some("no room".to_owned());
    assert_eq!(example.cgroups.notifications(), Some(Health::Down("no room".to_owned())));
    example.make("a/c");
    example.write("b", "max", "4096");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/c", "/b"]);
    assert_eq!(example.limit("/b"), at(4096));
    assert_eq!(example.cgroups.notifications(), Some(Health::Up), "it was tried again");
    // Also the watch of the outermost counter.
    example.watch().take_refusals();
    example.write("a", "events", "max 1");
    let refusals = example.watch().refusals.as_fd();
    let mut polled = [nix::poll::PollFd::new(refusals, nix::poll::PollFlags::POLLIN)];
    assert_eq!(nix::poll::poll(&mut polled, nix::poll::PollTimeout::ZERO), Ok(1));
}

#[test]
fn an_inotify_instance_that_was_refused_is_asked_for_at_every_poll() {
    let mut example = Example::settled(&["a"]);
    example.cgroups.watch = Some(Err("no instance is left".to_owned()));
    assert_eq!(
        example.cgroups.notifications(),
        Some(Health::Down("no instance is left".to_owned()))
    );
    example.make("a/b");
    example.use_pages(&["a/b"], 1);
    example.read();
    assert_eq!(example.cgroups.notifications(), Some(Health::Up));
    assert_eq!((example.paths(), example.pages("/a/b")), (vec!["/a", "/a/b"], 1), "all is read");
    example.after(100);
    example.make("a/c");
    example.write("a/b", "max", "4096");
    example.read();
    assert_eq!(example.paths(), ["/a", "/a/b", "/a/c"], "it is notified again");
    assert_eq!(example.limit("/a/b"), at(4096));
    assert!(example.cgroups.refusals().is_some());
}

#[test]
fn a_snapshot_stays_what_it_was_and_is_the_same_while_nothing_changes() {
    let mut example = Example::settled(&["k", "k/a", "k/b"]);
    example.use_pages(&["k", "k/a"], 1);
    example.read();
    let before = Arc::clone(&example.shown);
    example.read();
    assert!(Arc::ptr_eq(&before, &example.shown));
    example.use_pages(&["k", "k/a"], 2);
    example.read();
    let used = |cgroups: &[Cgroup]| -> Vec<_> {
        cgroups.iter().map(|it| it.hugetlb[0].usage.present().expect("read").0 >> 21).collect()
    };
    assert_eq!((used(&before), used(&example.shown)), (vec![1, 1, 0], vec![2, 2, 0]));
    let figures = |cgroups: &[Cgroup]| Arc::as_ptr(&cgroups[2].hugetlb);
    assert_eq!(figures(&before), figures(&example.shown), "what is the same is there once");
}
