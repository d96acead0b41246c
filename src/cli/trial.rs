//! `hugetlb-exporter try`: maps and touches huge pages in this very cgroup, and says how far it gets. Exit code 0: it
//! fits; 2: refused at mmap; 3: refused at a touch, or a touch hangs; 64: a wrong flag; 1: it could not be tried.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use nix::sys::statfs::{HUGETLBFS_MAGIC, statfs};

use super::flags::{Flags, Form, Try};
use super::here::Here;
use super::terminal::{Waiting, print};
use super::usage;
use crate::probe::{self, Attempt, Mapping, Order};
use crate::render::trial;
use crate::snapshot::{Outcome, Trial};
use crate::units::{PageSize, Pages};

const REFUSED_AT_MMAP: u8 = 2;
const REFUSED_AT_TOUCH: u8 = 3;

/// Tries it.
pub(super) fn run(wish: &Try, flags: Flags) -> anyhow::Result<ExitCode> {
    if let Some(complaint) = wish.complaint() {
        return Ok(usage::refuse(&complaint));
    }
    let here = Here::look(flags);
    let file = wish.file.as_deref().map(Scrap::new).transpose()?;
    let order = order(wish, file.as_ref(), &here)?;
    let (page_size, mapping) = (order.pagesize, described(&order));
    let attempt = Attempt {
        order,
        pages: Pages(wish.pages),
        touch: Pages(wish.touch.unwrap_or_default()),
        hold: wish.hold,
    };
    let memory = probe::memory_limits(&here.site);
    let outcome = carry_out(&attempt, &here)?;
    drop(file);
    let (limits, sees_all_limits) = here.limits(page_size);
    let trial = Trial {
        page_size,
        mapping,
        pages: attempt.pages,
        touch: attempt.touch,
        pool: here.pool(page_size),
        limits,
        sees_all_limits,
        memory,
        outcome,
    };
    let text = match wish.output {
        Form::Text => trial::text(&trial),
        Form::Json => trial::json(&trial),
    };
    print(&text)?;
    Ok(match trial.outcome {
        Outcome::Fits => ExitCode::SUCCESS,
        Outcome::RefusedAtMmap(_) => ExitCode::from(REFUSED_AT_MMAP),
        Outcome::RefusedAtTouch { .. } | Outcome::WouldHang { .. } | Outcome::Hung { .. } => {
            ExitCode::from(REFUSED_AT_TOUCH)
        }
    })
}

impl Try {
    /// What can't be meant, or must be meant.
    fn complaint(&self) -> Option<String> {
        let touch = self.touch.unwrap_or_default();
        if touch > self.pages {
            return Some(format!("--touch {touch} is more than --pages {}", self.pages));
        }
        (touch > 1 && !self.yes).then(|| {
            format!(
                "--touch {touch} takes pages that a neighbour under the same limit may be about to touch, and is killed for it; say --yes if that may be"
            )
        })
    }
}

fn carry_out(attempt: &Attempt, here: &Here) -> anyhow::Result<Outcome> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().build().context("can't start the runtime")?;
    let (touch, hold) = (attempt.touch.0, attempt.hold);
    let doing = |touched: u64| match touched {
        all if all == touch && !hold.is_zero() => {
            format!("holding what was got for {}", humantime::format_duration(hold))
        }
        some => format!("touched {some} of {touch} pages"),
    };
    let waiting = Waiting::until(&doing(0));
    let progress = |touched: Pages| waiting.is_now(|| doing(touched.0));
    let outcome = runtime.block_on(probe::attempt(attempt, &here.site, progress));
    outcome.context("can't start the process that tries")
}

/// A file decides the size of its pages.
fn order(wish: &Try, file: Option<&Scrap>, here: &Here) -> anyhow::Result<Order> {
    let page_size = match (file, wish.pagesize) {
        (Some(file), Some(wanted)) if file.page_size != wanted => {
            bail!("{} has pages of {}, not of {wanted}", file.directory.display(), file.page_size)
        }
        (Some(file), _) => file.page_size,
        (None, wanted) => here.page_size(wanted)?,
    };
    let mapping = match (file, wish.shared) {
        (Some(_), _) => Mapping::File,
        (None, true) => Mapping::Shared,
        (None, false) => Mapping::Private,
    };
    let file = file.map(Scrap::path);
    Ok(Order { file, ..Order::anonymous(mapping, wish.noreserve, page_size) })
}

fn described(order: &Order) -> String {
    let kind = match order.mapping {
        Mapping::Shared => "shared",
        Mapping::File => "of a file, shared",
        _ => "private",
    };
    if order.noreserve { format!("{kind}, without a reservation") } else { kind.to_owned() }
}

/// A file of our own on a hugetlbfs. It has no name any more: however this process ends, its pages are given back.
struct Scrap {
    directory: PathBuf,
    file: File,
    page_size: PageSize,
}

impl Scrap {
    fn new(directory: &Path) -> anyhow::Result<Self> {
        let found = statfs(directory).with_context(|| format!("{}", directory.display()))?;
        let page_size = u64::try_from(found.block_size()).ok().and_then(PageSize::from_bytes);
        let Some(page_size) = page_size.filter(|_| found.filesystem_type() == HUGETLBFS_MAGIC)
        else {
            bail!("{} is no hugetlbfs", directory.display());
        };
        let path = directory.join(format!("hugetlb-exporter-try-{}", std::process::id()));
        // Never somebody else's file.
        let file = File::create_new(&path);
        let file = file.with_context(|| format!("can't make {}", path.display()))?;
        fs::remove_file(&path).with_context(|| format!("can't remove {}", path.display()))?;
        Ok(Self { directory: directory.to_owned(), file, page_size })
    }

    /// Where the child finds it.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }
}
