//! What processes have mapped, looked for on the side and left where the poller takes what is there.
//!
//! A process whose memory is locked by another that waits for a dead disk can't be read and can't be given up: such a
//! read holds one thread, no more, and is not tried anew until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{AgentError, can_not_start, keep_running};
use crate::config::Interval;
use crate::snapshot::{Health, Mappings};
use crate::sources::{Found, Roots, scan_mappings};
use crate::worker::Worker;

/// A look that takes longer is stuck, or too slow to be of use; either must be told.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where what was found is left for the poller.
pub(super) struct MappingSlot {
    newest: watch::Receiver<Option<Found<Mappings>>>,
}

impl MappingSlot {
    /// Starts looking, that long after each look. Nobody waits for the first.
    pub(super) fn start(roots: Roots, every: Interval) -> Result<Self, AgentError> {
        let (sender, newest) = watch::channel(None);
        let worker = Worker::start("mappings").map_err(can_not_start("search for mappings"))?;
        keep_running("the search for mappings", move || {
            keep_looking(worker.clone(), roots.clone(), every.duration(), PATIENCE, sender.clone())
        });
        Ok(Self { newest })
    }

    /// What the last look found; nothing before the first is over.
    pub(super) fn newest(&self) -> Option<Found<Mappings>> {
        self.newest.borrow().clone()
    }
}

async fn keep_looking(
    worker: Worker,
    roots: Roots,
    every: Duration,
    patience: Duration,
    sender: watch::Sender<Option<Found<Mappings>>>,
) {
    let mut looks = 0;
    while !sender.is_closed() {
        let reading = Arc::new(AtomicU32::new(0));
        let Ok(turn) = worker.turn().await else { return };
        let (roots_now, now_reading) = (roots.clone(), Arc::clone(&reading));
        let mut look = turn.run(move || scan_mappings(&roots_now, &now_reading));
        let answer = match timeout(patience, &mut look).await {
            Ok(answer) => answer,
            Err(_) => {
                let process = roots.proc.join(reading.load(Ordering::Relaxed).to_string());
                let (process, seconds) = (process.display(), patience.as_secs());
                down(
                    &sender,
                    format!("no answer for {seconds} s, reading the mappings of {process}"),
                );
                look.await
            }
        };
        match answer {
            Ok(mut found) => {
                looks += 1;
                Arc::make_mut(&mut found.facts).looks = looks;
                sender.send_replace(Some(found));
            }
            Err(error) => down(&sender, error.to_string()),
        }
        sleep(every).await;
    }
}

/// What was found last stays.
fn down(sender: &watch::Sender<Option<Found<Mappings>>>, why: String) {
    sender.send_modify(|newest| {
        let facts = newest.take().map(|found| found.facts).unwrap_or_default();
        *newest = Some(Found { facts, health: Health::Down(why) });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use crate::identity::ContainerId;

    const ID: &str = "4629c1b056a38b427bf33e5eef22257be563b1078cb82abd6b41079d795d1608";
    const FIRST: &str =
        "7f81a3e00000-7f81b0600000 rw-p 00000000 00:11 7     /anon_hugepage (deleted)\n";
    const FIELDS: &str =
        "KernelPageSize: 2048 kB\nShared_Hugetlb: 0 kB\nPrivate_Hugetlb: 0 kB\nVmFlags: nr ht\n";

    /// A pipe in place of a file: whoever opens it waits until somebody writes.
    struct Stuck(PathBuf);

    impl Drop for Stuck {
        fn drop(&mut self) {
            // For reading too, so that it does not wait itself; whoever waits is let go.
            let _ = fs::File::options().read(true).write(true).open(&self.0);
        }
    }

    impl Stuck {
        fn replace(file: &Path) -> Self {
            let (pipe, link) = (file.with_extension("pipe"), file.with_extension("link"));
            mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
            fs::hard_link(&pipe, &link).expect("linked");
            fs::rename(link, file).expect("replaced");
            Self(pipe)
        }
    }

    /// One process in a container, with one mapping of huge pages.
    fn one_tenant(directory: &Path) -> Roots {
        let below = |path: &str| directory.join(path);
        fs::create_dir_all(below("proc/77")).expect("made");
        let cgroup = format!("0::/kubepods/pod9cce6226b6f8c645dea5d8ced23cc58b/{ID}\n");
        fs::write(below("proc/77/cgroup"), cgroup).expect("written");
        fs::write(below("proc/77/maps"), FIRST).expect("written");
        fs::write(below("proc/77/smaps"), format!("{FIRST}{FIELDS}")).expect("written");
        Roots {
            proc: below("proc"),
            sys: below("sys"),
            cgroup: None,
            pod_logs: below("pods"),
            container_logs: below("containers"),
        }
    }

    #[test]
    fn a_process_that_does_not_answer_is_told_and_the_last_facts_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let below = |path: &str| directory.path().join(path);
        let roots = one_tenant(directory.path());
        let id = ContainerId::parse(ID).expect("an id");
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (sender, mut newest) = watch::channel(None);
            let (every, patience) = (Duration::from_millis(10), Duration::from_millis(300));
            let worker = Worker::start("test").expect("a thread");
            tokio::spawn(keep_looking(worker, roots, every, patience, sender));
            let mut next = async |wanted: fn(&Health) -> bool| {
                let found = newest.wait_for(|found: &Option<Found<Mappings>>| {
                    found.as_ref().is_some_and(|found| wanted(&found.health))
                });
                let found = timeout(Duration::from_secs(20), found).await.expect("in time");
                let found = found.expect("it still looks").clone().expect("something");
                assert_eq!(found.facts.containers.get(&id).map(Vec::len), Some(1));
                found.health
            };
            next(|health| *health == Health::Up).await;
            let stuck = Stuck::replace(&below("proc/77/maps"));
            let Health::Down(why) = next(|health| *health != Health::Up).await else {
                panic!("it is stuck")
            };
            assert!(why.ends_with(&below("proc/77").display().to_string()), "{why}");
            fs::write(below("plain"), FIRST).expect("written");
            fs::rename(below("plain"), below("proc/77/maps")).expect("replaced");
            drop(stuck);
            timeout(
                Duration::from_secs(20),
                newest.wait_for(|found| {
                    found
                        .as_ref()
                        .is_some_and(|f| f.health == Health::Up && !f.facts.containers.is_empty())
                }),
            )
            .await
            .expect("in time")
            .expect("it still looks");
        });
    }
}
