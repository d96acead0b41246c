//! What the child is to map, and how: its command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::units::PageSize;

/// How to map.
#[derive(Debug, Clone, Args)]
pub struct Order {
    /// The kind of mapping
    #[arg(long, value_enum)]
    pub mapping: Mapping,
    /// Without a reservation (MAP_NORESERVE)
    #[arg(long)]
    pub noreserve: bool,
    /// The size of its pages
    #[arg(long, default_value = "2Mi")]
    pub pagesize: PageSize,
    /// The file to map, on a hugetlbfs (for `file`)
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// The segment's key (for `sys-v`); it then outlives the process and is found by the next with that key
    #[arg(long, value_name = "KEY")]
    pub segment: Option<i32>,
}

/// The ways to map huge pages that programs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mapping {
    /// Anonymous and private, as a JVM's heap
    Private,
    /// Anonymous and shared, as PostgreSQL's buffers
    Shared,
    /// A file on hugetlbfs, as DPDK's memory
    File,
    /// A memfd, as a virtual machine's memory
    Memfd,
    /// A System V segment, as Oracle's and MySQL's buffers
    SysV,
}

impl Order {
    /// Anonymous memory of that page size.
    pub fn anonymous(mapping: Mapping, noreserve: bool, pagesize: PageSize) -> Self {
        Self { mapping, noreserve, pagesize, file: None, segment: None }
    }

    /// The hidden subcommand that understands it, and its flags.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mapping = self.mapping.to_possible_value();
        let mapping = mapping.as_ref().map_or("", |value| value.get_name());
        let mut arguments: Vec<OsString> = vec![
            "touch-child".into(),
            format!("--mapping={mapping}").into(),
            format!("--pagesize={}", self.pagesize).into(),
        ];
        arguments.extend(self.noreserve.then(|| "--noreserve".into()));
        arguments.extend(self.segment.map(|key| format!("--segment={key}").into()));
        if let Some(file) = &self.file {
            arguments.extend(["--file".into(), file.into()]);
        }
        arguments
    }
}
