//! The habits of the tree, as tests.

use std::fs;
use std::path::{Path, PathBuf};

/// What a part may use of the others.
enum May {
    Use(&'static [&'static str]),
    UseAllBut(&'static str),
}

/// What each part may use (ARCHITECTURE.md draws it).
const PARTS: &[(&str, May)] = &[
    ("units", May::Use(&[])),
    ("worker", May::Use(&[])),
    ("log", May::Use(&[])),
    ("client", May::Use(&[])),
    ("identity", May::Use(&["units"])),
    ("exchange", May::Use(&[])),
    ("snapshot", May::Use(&["units", "identity", "exchange"])),
    ("history", May::Use(&["units", "identity", "snapshot"])),
    ("assessment", May::Use(&["units", "identity", "snapshot", "history"])),
    ("incidents", May::Use(&["units", "identity", "snapshot", "assessment"])),
    ("events", May::Use(&["snapshot", "assessment"])),
    ("fleet", May::Use(&["units", "snapshot", "assessment"])),
    (
        "view",
        May::Use(&[
            "units",
            "identity",
            "snapshot",
            "history",
            "assessment",
            "incidents",
            "events",
        ]),
    ),
    (
        "render",
        May::Use(&[
            "units",
            "identity",
            "snapshot",
            "history",
            "assessment",
            "incidents",
            "events",
            "view",
            "fleet",
        ]),
    ),
    ("sources", May::Use(&["units", "identity", "exchange", "snapshot", "worker", "client"])),
    ("probe", May::Use(&["units", "identity", "snapshot", "worker"])),
    ("guard", May::Use(&["units", "identity", "exchange", "snapshot", "sources"])),
    ("witness", May::Use(&["exchange", "snapshot"])),
    // What a user may set names what it sets.
    ("config", May::Use(&["units", "snapshot", "assessment", "sources", "probe", "client"])),
    ("web", May::Use(&["view", "render", "config", "worker"])),
    ("bench", May::UseAllBut("cli")),
    ("fuzzing", May::UseAllBut("cli")),
    ("agent", May::UseAllBut("cli")),
    ("host", May::Use(&[])),
    ("demo", May::UseAllBut("cli")),
    ("cli", May::UseAllBut("cli")),
];

impl May {
    fn uses(&self, other: &str) -> bool {
        match self {
            Self::Use(parts) => parts.contains(&other),
            Self::UseAllBut(part) => other != *part && PARTS.iter().any(|(name, _)| *name == other),
        }
    }
}

const LONGEST_FILE: usize = 350;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every Rust file of these directories, with its text.
fn files(directories: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> =
        directories.iter().map(|directory| root().join(directory)).collect();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .expect("a directory")
                    .map(|entry| entry.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            found.push((path.strip_prefix(root()).expect("below the root").to_owned(), text));
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn every_part_uses_only_what_it_may() {
    for (path, text) in files(&["src"]) {
        let below = path.strip_prefix("src").expect("below src");
        let first = below.components().next().expect("a name").as_os_str().to_str().expect("text");
        let part = first.strip_suffix(".rs").unwrap_or(first);
        if ["lib", "main"].contains(&part) {
            continue;
        }
        let (_, may) = PARTS
            .iter()
            .find(|(name, _)| *name == part)
            .unwrap_or_else(|| panic!("{part} is no part"));
        for (number, line) in text.lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used =
                    used.split(|c: char| !c.is_alphanumeric() && c != '_').next().expect("a name");
                let allowed = used == part || may.uses(used) || is_test_of(&path, &text, number);
                assert!(allowed, "{}:{}: {part} may not use {used}", path.display(), number + 1);
            }
        }
    }
}

