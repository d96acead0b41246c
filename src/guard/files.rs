//! The files of a cgroup: read, and the two limits written.
//!
//! A cgroup is known by its directory's device and inode number, not by its name: whatever else is put in its place is
//! not it, and is neither read nor written. kernfs counts its inode numbers up.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::facts::Which;
use crate::snapshot::{CgroupVersion, Limit};
use crate::sources::parse;
use crate::units::{Bytes, PageSize};

/// No file that the guard reads is longer, but memory.stat.
const LONGEST: u64 = 16 * 1024;

/// A cgroup's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the hierarchy's root, or from kubepods on, as people are shown it.
    pub shown: String,
    /// The device of its file system.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
}

/// Why something was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The cgroup is gone, as cgroups go.
    #[error("the cgroup is gone")]
    Gone,
    /// More is used or reserved than that.
    #[error("more is used or reserved (EBUSY)")]
    Busy,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What one cgroup shows for one page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// What is touched.
    pub usage: Bytes,
    /// What is reserved.
    pub reserved: Bytes,
    /// The fault limit.
    pub limit: Limit,
    /// The reservation limit.
    pub reservation_limit: Limit,
}

/// A directory that is open, so that its files are its own.
#[derive(Debug)]
pub struct Opened<'a> {
    directory: &'a Directory,
    descriptor: OwnedFd,
}

impl Directory {
    /// One of that name below it; none if the name is no text, as none of the kubelet's is.
    pub fn below(&self, name: &OsStr) -> Option<Self> {
        let shown = format!("{}/{}", self.shown, name.to_str()?);
        Self::at(self.path.join(name), shown).ok().filter(|it| it.device == self.device)
    }

    /// The directory at a path, as it is now. No link is followed at its end.
    pub fn at(path: PathBuf, shown: String) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(&path)?;
        if !found.is_dir() {
            return Err(io::Error::from(Errno::ENOTDIR));
        }
        Ok(Self { device: found.dev(), inode: found.ino(), path, shown })
    }

    /// Opens it, if it is still that.
    pub fn open(&self) -> Result<Opened<'_>, FileError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor = openat(AT_FDCWD, &self.path, flags, Mode::empty())
            .map_err(|error| self.explain(&error.into(), &self.path))?;
        let found = nix::sys::stat::fstat(&descriptor)
            .map_err(|error| self.explain(&error.into(), &self.path))?;
        if (found.st_dev, found.st_ino) != (self.device, self.inode) {
            return Err(FileError::Gone);
        }
        Ok(Opened { directory: self, descriptor })
    }

    fn explain(&self, error: &io::Error, path: &Path) -> FileError {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENODEV | Errno::ENOTDIR | Errno::ELOOP) => FileError::Gone,
            Some(Errno::EBUSY) => FileError::Busy,
            _ => FileError::Other(format!("{}: {error}", path.display())),
        }
    }
}

