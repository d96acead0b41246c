//! One pod at a time: its figures are read, the rules decide, what they decide is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Settings;
use super::around;
use super::candidates::Candidates;
use super::facts::{Level, Ours, PodFacts, Which};
use super::files::{Directory, Figures, FileError};
use super::journal::{Journal, Key};
use super::names::{Names, Standing};
use super::rules::{Decision, Leave, decide, is_rescue_needed};
use super::state::State;
use super::summary::Summary;
use super::tally::{Lefts, Tally};
use super::tree::{Pod, PodId, Tree};
use crate::exchange::Moment;
use crate::snapshot::guard::{Outcome, Reason};
use crate::snapshot::{CgroupVersion, Limit};
use crate::units::{Bytes, PageSize};

/// A name comes a moment after its pod's cgroup.
const NAME_COMES: Duration = Duration::from_secs(5);
/// Where what stood in the way may go away, or somebody is written to too often, it is looked at again.
const AGAIN: Duration = Duration::from_secs(1);
/// What the kernel or a full disk refused is tried again.
const LATER: Duration = Duration::from_secs(10);
/// What is decided on the figures that a decision leads to is nothing; somebody may be as fast as we are.
const ROUNDS: usize = 3;

/// Everything the guard knows.
#[derive(Debug)]
pub struct Engine {
    pub settings: Settings,
    pub now: Moment,
    pub started: Duration,
    pub tree: Tree,
    pub names: Names,
    pub state: State,
    pub tally: Tally,
    pub lefts: Lefts,
    pub summary: Summary,
    pub candidates: Candidates,
    /// Directories of our own cgroup, by device and inode number.
    pub own: Vec<(u64, u64)>,
    /// Why the state directory is not ours.
    pub state_trouble: Option<String>,
    pub is_paused: bool,
    /// Whether there is something new to be told.
    pub has_news: bool,
    /// When pods are to be looked at.
    pub due: BTreeMap<PodId, Instant>,
    pub seen: BTreeMap<PodId, Seen>,
}

/// What is remembered of a pod.
#[derive(Debug)]
pub struct Seen {
    first: Instant,
    sizes: BTreeMap<PageSize, SeenSize>,
}

#[derive(Debug, Default)]
struct SeenSize {
    was_granted: bool,
    rescued: Option<Instant>,
}

/// A pod's figures, with the directories that they are of.
pub struct Look {
    pub facts: PodFacts,
    pub directories: Vec<Directory>,
    pub version: CgroupVersion,
}

impl Engine {
    /// Looks at a pod, and does what is to be done.
    pub fn visit(&mut self, id: PodId) {
        let Some(pod) = self.tree.pod(id) else {
            self.seen.remove(&id);
            self.candidates.forget(id);
            return;
        };
        let first = Seen { first: Instant::now(), sizes: BTreeMap::new() };
        let seen = self.seen.entry(id).or_insert(first);
        let is_young = seen.first.elapsed() < NAME_COMES;
        let is_own = pod.directories().any(|it| self.own.contains(&(it.device, it.inode)));
        let standing = if is_own { Standing::Excluded } else { self.names.standing(&pod.uid) };
        if standing == Standing::Unnamed && is_young {
            self.wait_for_name(id);
            return;
        }
        let leave = self.leave(standing);
        let sizes =
            self.tree.kubepods_of(pod).map(|kubepods| kubepods.sizes.clone()).unwrap_or_default();
        for size in sizes {
            self.settle(id, size, leave);
        }
    }

    /// Its limits are looked at, so that a grant that came and went is known of; and it comes again.
    fn wait_for_name(&mut self, id: PodId) {
        let sizes: Vec<PageSize> =
            self.tree.kubepods.iter().flat_map(|kubepods| kubepods.sizes.clone()).collect();
        for size in sizes {
            let _ = self.look(id, size);
        }
        self.due.entry(id).or_insert_with(|| Instant::now() + NAME_COMES);
    }

    fn leave(&self, standing: Standing) -> Leave {
        match standing {
            Standing::Excluded => Leave::Denied(Outcome::Skipped, Some(Reason::Excluded)),
            Standing::Unnamed => Leave::Denied(Outcome::Unnamed, None),
            Standing::Free if self.is_paused => {
                Leave::Denied(Outcome::Skipped, Some(Reason::Paused))
            }
            Standing::Free if self.settings.dry_run => Leave::Denied(Outcome::WouldWrite, None),
            Standing::Free => Leave::Granted,
        }
    }

    /// Does what there is to do for one page size, and looks whether that is all.
    fn settle(&mut self, id: PodId, size: PageSize, leave: Leave) {
        for _ in 0..ROUNDS {
            let Some(look) = self.look(id, size) else { return };
            let decision = self.decide(id, &look, leave);
            self.candidates.note(id, size, &look.facts, self.settings.policy.rescue);
            let is_done = decision.plans.is_empty();
            self.forget(&look, &decision);
            self.leave_alone(id, &look, &decision);
            if is_done {
                return;
            }
            let mut is_any_refused = false;
            for plan in decision.plans {
                is_any_refused |= !self.carry_out(id, &look, &plan);
            }
            if is_any_refused {
                break;
            }
        }
        self.due.entry(id).or_insert_with(|| Instant::now() + LATER);
    }

