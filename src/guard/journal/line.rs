//! The lines of the journal.

use std::io;

use serde::{Deserialize, Serialize};

use super::Key;
use crate::guard::facts::{Change, Which};
use crate::snapshot::Limit;
use crate::snapshot::guard::{Action, spelling};
use crate::units::PageSize;

/// Counted up whenever an older guard would misunderstand it.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    journal: u32,
    boot: String,
}

/// Any other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    cgroup: String,
    inode: u64,
    #[serde(with = "spelling::page_size")]
    size: PageSize,
    which: Spelt,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
    #[serde(flatten)]
    change: Option<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    why: Action,
    #[serde(with = "spelling::limit")]
    old: Limit,
    #[serde(with = "spelling::limit")]
    new: Limit,
    #[serde(default)]
    repeated: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Spelt {
    Fault,
    Reservation,
}

impl Head {
    pub(super) fn of(boot: &str) -> Self {
        Self { journal: VERSION, boot: boot.to_owned() }
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Whether what follows was written in that boot, in a form that is understood.
    pub(super) fn is_of(&self, boot: &str) -> bool {
        self.journal == VERSION && self.boot == boot
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        text(self)
    }
}

impl Line {
    /// A change, or that it is over.
    pub(super) fn of(key: &Key, change: Option<Change>) -> Self {
        let told = |change: Change| Told {
            why: change.why,
            old: change.old,
            new: change.new,
            repeated: change.repeated,
        };
        let which = match key.which {
            Which::Fault => Spelt::Fault,
            Which::Reservation => Spelt::Reservation,
        };
        let (cgroup, inode, size) = (key.cgroup.clone(), key.inode, key.size);
        Self { cgroup, inode, size, which, ended: change.is_none(), change: change.map(told) }
    }

    pub(super) fn parse(text: &[u8]) -> Option<(Key, Option<Change>)> {
        let line: Self = serde_json::from_slice(text).ok()?;
        // What is neither a change nor the end of one is not understood.
        if line.ended == line.change.is_some() {
            return None;
        }
        let which = match line.which {
            Spelt::Fault => Which::Fault,
            Spelt::Reservation => Which::Reservation,
        };
        let key = Key { cgroup: line.cgroup, inode: line.inode, size: line.size, which };
        let change = line.change.map(|told| Change {
            why: told.why,
            old: told.old,
            new: told.new,
            repeated: told.repeated,
        });
        Some((key, change))
    }

    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        text(self)
    }
}

fn text(line: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}
