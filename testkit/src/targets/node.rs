//! A whole machine, in the form of `tests/nodes/*.node`: read, assessed and shown as the agent does.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use hugetlb_exporter::fuzzing::kernel_files;
use hugetlb_exporter::{Looking, Thresholds, look, metrics, page, report};

use crate::exposition::{self, Exposition};
use crate::machine::{Machine, unescape};

/// Where links are; nowhere else are any made.
const LINKS: &str = "[/var/log/containers]";

/// Looks at it and shows it in every way.
pub fn node(bytes: &[u8]) {
    let text = contained(&String::from_utf8_lossy(bytes));
    let Ok(machine) = Machine::try_from_text(&text) else { return };
    if !mounts_only_itself(&machine) {
        return;
    }
    let view = look(Looking {
        thresholds: Thresholds { show_idle: true, ..Thresholds::default() },
        at_mappings: text.contains("\nsmaps "),
        ..Looking::at(machine.roots())
    });
    for (index, cgroup) in view.snapshot.cgroups.iter().enumerate() {
        assert!(cgroup.parent.is_none_or(|parent| parent < index), "parents come first");
        assert!(cgroup.path.starts_with('/') && !cgroup.path.contains(char::is_control));
    }
    let text = metrics::encode(&view);
    check_pools(&machine, &text);
    check_exposition(&text);
    let json = report::json(&view);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
    let page = page::status(&view, "/metrics", page::Refresh::On);
    assert!(page.ends_with("</html>"), "{page}");
    for width in [1, 40, 80] {
        let table = report::table(&view, report::Layout { width, ..report::Layout::default() });
        // What is anyone's to write must not command a terminal.
        let commands = |c: char| c.is_control() && c != '\n';
        assert!(!table.contains(commands), "{table:?}");
    }
}

/// Prometheus takes it as it is, and every line of it is one sample of its own, whatever the labels hold.
fn check_exposition(text: &str) {
    exposition::check("the made-up machine", text);
    let lines = text.split('\n').filter(|line| !line.starts_with('#') && !line.is_empty());
    let exposition = Exposition::parse(text);
    assert_eq!(exposition.samples().len(), lines.count());
    let mut series = HashSet::new();
    for sample in exposition.samples() {
        assert!(series.insert((&sample.name, &sample.labels)), "{sample:?} comes twice");
        assert!(!sample.labels.contains_key(""), "{sample:?}");
    }
}

/// A pool's figure is shown if its file can be understood, and only then: nothing unreadable is shown as a zero.
fn check_pools(machine: &Machine, text: &str) {
    let shown = |family: &str, size: u64| {
        let start = format!("hugetlb_pool_{family}_bytes{{pagesize=\"{}Mi\"}} ", size >> 20);
        text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<f64>().ok())
    };
    let directory = machine.root().join("sys/kernel/mm/hugepages");
    // Two names for one size are of no kernel's making.
    let mut sizes = BTreeMap::<u64, Vec<_>>::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if let Ok(size) = name.parse::<hugetlb_exporter::fuzzing::PageSize>() {
            sizes.entry(size.bytes().0).or_default().push(entry.path());
        }
    }
    for (size, paths) in sizes.iter().filter(|(size, _)| (1 << 20..1 << 30).contains(*size)) {
        let [path] = paths.as_slice() else { continue };
        for (family, file) in
            [("size", "nr_hugepages"), ("free", "free_hugepages"), ("surplus", "surplus_hugepages")]
        {
            let told = fs::read_to_string(path.join(file)).ok();
            let told = told.and_then(|told| kernel_files::number(&told)?.checked_mul(*size));
            assert_eq!(shown(family, *size), told.map(|bytes| bytes as f64), "{family}");
        }
    }
}

/// The lines that stay within the machine's directory. Links come last, so that nothing is written through one.
fn contained(text: &str) -> String {
    let (mut kept, mut links, mut section) = (String::new(), format!("{LINKS}\n"), "");
    for line in text.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = line;
            let path = unescape(path.trim_start_matches('/'));
            let path = path.as_bytes();
            if path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|part| part == b"..")
            {
                return kept;
            }
            kept.extend([line, "\n"]);
        } else if let Some(name) =
            line.split_once(" = ").map(|(name, _)| name).or_else(|| line.strip_suffix(" ="))
        {
            if is_name(unescape(name).as_bytes()) {
                kept.extend([line, "\n"]);
            }
        } else if let Some((name, _)) = line.split_once(" -> ") {
            if section == LINKS && is_name(name.as_bytes()) {
                links.extend([line, "\n"]);
            }
        } else if line.strip_suffix(" !").is_some_and(|name| is_name(name.as_bytes())) {
            kept.extend([line, "\n"]);
        }
    }
    kept + &links
}

fn is_name(name: &[u8]) -> bool {
    !name.contains(&b'/') && !matches!(name, b"" | b"." | b"..")
}

/// Whether no hierarchy is looked for outside of it.
fn mounts_only_itself(machine: &Machine) -> bool {
    let text = fs::read(machine.root().join("proc/self/mountinfo")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let root = machine.root().display().to_string();
    let mut mounts = text.lines().filter(|line| line.contains(" - cgroup"));
    mounts.all(|line| {
        let at = line.split_whitespace().nth(4).unwrap_or_default();
        at.starts_with(&root) && !at.contains("..")
    })
}
