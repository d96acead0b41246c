//! An initramfs: a cpio archive (newc) of programs, the libraries that they want, and a task.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;

/// What it holds, by its path.
#[derive(Default)]
pub struct Initramfs(BTreeMap<PathBuf, (u32, Vec<u8>)>);

impl Initramfs {
    /// A file with that text.
    pub fn text(&mut self, path: &str, text: &str) {
        self.add(Path::new(path), FILE | 0o644, text.into());
    }

    /// A program at that path, without what a debugger wants, and its libraries where they are here.
    pub fn program(&mut self, path: &Path, program: &Path) {
        let directory = tempfile::tempdir().expect("a directory");
        let stripped = directory.path().join("stripped");
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).status();
        assert!(
            strip.is_ok_and(|status| status.success()),
            "{} is not stripped",
            program.display()
        );
        self.copy(path, &stripped);
        // It fails where there are none.
        let libraries = Command::new("ldd").arg(program).output().expect("ldd runs").stdout;
        for library in String::from_utf8_lossy(&libraries).lines().filter_map(library) {
            self.copy(library, library);
        }
    }

    fn copy(&mut self, path: &Path, from: &Path) {
        let read = || fs::read(from).and_then(|bytes| Ok((bytes, fs::metadata(from)?)));
        let (bytes, metadata) =
            read().unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.add(path, FILE | metadata.permissions().mode() & 0o777, bytes);
    }

    fn add(&mut self, path: &Path, mode: u32, bytes: Vec<u8>) {
        for parent in path.ancestors().skip(1).filter(|parent| parent.parent().is_some()) {
            self.0.entry(parent.to_owned()).or_insert((DIRECTORY, Vec::new()));
        }
        self.0.insert(path.to_owned(), (mode, bytes));
    }

    /// The archive; parents come before what is in them.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (number, (path, (mode, bytes))) in (1..).zip(&self.0) {
            let name = path.to_str().expect("a path in UTF-8").trim_start_matches('/');
            entry(&mut archive, number, name, *mode, bytes);
        }
        entry(&mut archive, 0, "TRAILER!!!", 0, &[]);
        archive
    }
}

/// What a line of ldd's names: `libc.so.6 => /lib/libc.so.6 (0x…)`, or the loader without an arrow.
fn library(line: &str) -> Option<&Path> {
    let named = line.split("=> ").last()?.split_whitespace().next()?;
    named.starts_with('/').then(|| Path::new(named))
}

fn entry(archive: &mut Vec<u8>, inode: u32, name: &str, mode: u32, bytes: &[u8]) {
    let length = |bytes: usize| u32::try_from(bytes).expect("less than 4 GiB");
    archive.extend(b"070701");
    // Inode, mode, uid, gid, links, mtime, size, the device's and the special file's two numbers, the name's size, no sum.
    let size = length(bytes.len());
    let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length(name.len() + 1), 0];
    for field in fields {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes().chain([0]));
    pad(archive);
    archive.extend(bytes);
    pad(archive);
}

/// Name and contents begin at multiples of four bytes.
fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
