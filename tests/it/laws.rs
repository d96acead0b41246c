//! What holds for any input.

use hugetlb_exporter::{Looking, look, metrics, report};
use proptest::prelude::*;

use crate::machine::Machine;

/// Replaces one file of a real machine's by bytes that make no sense, or make almost some.
fn spoil(text: &str, pick: usize, with: &str) -> String {
    let files: Vec<usize> =
        text.lines().enumerate().filter(|(_, line)| line.contains(" = ")).map(|(n, _)| n).collect();
    let spoiled = files.get(pick % files.len()).copied();
    let lines = text.lines().enumerate().map(|(number, line)| match line.split_once(" = ") {
        Some((name, _)) if Some(number) == spoiled => format!("{name} = {with}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn seed() -> String {
    std::fs::read_to_string(crate::machine::nodes().join("seed.node")).expect("the seed")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_any_file_cost_only_that_file(
        pick: prop::sample::Index,
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let text = seed();
        let machine = Machine::from_text(&spoil(&text, pick.index(usize::MAX), &escaped));
        let view = look(Looking::at(machine.roots()));
        let exposition = metrics::encode(&view);
        let (_json, _table) = (report::json(&view), report::table(&view, report::Layout::default()));
        // Whatever was spoiled, the pool's size or the pod's usage is elsewhere and still right.
        let right = ["hugetlb_pool_size_bytes{pagesize=\"2Mi\"} 1048576000", "hugetlb_pool_free_bytes{pagesize=\"2Mi\"} 914358272"];
        prop_assert!(right.iter().any(|line| exposition.contains(line)), "{}", exposition);
    }

    #[test]
    fn a_figure_that_makes_no_sense_is_absent_and_said(
        pick in prop::sample::select(vec!["usage", "reserved", "limit"]),
        junk in "(-[0-9]{1,3}|[a-z]{1,8}|[2-9][0-9]{19,29}|0x[0-9]|[0-9] [0-9]|)",
    ) {
        let (file, series) = match pick {
            "usage" => ("hugetlb.2MB.current", "hugetlb_pod_usage_bytes"),
            "reserved" => ("hugetlb.2MB.rsvd.current", "hugetlb_pod_reserved_bytes"),
            _ => ("hugetlb.2MB.max", "hugetlb_pod_limit_bytes"),
        };
        prop_assume!(junk != "max");
        let text = seed();
        let (head, pod) = text.split_once("-pod").expect("a pod");
        let at = pod.find(file).expect("the file");
        let end = at + pod[at..].find('\n').expect("a line");
        let spoiled = format!("{head}-pod{}{file} = {junk}{}", &pod[..at], &pod[end..]);
        let machine = Machine::from_text(&spoiled);
        let exposition = metrics::encode(&look(Looking::at(machine.roots())));
        let has = |start: &str| exposition.lines().any(|line| line.starts_with(start));
        prop_assert!(!has(&format!("{series}{{")), "{series} is shown for {junk:?}");
        prop_assert!(has("hugetlb_exporter_source_up{source=\"cgroups\"} 0"), "nothing is said of {junk:?}");
        prop_assert!(has("hugetlb_container_usage_bytes{"), "the container lost its figures too");
    }
}