    fn decide(&self, id: PodId, look: &Look, leave: Leave) -> Decision {
        let is_needed = self.settings.policy.rescue && is_rescue_needed(&look.facts);
        let size = look.facts.page_size;
        let pod = self.tree.pod(id).filter(|_| is_needed);
        let around = pod.map(|pod| around::look(&self.settings.roots, &self.tree, pod, size));
        decide(&look.facts, around.as_ref(), &self.settings.policy, leave)
    }

    /// A pod's figures; nothing where it is gone or can't be read.
    fn look(&mut self, id: PodId, size: PageSize) -> Option<Look> {
        let pod = self.tree.pod(id)?;
        let version = self.tree.kubepods_of(pod)?.version;
        let read = read(pod, version, size);
        let (mut levels, directories) = match read {
            Ok(read) => read,
            Err(why) => {
                why.inspect(|why| tracing::warn!(pod = %pod.uid, "can't look at a pod: {why}"));
                return None;
            }
        };
        let journal = self.state.journal();
        for (level, directory) in levels.iter_mut().zip(&directories) {
            level.ours = ours(journal, directory, size);
        }
        let mut levels = levels.into_iter();
        let pod = levels.next()?;
        let seen = self.seen.get_mut(&id)?.sizes.entry(size).or_default();
        // Until the kubelet has limited it there is no limit, which is no grant.
        seen.was_granted |= matches!(pod.granted(), Limit::At(limit) if limit > Bytes::ZERO);
        let facts = PodFacts {
            page_size: size,
            pod,
            containers: levels.collect(),
            was_granted: seen.was_granted,
            since_rescue: seen.rescued.map(|rescued| rescued.elapsed()),
        };
        Some(Look { facts, directories, version })
    }

    /// Notes that a limit of the pod was raised now.
    pub fn note_rescue(&mut self, id: PodId, size: PageSize) {
        if let Some(seen) = self.seen.get_mut(&id) {
            seen.sizes.entry(size).or_default().rescued = Some(Instant::now());
        }
    }

    /// What belongs to others by now.
    fn forget(&mut self, look: &Look, decision: &Decision) {
        for (place, which) in &decision.forgotten {
            if let Some(directory) = look.directories.get(place.index())
                && let Some(journal) = self.state.journal_mut()
            {
                tracing::info!(cgroup = %directory.shown, "somebody else has set a limit that was the guard's; it is left to them");
                journal.end(&key(directory, look.facts.page_size, *which));
                self.has_news = true;
            }
        }
    }

    /// Says what is left alone, once, and comes again where that may change by itself.
    fn leave_alone(&mut self, id: PodId, look: &Look, decision: &Decision) {
        let size = look.facts.page_size;
        let cgroups: Vec<String> = look.directories.iter().map(|it| it.shown.clone()).collect();
        let new = self.lefts.renew(size, &cgroups, decision.left.iter().copied());
        let pod = self.tree.pod(id).map(|pod| self.names.call(&pod.uid)).unwrap_or_default();
        for left in &new {
            let cgroup = cgroups.get(left.place.index()).map_or("", String::as_str);
            self.tally.count(left.why, left.outcome, left.reason);
            self.summary.left(&pod, cgroup, size, left);
            super::telling::log_left(&pod, cgroup, size, left);
            self.has_news = true;
        }
        let may_change = |reason: Reason| !matches!(reason, Reason::Excluded | Reason::Paused);
        if decision.left.iter().any(|left| left.reason.is_some_and(may_change)) {
            self.due.entry(id).or_insert_with(|| Instant::now() + AGAIN);
        }
    }

    /// Forgets those that are gone.
    pub fn forget_the_gone(&mut self) {
        let there: std::collections::BTreeMap<&str, u64> = self
            .tree
            .pods()
            .flat_map(|(_, pod)| pod.directories())
            .map(|directory| (directory.shown.as_str(), directory.inode))
            .collect();
        self.lefts.keep(|cgroup| there.contains_key(cgroup));
        if let Some(journal) = self.state.journal_mut() {
            journal.keep(|key| there.get(key.cgroup.as_str()) == Some(&key.inode));
        }
        self.seen.retain(|id, _| self.tree.pod(*id).is_some());
    }
}

/// What the guard has recorded of a cgroup's limits.
fn ours(journal: Option<&Journal>, directory: &Directory, size: PageSize) -> Ours {
    let get = |which| journal?.get(&key(directory, size, which));
    Ours { limit: get(Which::Fault), reservation: get(Which::Reservation) }
}

/// What a limit's record is kept under.
pub fn key(directory: &Directory, size: PageSize, which: Which) -> Key {
    Key { cgroup: directory.shown.clone(), inode: directory.inode, size, which }
}

type Levels = (Vec<Level>, Vec<Directory>);

/// The pod's level and its containers'; one that is gone meanwhile is left out. An error is worth a line, or is that the
/// pod is gone.
fn read(pod: &Pod, version: CgroupVersion, size: PageSize) -> Result<Levels, Option<String>> {
    let (mut levels, mut directories) = (Vec::new(), Vec::new());
    for (index, directory) in pod.directories().enumerate() {
        match directory.open().and_then(|opened| opened.figures(version, size)) {
            Ok(figures) => {
                levels.push(level(figures));
                directories.push(directory.clone());
            }
            Err(FileError::Gone) if index > 0 => {}
            Err(FileError::Gone) => return Err(None),
            Err(error) => return Err(Some(error.to_string())),
        }
    }
    Ok((levels, directories))
}

fn level(figures: Figures) -> Level {
    let Figures { usage, reserved, limit, reservation_limit } = figures;
    Level { usage, reserved, limit, reservation_limit, ours: Ours::default() }
}