/// Tests may build what they test with.
fn is_test_of(path: &Path, text: &str, line: usize) -> bool {
    path.ends_with("tests.rs")
        || text.lines().take(line).any(|line| line.starts_with("#[cfg(test)]"))
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for (path, text) in
        files(&["src", "tests", "testkit", "benches", "examples", "fuzz/fuzz_targets"])
    {
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines; is it still one thing?",
            path.display()
        );
        assert!(text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}

#[test]
fn unsafe_code_is_in_two_files_alone_and_each_block_is_argued() {
    for (path, text) in files(&["src"]) {
        let blocks = text.lines().filter(|line| line.contains("unsafe {")).count();
        if ["probe/child.rs", "witness/kernel.rs"].iter().any(|file| path.ends_with(file)) {
            assert!(blocks > 0);
            for word in ["// JUSTIFICATION: ", "// SAFETY: "] {
                assert_eq!(text.matches(word).count(), blocks, "{word}");
            }
        } else {
            assert_eq!(blocks, 0, "{}", path.display());
        }
    }
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let forbidden = ["#[ignore", "should_panic", "TODO", "FIXME"].map(|word| word.to_owned());
    for (path, text) in files(&["src", "tests", "testkit", "examples", "fuzz/fuzz_targets"]) {
        for word in forbidden.iter().filter(|_| !path.ends_with("tidy.rs")) {
            assert!(!text.contains(word.as_str()), "{} has {word}", path.display());
        }
    }
}

/// Where the version stands, and how; `{}` is the version.
const VERSIONS: &[(&str, &str)] = &[
    ("Cargo.lock", "name = \"hugetlb-exporter\"\nversion = \"{}\"\n"),
    ("fuzz/Cargo.lock", "name = \"hugetlb-exporter\"\nversion = \"{}\"\n"),
    ("manifests/chart/Chart.yaml", "\nversion: {}\n"),
    ("manifests/chart/Chart.yaml", "\nappVersion: {}\n"),
    ("manifests/install.yaml", "image: ghcr.io/hugetlb-exporter/hugetlb-exporter:{}\n"),
    ("manifests/install.yaml", "app.kubernetes.io/version: \"{}\"\n"),
    ("Dockerfile", "\nARG VERSION={}\n"),
    ("CHANGELOG.md", "\n## [{}]"),
    ("docs/install.md", "ghcr.io/hugetlb-exporter/hugetlb-exporter:{}"),
    ("docs/install.md", "registry.example/hugetlb-exporter:{}"),
    ("docs/install.md", "manifests?ref=v{}"),
];

#[test]
fn the_version_is_the_same_everywhere() {
    for (file, line) in VERSIONS {
        let text = fs::read_to_string(root().join(file)).expect(file);
        let wanted = line.replace("{}", env!("CARGO_PKG_VERSION"));
        let (before, _) = line.split_once("{}").expect("a place for the version");
        let found = text.matches(&wanted).count();
        assert!(found > 0, "{file} lacks {wanted:?}");
        // The changelog has older versions, too.
        if *file != "CHANGELOG.md" {
            assert_eq!(
                found,
                text.matches(before).count(),
                "{file}: another version after {before:?}"
            );
        }
    }
}

/// Every page that people read here, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let directories = ["", "docs", "docs/adr", "fuzz"].map(|name| root().join(name));
    let entries = directories.iter().flat_map(|directory| fs::read_dir(directory).expect("pages"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.map(|path| (path.clone(), fs::read_to_string(path).expect("text"))).collect()
}

/// The name that a heading can be linked by, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut links = 0;
    for (path, text) in pages() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let there = match file {
                "" => path.clone(),
                _ => path.parent().expect("a directory").join(file),
            };
            assert!(there.exists(), "{}: {target}", path.display());
            if !wanted.is_empty() {
                let text = fs::read_to_string(&there).expect("text");
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|heading| anchor(heading) == wanted);
                assert!(found, "{}: {target} is no heading", path.display());
            }
            links += 1;
        }
    }
    assert!(links > 100, "{links}");
}

#[test]
fn every_dependency_says_why() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let sections = manifest.split("\n[").filter(|section| {
        section.starts_with("dependencies]") || section.starts_with("dev-dependencies]")
    });
    let lines: Vec<_> = sections
        .flat_map(|section| section.lines().skip(1).filter(|line| line.contains(" = ")))
        .collect();
    assert!(lines.len() > 20);
    for line in lines {
        assert!(line.contains("# "), "no reason: {line}");
    }
}
