//! docs/evidence.md: what a whole run has shown, section by section.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A section of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// What the names of the scenarios have in common that tell its lines: run alone, they make it whole.
    pub scenarios: &'static str,
}

/// Lines of sections.
static LINES: Mutex<BTreeMap<Section, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Whether this is a run that takes its time.
pub fn is_long() -> bool {
    std::env::var("HUGETLB_LAB").is_ok_and(|wish| wish == "long")
}

/// Prints a line and keeps it for a section.
pub fn tell(section: Section, line: String) {
    eprintln!("{line}");
    LINES.lock().expect("the lines").entry(section).or_default().push(line);
}

/// What was kept so far, of all sections.
pub fn lines() -> Vec<String> {
    LINES.lock().expect("the lines").values().flatten().cloned().collect()
}

/// Publishes what was kept: all of a whole run, of another one the section whose scenarios were asked for.
pub fn publish_lines(filter: Option<&str>) {
    for (section, lines) in &*LINES.lock().expect("the lines") {
        if filter.is_none_or(|filter| filter == section.scenarios) {
            let lines: Vec<String> = lines.iter().map(|line| format!("- {line}\n")).collect();
            publish(section.title, &format!("\n{}", lines.concat()));
        }
    }
}

/// Writes a section, in place of the one of that name; only with `HUGETLB_LAB=long`.
pub fn publish(name: &str, text: &str) {
    if !is_long() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/evidence.md");
    let before = fs::read_to_string(&path).unwrap_or_else(|_| "# Evidence\n".to_owned());
    let kernel = Command::new("uname").arg("-sr").output().expect("uname").stdout;
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let head = format!(
        "{}, {}, `HUGETLB_LAB=long cargo test --test lab`.",
        now.split('T').next().unwrap_or_default(),
        String::from_utf8_lossy(&kernel).trim(),
    );
    let section = format!("## {name}\n\n{head}\n{text}");
    fs::write(&path, with_section(&before, name, &section)).expect("docs/evidence.md is written");
}

/// A document with this as its section of that name.
fn with_section(document: &str, name: &str, section: &str) -> String {
    let mut parts: Vec<String> = document.split("\n## ").map(str::to_owned).collect();
    let title = parts.remove(0).trim_end().to_owned();
    let mut sections: Vec<String> = parts
        .iter()
        .filter(|part| part.lines().next() != Some(name))
        .map(|part| format!("## {}\n", part.trim_end()))
        .collect();
    sections.push(format!("{}\n", section.trim_end()));
    sections.sort();
    format!("{title}\n\n{}", sections.join("\n"))
}
