//! What the guard says it does, from the file that it leaves for the exporter.

use std::path::Path;
use std::sync::Arc;

use crate::exchange::{self, Moment, Received};
use crate::snapshot::guard::Report;
use crate::snapshot::{Guard, Health};

/// What is known of the guard.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The newest report that was believed.
    pub guard: Option<Arc<Guard>>,
    /// Whether the guard is there, and does what it was told to.
    pub health: Health,
}

/// The newest report in a directory. What the last one said stays where there is no newer one to be believed: the limits
/// that the guard wrote stay, too.
pub fn read(directory: &Path, proc: &Path, last: Option<&Arc<Guard>>) -> Reported {
    let now = Moment::now(proc).map_err(|error| format!("can't tell the time: {error}"));
    let read = now.and_then(|now| {
        exchange::read::<Report>(directory, &now).map_err(|error| error.to_string())
    });
    match read {
        Ok(received) => {
            let health = health(directory, &received);
            // The same report stays where it is in memory: whoever has made something of it need not do it again.
            let known = last.filter(|guard| guard.report == received.content);
            let guard = known.map_or_else(|| Arc::new(Guard::new(received.content)), Arc::clone);
            Reported { guard: Some(guard), health }
        }
        Err(why) => Reported { guard: last.map(Arc::clone), health: Health::Down(why) },
    }
}

fn health(directory: &Path, received: &Received<Report>) -> Health {
    if received.is_late {
        let path = exchange::path_of::<Report>(directory);
        let (path, age) = (path.display(), received.age.as_secs());
        return Health::Down(format!(
            "{path}: not renewed for {age} s: the guard has stopped or hangs"
        ));
    }
    match &received.content.trouble {
        Some(trouble) => Health::Down(format!("the guard reports: {trouble}")),
        None => Health::Up,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::snapshot::example::report;

    const PROC: &str = "/proc";
    const SOON: Duration = Duration::from_secs(30);

    fn write(directory: &Path, report: &Report, within: Duration) {
        let now = Moment::now(Path::new(PROC)).expect("now");
        exchange::write(directory, report, within, &now).expect("written");
    }

    fn look(directory: &Path, last: Option<&Arc<Guard>>) -> (Option<Arc<Guard>>, Health) {
        let Reported { guard, health } = read(directory, Path::new(PROC), last);
        (guard, health)
    }

    fn down(health: &Health) -> &str {
        let Health::Down(why) = health else { panic!("{health:?}") };
        why
    }

    #[test]
    fn a_guard_that_stopped_is_down_and_what_it_said_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let (none, health) = look(directory.path(), None);
        assert!(none.is_none() && down(&health).ends_with("no such file yet"), "{health:?}");
        write(directory.path(), &report(Vec::new()), SOON);
        let (first, health) = look(directory.path(), None);
        let first = first.expect("a report");
        assert_eq!(health, Health::Up);
        write(directory.path(), &report(Vec::new()), Duration::ZERO);
        #[expect(clippy::disallowed_methods, reason = "the clock counts milliseconds")]
        std::thread::sleep(Duration::from_millis(5));
        let (same, health) = look(directory.path(), Some(&first));
        assert!(Arc::ptr_eq(&same.expect("a report"), &first), "nothing is made anew");
        assert!(down(&health).ends_with("the guard has stopped or hangs"), "{health:?}");
        std::fs::write(exchange::path_of::<Report>(directory.path()), "{}").expect("written");
        let (kept, health) = look(directory.path(), Some(&first));
        assert!(Arc::ptr_eq(&kept.expect("a report"), &first));
        assert!(down(&health).contains("not of the form expected"), "{health:?}");
    }

    #[test]
    fn a_guard_in_trouble_is_down_in_its_own_words() {
        let directory = tempfile::tempdir().expect("a directory");
        let trouble = Some("/run/hugetlb-guard/writes: no space left".to_owned());
        write(directory.path(), &Report { trouble, ..report(Vec::new()) }, SOON);
        let (guard, health) = look(directory.path(), None);
        assert!(guard.is_some());
        assert_eq!(down(&health), "the guard reports: /run/hugetlb-guard/writes: no space left");
    }
}
