//! What a person asks of it from outside: pause, resume, and take everything back.

use std::path::Path;
use std::time::{Duration, Instant};

use super::engine::key;
use super::facts::{Change, Level, Ours, Place, Which};
use super::files::{Directory, FileError};
use super::journal::Key;
use super::kubepods::{self, Kubepods};
use super::rules::{Write, set_back};
use super::state::{Pause, State};
use super::tree::Tree;
use super::{GuardError, Settings};
use crate::exchange::Moment;
use crate::snapshot::guard::Action;

/// A guard that is told to pause gives its state back in less.
const LET_GO: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);

/// What was taken back, and what was left and why, a line each.
#[derive(Debug, Default)]
pub struct Undone {
    /// Limits that are as they were before.
    pub undone: Vec<String>,
    /// Limits that are not, with the reason.
    pub left: Vec<String>,
}

/// Has the guard write nothing until it is told to go on.
pub fn pause(state: &Path) -> Result<(), GuardError> {
    let paused = State::new(state).pause(Pause::UntilResumed);
    paused.map_err(|error| GuardError(format!("can't pause in {}: {error}", state.display())))
}

/// Has it go on.
pub fn resume(state: &Path) -> Result<(), GuardError> {
    let resumed = State::new(state).resume();
    resumed.map_err(|error| GuardError(format!("can't resume in {}: {error}", state.display())))
}

/// Takes back all that the guard wrote and nobody lives by. A guard that runs is paused for it, until the next is started.
pub fn undo(settings: &Settings) -> Result<Undone, GuardError> {
    let now = Moment::now(&settings.roots.proc)
        .map_err(|error| GuardError(format!("can't tell which boot this is: {error}")))?;
    let mut state = State::new(&settings.state);
    state.pause(Pause::UntilNextStart).map_err(|error| {
        GuardError(format!("can't pause in {}: {error}", settings.state.display()))
    })?;
    let began = Instant::now();
    while let Err(why) = state.open(&now.boot) {
        if began.elapsed() > LET_GO {
            return Err(GuardError(why));
        }
        std::thread::park_timeout(LOOK);
    }
    let found =
        kubepods::find(&settings.roots, settings.kubepods.as_deref()).map_err(GuardError)?;
    let tree =
        Tree::new(found).map_err(|error| GuardError(format!("can't look at pods: {error}")))?;
    let mut undone = Undone::default();
    take_back(&tree, &mut state, &mut undone);
    Ok(undone)
}

/// Containers before their pods: a pod keeps what was added to it for as long as it is added below.
fn take_back(tree: &Tree, state: &mut State, undone: &mut Undone) {
    for (_, pod) in tree.pods() {
        let Some(kubepods) = tree.kubepods_of(pod) else { continue };
        let mut is_any_left = false;
        let directories: Vec<&Directory> = pod.directories().collect();
        for (index, directory) in directories.iter().enumerate().rev() {
            for size in &kubepods.sizes {
                let get = |which| state.journal()?.get(&key(directory, *size, which));
                let ours = Ours { limit: get(Which::Fault), reservation: get(Which::Reservation) };
                if ours == Ours::default() {
                    continue;
                }
                let what = format!("{} of {}", size, directory.shown);
                let is_kept = index == 0 && is_any_left && ours.limit.is_some();
                let result = if is_kept {
                    Err("a container in it lives by what was added to it".to_owned())
                } else {
                    give_back(kubepods, directory, *size, ours, state)
                };
                match result {
                    Ok(()) => undone.undone.push(what),
                    Err(why) => {
                        is_any_left |= ours.limit.is_some();
                        undone.left.push(format!("{what}: {why}"));
                    }
                }
            }
        }
    }
    // What is recorded of cgroups that are gone is over.
    let there: Vec<Key> = state
        .journal()
        .into_iter()
        .flat_map(|it| it.records())
        .map(|(key, _)| key.clone())
        .collect();
    let known = |key: &Key| {
        tree.pods()
            .flat_map(|(_, pod)| pod.directories())
            .any(|it| (it.inode, &it.shown) == (key.inode, &key.cgroup))
    };
    for key in there.iter().filter(|key| !known(key)) {
        state.journal_mut().into_iter().for_each(|journal| journal.end(key));
    }
}

/// Gives one cgroup its limits back.
fn give_back(
    kubepods: &Kubepods,
    directory: &Directory,
    size: crate::units::PageSize,
    ours: Ours,
    state: &mut State,
) -> Result<(), String> {
    let opened = directory.open().map_err(|error| error.to_string())?;
    let figures = opened.figures(kubepods.version, size).map_err(|error| error.to_string())?;
    let level = Level {
        usage: figures.usage,
        reserved: figures.reserved,
        limit: figures.limit,
        reservation_limit: figures.reservation_limit,
        ours,
    };
    for write in writes(&level) {
        let key = key(directory, size, write.which);
        let old = ours_of(&ours, write.which).map_or(write.from, |ours| ours.old);
        let change = Change { why: Action::Restore, old, new: write.to, repeated: false };
        let journal = state.journal_mut().ok_or("the state directory is not ours")?;
        let before = journal.get(&key);
        journal.record(&key, change).map_err(|error| format!("can't be recorded: {error}"))?;
        match opened.write(kubepods.version, size, write.which, write.to) {
            Ok(()) if write.ends => journal.end(&key),
            Ok(()) => {}
            Err(error) => {
                match before {
                    Some(before) => drop(journal.record(&key, before)),
                    None => journal.end(&key),
                }
                return Err(match error {
                    FileError::Busy => {
                        "a process lives by it (more is reserved than the old limit allows)"
                            .to_owned()
                    }
                    error => error.to_string(),
                });
            }
        }
    }
    if !level.is_rescued() && level.our_reservation().is_none() {
        let journal = state.journal_mut().ok_or("the state directory is not ours")?;
        for which in [Which::Fault, Which::Reservation] {
            journal.end(&key(directory, size, which));
        }
        return Err("somebody else has set it since; it is theirs".to_owned());
    }
    Ok(())
}

fn ours_of(ours: &Ours, which: Which) -> Option<Change> {
    match which {
        Which::Fault => ours.limit,
        Which::Reservation => ours.reservation,
    }
}

fn writes(level: &Level) -> Vec<Write> {
    if let Some(ours) = level.ours.limit.filter(|_| level.is_rescued()) {
        return set_back(Place::Pod, level, ours);
    }
    let reservation = level.our_reservation().map(|ours| Write {
        place: Place::Pod,
        which: Which::Reservation,
        why: Action::Restore,
        from: ours.new,
        to: ours.old,
        repeats: false,
        ends: true,
    });
    reservation.into_iter().collect()
}
