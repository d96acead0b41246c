//! A whole machine from one text file, `tests/nodes/*.node`.
//!
//! ```text
//! # a comment
//! [/sys/fs/cgroup/kubepods]                  a directory; empty ones count
//! hugetlb.2MB.current = 4194304              a file; a newline is added
//! hugetlb.2MB.max !                          a file that is there and cannot be read
//! x.log -> /var/log/pods/…                   a link
//! ```
//! `\n`, `\\` and `\xFF` stand for those bytes, `ROOT` for the directory that holds the machine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use hugetlb_exporter::Roots;

use crate::project;

/// A machine below a directory that goes with it.
pub struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    /// The machine of `tests/nodes/<name>.node`.
    pub fn named(name: &str) -> Self {
        let path = nodes().join(format!("{name}.node"));
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::from_text(&text)
    }

    /// The machine that a text describes.
    pub fn from_text(text: &str) -> Self {
        Self::try_from_text(text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same, or the line that can't be had.
    pub fn try_from_text(text: &str) -> Result<Self, String> {
        let machine = Self { directory: tempfile::tempdir().expect("a directory") };
        let mut current = machine.root().to_owned();
        for (number, line) in text.lines().enumerate() {
            if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                current = machine.root().join(unescape(path.trim_start_matches('/')));
                fs::create_dir_all(&current).map_err(|error| format!("{line}: {error}"))?;
            } else if !line.is_empty() && !line.starts_with('#') && !machine.entry(&current, line) {
                return Err(format!("line {}: {line:?} is no entry", number + 1));
            }
        }
        Ok(machine)
    }

    fn entry(&self, directory: &Path, line: &str) -> bool {
        let root = self.root().display().to_string();
        if let Some((name, text)) =
            line.split_once(" = ").or_else(|| Some((line.strip_suffix(" =")?, "")))
        {
            let mut bytes = unescape(&text.replace("ROOT", &root)).into_vec();
            bytes.push(b'\n');
            fs::write(directory.join(unescape(name)), bytes).is_ok()
        } else if let Some((name, target)) = line.split_once(" -> ") {
            std::os::unix::fs::symlink(target, directory.join(name)).is_ok()
        } else if let Some(name) = line.strip_suffix(" !") {
            // A directory where a file should be: reading it fails for root too.
            fs::create_dir(directory.join(name)).is_ok()
        } else {
            false
        }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Its files' roots.
    pub fn roots(&self) -> Roots {
        let below = |path: &str| self.root().join(path);
        Roots {
            proc: below("proc"),
            sys: below("sys"),
            cgroup: None,
            pod_logs: below("var/log/pods"),
            container_logs: below("var/log/containers"),
        }
    }

    /// The flags that make the command look at it.
    pub fn flags(&self) -> Vec<String> {
        let roots = self.roots();
        let flag = |name: &str, path: &Path| format!("--path.{name}={}", path.display());
        vec![
            flag("procfs", &roots.proc),
            flag("sysfs", &roots.sys),
            flag("pod-logs", &roots.pod_logs),
            flag("container-logs", &roots.container_logs),
        ]
    }
}

/// The directory of all machines.
pub fn nodes() -> PathBuf {
    project().join("tests/nodes")
}

/// The names of all machines, in order.
pub fn all() -> Vec<String> {
    let entries = fs::read_dir(nodes()).expect("tests/nodes");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> =
        names.filter_map(|name| Some(name.strip_suffix(".node")?.to_owned())).collect();
    names.sort_unstable();
    names
}

/// The bytes that a text stands for.
pub fn unescape(text: &str) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let (byte, after) = match (first, more) {
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => match hex(*high, *low) {
                Some(byte) => (byte, after),
                None => (*first, more),
            },
            _ => (*first, more),
        };
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes)
}

fn hex(high: u8, low: u8) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(&[high, low]).ok()?, 16).ok()
}
