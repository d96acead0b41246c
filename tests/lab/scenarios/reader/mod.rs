//! A reader that stays reads what a new one reads, whatever happened to the node meanwhile.
//!
//! Things happen at random, between polls and during them, by a seed that is printed where they end badly (`HUGETLB_LAB_SEED` repeats it). After each,
//! when it is over, a reader that has seen all of it is compared with one that is new.

mod node;

use std::time::{Duration, SystemTime};

use hugetlb_exporter::Roots;
use hugetlb_exporter::bench::{Cgroup as Shown, Failures, Hugetlb, Resident, Snapshot, read_once};

use super::Named;
use crate::Lab;
use crate::evidence;
use node::Node;

pub const BOTH: &[Named] = &[
    ("a_reader_that_stays_reads_what_a_new_one_reads", random),
    ("a_reader_that_nothing_notifies_reads_the_same", random_without_notifications),
];

/// Of a poll, as short as the schedule of looks allows: else everything would be looked at anew by itself.
const STEP: Duration = Duration::from_millis(3);

/// After this some is looked at anew, and what is above or below it is not.
const MEDIUM: Duration = Duration::from_secs(97);

/// So often a node is read whose figures change meanwhile: after the last time nothing may be left of that.
const FLICKERED: u32 = 20;

/// After this everything is looked at anew.
const LONG: Duration = Duration::from_secs(601);

fn random(lab: &Lab) {
    compare(lab, Resident::new(roots(lab)));
}

fn random_without_notifications(lab: &Lab) {
    compare(lab, Resident::without_notifications(roots(lab)));
}

fn compare(lab: &Lab, mut resident: Resident) {
    let seed = std::env::var("HUGETLB_LAB_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::try_from(now.as_nanos() & 0xffff_ffff).expect("32 bits") | 1
    });
    println!("seed {seed}");
    let steps = if evidence::is_long() { 4000 } else { 400 };
    let roots = roots(lab);
    let mut node = Node::new(lab, seed);
    let mut now = Duration::ZERO;
    resident.read(now);
    let mut happened = Vec::new();
    // What somebody still looks at, and what it showed.
    let mut held: Option<(Snapshot, String)> = None;
    for step in 0..steps {
        happened.push(node.happen());
        let long = step % 50 == 49;
        now += match long {
            true => LONG,
            false if node.in_one_of(6) => MEDIUM,
            false => STEP,
        };
        if node.in_one_of(4) {
            resident.heed_refusals();
        }
        if node.in_one_of(20) {
            node.flickering(|| {
                for _ in 0..FLICKERED {
                    resident.read(now);
                }
            });
        }
        let stays = resident.read(now);
        let new = read_once(roots.clone());
        if let Err(difference) = same(&stays, &new, long) {
            let last = happened.len().saturating_sub(12);
            panic!("seed {seed}, step {step}: {difference}\n{}", happened[last..].join("\n"));
        }
        if node.in_one_of(3) {
            let text = format!("{:?}", stays.cgroups);
            if let Some((snapshot, text)) = held.replace((stays, text)) {
                assert_eq!(format!("{:?}", snapshot.cgroups), text, "seed {seed}, step {step}");
            }
        }
    }
}

fn roots(lab: &Lab) -> Roots {
    Roots {
        proc: "/proc".into(),
        sys: "/sys".into(),
        cgroup: Some(lab.root.clone()),
        pod_logs: "/nonexistent".into(),
        container_logs: "/nonexistent".into(),
    }
}

/// What differs. Limits of cgroups that use nothing are read in their turn only, and what v1 keeps of the past too; v1's
/// refusals likewise where nothing was granted.
fn same(stays: &Snapshot, new: &Snapshot, all: bool) -> Result<(), String> {
    let paths = |snapshot: &Snapshot| -> Vec<String> {
        snapshot.cgroups.iter().map(|cgroup| cgroup.path.to_string()).collect()
    };
    if paths(stays) != paths(new) {
        return Err(format!("cgroups\n{:#?}\nare\n{:#?}", paths(stays), paths(new)));
    }
    let pools = |snapshot: &Snapshot| format!("{:?}", snapshot.pools);
    if pools(stays) != pools(new) {
        return Err(format!("{}\nis\n{}", pools(stays), pools(new)));
    }
    for (stays, new) in stays.cgroups.iter().zip(new.cgroups.iter()) {
        let path = &stays.path;
        let place = |cgroup: &Shown| (cgroup.inode, cgroup.parent);
        if place(stays) != place(new) || stays.owner != new.owner {
            return Err(format!("{stays:?}\nis\n{new:?}"));
        }
        for (stays, new) in stays.hugetlb.iter().zip(new.hugetlb.iter()) {
            let of = if all || is_used(new) { stays.clone() } else { masked(stays, new) };
            if of != *new {
                return Err(format!("{path}: {of:?}\nis\n{new:?}"));
            }
        }
    }
    let health = |snapshot: &Snapshot| -> Vec<String> {
        let sources =
            snapshot.sources.iter().filter(|source| source.source.to_string() != "inotify");
        sources.map(|source| format!("{source:?}")).collect()
    };
    if health(stays) == health(new) {
        Ok(())
    } else {
        Err(format!("{:?}\nis\n{:?}", health(stays), health(new)))
    }
}

fn is_used(hugetlb: &Hugetlb) -> bool {
    [hugetlb.usage, hugetlb.reserved]
        .iter()
        .any(|reading| reading.present().unwrap_or_default().0 > 0)
}

fn masked(stays: &Hugetlb, new: &Hugetlb) -> Hugetlb {
    let limits_known = (stays.limit, stays.reservation_limit) == (new.limit, new.reservation_limit);
    let was_granted = new.limit.is_grant() || new.reservation_limit.is_grant();
    let failures = match new.failures {
        // What a limit refused that is not known is not looked for.
        Failures::V1 { .. } if !limits_known || !was_granted => new.failures,
        _ => stays.failures,
    };
    Hugetlb {
        limit: new.limit,
        reservation_limit: new.reservation_limit,
        max_usage: new.max_usage,
        failures,
        ..stays.clone()
    }
}
