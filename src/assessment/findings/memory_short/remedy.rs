//! What to do about a limit of memory that is too low for huge pages.

use super::{Facts, Subject};
use crate::assessment::MemoryOutlook;
use crate::identity::Owner;
use crate::snapshot::MemoryAccounting;
use crate::units::Bytes;

/// What to do, and the limit that would be enough.
pub(in crate::assessment::findings) struct Remedy {
    pub(super) text: String,
    pub(super) limit: Bytes,
}

impl Remedy {
    pub(super) fn of(
        facts: &Facts<'_>,
        index: usize,
        subject: &Subject,
        outlook: &MemoryOutlook,
    ) -> Option<Self> {
        let (limit, needed) = (outlook.with_huge_pages()?, outlook.needed()?);
        let enough =
            format!("{limit}, its {} and its huge pages ({needed} is the least)", outlook.limit);
        let set = match subject {
            Subject::Tenant(who) if who.container.is_empty() => {
                format!("Set memory of its containers to {enough} in all")
            }
            Subject::Tenant(who) => {
                format!("Set memory of container {} to {enough}", who.container)
            }
            Subject::Cgroup(path) => format!("Raise memory.max of {path} to {enough}"),
            Subject::Node => return None,
        };
        let text = format!("{set}, or let it map less. {}", Self::at_once(facts, index));
        Some(Self { text, limit })
    }

    /// What helps at once, also who hangs already: higher limits here and above, or a remount.
    pub(in crate::assessment::findings) fn at_once(facts: &Facts<'_>, index: usize) -> String {
        let MemoryAccounting::On(mount) = &facts.snapshot.accounting else { return String::new() };
        let limits = chain(facts, index).into_iter().map(|(path, limit)| {
            format!("echo {} > {}{path}/memory.max", limit.0, mount.on_the_host())
        });
        let limits: Vec<_> = limits.collect();
        format!(
            "At once and without a restart, on the node: {}; or, to have no huge pages count as memory until the next boot: {}",
            limits.join("; "),
            mount.remount_without_accounting(),
        )
    }
}

/// The limits here and above, up to the pod's, that leave too little, each with what would be enough: as much more as here.
fn chain(facts: &Facts<'_>, index: usize) -> Vec<(String, Bytes)> {
    let here = facts.memory.get(index).and_then(Option::as_ref);
    let more = here.and_then(|here| Some(here.with_huge_pages()?.less(here.limit)));
    let more = more.unwrap_or_default();
    let (mut limits, mut next) = (Vec::new(), Some(index));
    while let Some(cgroup) = next.and_then(|index| facts.snapshot.cgroups.get(index)) {
        let outlook = next.and_then(|index| facts.memory.get(index)).and_then(Option::as_ref);
        let tight = outlook.filter(|outlook| outlook.held.is_some());
        limits.extend(
            tight.map(|tight| {
                (cgroup.path.to_string(), Bytes(tight.limit.0.saturating_add(more.0)))
            }),
        );
        next = match &*cgroup.owner {
            Owner::Container(_) | Owner::InsideContainer => cgroup.parent,
            _ => None,
        };
    }
    limits
}