impl Opened<'_> {
    /// The four figures of a page size.
    pub fn figures(&self, version: CgroupVersion, size: PageSize) -> Result<Figures, FileError> {
        let file = |kind| name(version, size, kind);
        Ok(Figures {
            usage: self.read(&file(Kind::Usage), "bytes", parse::usage)?,
            reserved: self.read(&file(Kind::Reserved), "bytes", parse::usage)?,
            limit: self.limit(version, size, Which::Fault)?,
            reservation_limit: self.limit(version, size, Which::Reservation)?,
        })
    }

    /// What is touched and what is reserved.
    pub fn held(
        &self,
        version: CgroupVersion,
        size: PageSize,
    ) -> Result<(Bytes, Bytes), FileError> {
        let file = |kind| name(version, size, kind);
        let usage = self.read(&file(Kind::Usage), "bytes", parse::usage)?;
        Ok((usage, self.read(&file(Kind::Reserved), "bytes", parse::usage)?))
    }

    /// One of the limits.
    pub fn limit(
        &self,
        version: CgroupVersion,
        size: PageSize,
        which: Which,
    ) -> Result<Limit, FileError> {
        self.read(&name(version, size, which.into()), "a limit", parse::limit)
    }

    /// Reads and parses a file; `expected` says what it should hold.
    pub fn read<T>(
        &self,
        file: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FileError> {
        let text = self.text(file)?;
        let wrong = || format!("{}: expected {expected}", self.directory.path.join(file).display());
        parse(&text).ok_or_else(|| FileError::Other(wrong()))
    }

    /// A file's text.
    pub fn text(&self, file: &str) -> Result<String, FileError> {
        let mut text = String::new();
        let opened = self.file(file, OFlag::O_RDONLY);
        let read = opened.and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(text),
            Err(error) => Err(self.directory.explain(&error, &self.directory.path.join(file))),
        }
    }

    /// Writes a limit, in one write.
    pub fn write(
        &self,
        version: CgroupVersion,
        size: PageSize,
        which: Which,
        limit: Limit,
    ) -> Result<(), FileError> {
        let file = name(version, size, which.into());
        let text = match (limit, version) {
            (Limit::At(Bytes(bytes)), _) => bytes.to_string(),
            (Limit::Unlimited, CgroupVersion::V2) => "max".to_owned(),
            (Limit::Unlimited, CgroupVersion::V1) => "-1".to_owned(),
        };
        let written = self.file(&file, OFlag::O_WRONLY).and_then(|mut opened| {
            let length = opened.write(text.as_bytes())?;
            if length == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
        });
        written.map_err(|error| self.directory.explain(&error, &self.directory.path.join(&file)))
    }

    fn file(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file: File = openat(&self.descriptor, name, flags, Mode::empty())?.into();
        // A cgroup's files are on its own file system; what somebody has mounted over one is not.
        let is_its_own = file.metadata()?.dev() == self.directory.device;
        if is_its_own { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// What a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Usage,
    Reserved,
    Limit,
    ReservationLimit,
}

impl From<Which> for Kind {
    fn from(which: Which) -> Self {
        match which {
            Which::Fault => Self::Limit,
            Which::Reservation => Self::ReservationLimit,
        }
    }
}

/// A file's name, `hugetlb.2MB.rsvd.max`.
pub fn name(version: CgroupVersion, size: PageSize, kind: Kind) -> String {
    let rest = match (version, kind) {
        (CgroupVersion::V2, Kind::Usage) => "current",
        (CgroupVersion::V2, Kind::Reserved) => "rsvd.current",
        (CgroupVersion::V2, Kind::Limit) => "max",
        (CgroupVersion::V2, Kind::ReservationLimit) => "rsvd.max",
        (CgroupVersion::V1, Kind::Usage) => "usage_in_bytes",
        (CgroupVersion::V1, Kind::Reserved) => "rsvd.usage_in_bytes",
        (CgroupVersion::V1, Kind::Limit) => "limit_in_bytes",
        (CgroupVersion::V1, Kind::ReservationLimit) => "rsvd.limit_in_bytes",
    };
    format!("hugetlb.{}.{rest}", size.cgroup_name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn size() -> PageSize {
        "2Mi".parse().expect("a size")
    }

    fn cgroup() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("pod");
        std::fs::create_dir(&path).expect("made");
        for (kind, text) in [
            (Kind::Usage, "4194304\n"),
            (Kind::Reserved, "8388608\n"),
            (Kind::Limit, "6291456\n"),
            (Kind::ReservationLimit, "max\n"),
        ] {
            std::fs::write(path.join(name(CgroupVersion::V2, size(), kind)), text).expect("text");
        }
        let directory = Directory::at(path, "/kubepods/pod".to_owned()).expect("there");
        (root, directory)
    }

    #[test]
    fn figures_are_read_and_limits_written() {
        let (_root, directory) = cgroup();
        let opened = directory.open().expect("open");
        let figures = opened.figures(CgroupVersion::V2, size()).expect("figures");
        assert_eq!(figures.limit, Limit::At(Bytes(3 << 21)));
        assert_eq!(figures.reservation_limit, Limit::Unlimited);
        let to = Limit::At(Bytes(4 << 21));
        opened.write(CgroupVersion::V2, size(), Which::Reservation, to).expect("written");
        let read = opened.limit(CgroupVersion::V2, size(), Which::Reservation).expect("read");
        // The kernel truncates; a file of this one's does not, and the number is longer than what was there.
        assert_eq!(read, to);
    }

    #[test]
    fn what_is_in_a_cgroups_place_is_not_it() {
        let (root, directory) = cgroup();
        let away = root.path().join("away");
        std::fs::rename(&directory.path, &away).expect("moved");
        assert!(matches!(directory.open(), Err(FileError::Gone)), "nothing is there");
        symlink(&away, &directory.path).expect("linked");
        assert!(matches!(directory.open(), Err(FileError::Gone)), "a link to it is not it");
        std::fs::remove_file(&directory.path).expect("removed");
        std::fs::create_dir(&directory.path).expect("made");
        assert!(matches!(directory.open(), Err(FileError::Gone)), "another of that name");
    }

    #[test]
    fn a_link_in_a_files_place_is_not_followed() {
        let (root, directory) = cgroup();
        let target = root.path().join("target");
        std::fs::write(&target, "1\n").expect("text");
        let file = directory.path.join("hugetlb.2MB.rsvd.max");
        std::fs::remove_file(&file).expect("removed");
        symlink(&target, &file).expect("linked");
        let opened = directory.open().expect("open");
        let written =
            opened.write(CgroupVersion::V2, size(), Which::Reservation, Limit::At(Bytes::ZERO));
        assert!(written.is_err());
        assert_eq!(std::fs::read_to_string(target).expect("text"), "1\n");
    }

    #[test]
    fn rubbish_is_named_and_huge_numbers_are_no_limit() {
        let (_root, directory) = cgroup();
        let file = directory.path.join("hugetlb.2MB.max");
        let opened = directory.open().expect("open");
        let read = || opened.limit(CgroupVersion::V2, size(), Which::Fault);
        for text in ["9223372036854771712\n", "18446744073709551615\n", "4611686018427387904"] {
            std::fs::write(&file, text).expect("text");
            assert_eq!(read().expect("a limit"), Limit::Unlimited);
        }
        for text in ["", "-1\n", "18446744073709551616\n", "1e9\n", &"9".repeat(100_000)] {
            std::fs::write(&file, text).expect("text");
            let error = read().expect_err("no limit").to_string();
            assert!(error.ends_with("hugetlb.2MB.max: expected a limit"), "{error}");
        }
    }
}
