//! A container asks for more than it may map.

mod again;

use super::{
    Facts, Finding, REQUIRED_LIMIT, Rule, Severity, Subject, capital, count, name_once, resource,
    silent_fallback, times,
};
use crate::assessment::{ContainerState, Identity, PodState, TenantSize};
use crate::history::RefusedEnds;
use crate::identity::ContainerId;
use crate::units::Bytes;
use again::{Again, has_settled};

pub(super) const RULE: Rule = Rule {
    name: "mapping-refused",
    severity: Severity::Critical,
    summary: "A container asked for more huge pages than it may map, was refused, and ends and starts over it again and again.",
    foretells: "It does not come up: PostgreSQL with `huge_pages=on` says `could not map anonymous shared memory: Cannot allocate memory` and exits, and the kubelet starts it again (CrashLoopBackOff). On kubelet 1.29 and newer this is what too small a limit looks like, since a pod's reservation limit equals its limit.",
    evidence: "A refusal was counted (v2: `hugetlb.*.events`, max; v1: `rsvd.failcnt`) that was no refused touch, and within 30 seconds the container was gone, twice at least in different instances with no more than 15 minutes between them, or once and its log link or the kubelet tells of an instance that ended before. Held for 15 minutes after the last, or until an instance has lived for a minute. Of a container that was refused and lives on under a grant the severity is `info`: it runs without what it asked for. Where nothing was granted and it lives on, see `refused-without-grant`.",
    false_alarms: "A container whose program tries huge pages, goes on without and ends within 30 seconds for another reason, again and again (a short job under `restartPolicy: Always`). A touch without a reservation that kills at once (MAP_NORESERVE; a child that writes to its parent's pages) looks the same where the container was never seen holding pages: it is reported as a refused mapping. A container that lives shorter than a poll is counted with its pod; it is named where its log link or the kubelet tells that no other of the pod's is starting again. On v1 it is not seen at all where the limit that refuses is its own (runc 1.1.10 and newer, containers limited), since that counter goes with it.",
    remedy: "Ask the program what it needs (`postgres -C shared_memory_size_in_huge_pages`) and grant the container that, or let it go on without (`huge_pages=try`). Where a sibling holds the rest of the pod's limit, grant that one what it maps.",
    find,
};

fn find(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    name_once(facts, RULE.name, finding, findings);
}

fn finding(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<Finding> {
    let now = facts.history.now();
    let refusals = size.refusals.present()?;
    // Instances of a container that no poll has seen are counted with its pod.
    let unseen = ends(size).filter(|_| who.container.is_empty());
    let unseen = unseen.and_then(|_| Again::of(facts, who));
    let named = unseen.as_ref().map_or(who, |it| &it.identity);
    let refused = Refused::of(facts, (who, named), size);
    let asked = format!(
        "{} asked for more {} pages than it may map",
        capital(&named.described()),
        size.page_size
    );
    let (severity, what) = if let Some(ends) = loops(facts, who, size) {
        let since = now.saturating_sub(ends.first).as_secs() / 60;
        let often = match ends.count {
            1 => String::new(),
            ends => format!(" {} in {}", times(ends.into()), count(since.max(1), "minute")),
        };
        let what = format!(
            "was refused {}, and ended over it{often}: it restarts and does not come up",
            refused.by,
        );
        (Severity::Critical, what)
    } else {
        let age = now.saturating_sub(refusals.last_reservation?);
        if age > facts.thresholds.refused_for || is_told_otherwise(facts, who, size) {
            return None;
        }
        let goes_on = match who.instance {
            None if !named.container.is_empty() => "and has ended since",
            _ => "and goes on without them",
        };
        let what = format!(
            "was refused {} ({}), {goes_on}",
            refused.by,
            count(refusals.reservations, "refusal")
        );
        (Severity::Info, what)
    };
    let mut figures =
        vec![("refusals", refusals.reservations + refusals.ungranted + refusals.ambiguous)];
    figures.extend(refused.limit.map(|limit| ("limit_bytes", limit.0)));
    figures.extend(refused.held.map(|held| ("committed_bytes", held.0)));
    let (remedy, required) = remedy(named, size, &refused);
    figures.extend(required.map(|required| (REQUIRED_LIMIT, required.0)));
    let subject = refused.culprit.as_ref().map_or(named, |it| &it.identity);
    let subject = Subject::Tenant(subject.clone());
    let sentence = format!("{asked}, {what}.");
    Some(Finding { severity, ..RULE.finding(subject, size.page_size, sentence, remedy, &figures) })
}

/// How often it ended over a refusal, if it does so again and again and has not come up since.
pub(super) fn loops(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> Option<RefusedEnds> {
    let now = facts.history.now();
    let unseen = only_container(facts, who).and_then(|pod| of_size(pod, size)).and_then(ends);
    let mut ends = RefusedEnds::of_one(ends(size), unseen)?;
    let again = Again::of(facts, who);
    let id = who.instance.as_ref().and_then(|id| ContainerId::parse(id));
    let own = id.and_then(|id| facts.history.living(&id));
    let living = own.or_else(|| again.as_ref()?.living);
    let has_settled = living.is_some_and(|living| has_settled(facts, living));
    if now.saturating_sub(ends.last) > facts.thresholds.refused_for || has_settled {
        return None;
    }
    let refusals = size.refusals.present()?;
    let newest =
        refusals.last_reservation.max(refusals.last_ungranted).max(refusals.last_ambiguous);
    if own.is_some() && newest > Some(ends.last) {
        ends.count += 1;
    }
    let restarts = own.and_then(|it| it.name()).map(|(_, restarts)| restarts);
    let ended = restarts.max(again.map(|it| it.ended));
    (ends.count >= 2 || ended >= Some(2)).then_some(ends)
}

fn ends(size: &TenantSize) -> Option<RefusedEnds> {
    size.refused_ends.as_deref().copied()
}

/// The pod of a container that is its only one: instances that were never seen were its.
fn only_container<'a>(facts: &Facts<'a>, who: &Identity) -> Option<&'a PodState> {
    let is_alone = facts.assessment.containers_of(&who.uid).len() == 1;
    facts.pod(who).filter(|_| is_alone && !who.container.is_empty())
}

fn of_size<'a>(pod: &'a PodState, size: &TenantSize) -> Option<&'a TenantSize> {
    pod.sizes.iter().find(|of| of.page_size == size.page_size)
}

/// Whether its pod's idle grant says it already.
fn is_told_otherwise(facts: &Facts<'_>, who: &Identity, size: &TenantSize) -> bool {
    let pod = facts.pod(who);
    pod.is_some_and(|pod| {
        of_size(pod, size).is_some_and(|size| silent_fallback::idle_for(facts, pod, size).is_some())
    })
}

/// Which limit refused it.
struct Refused<'a> {
    /// In words.
    by: String,
    limit: Option<Bytes>,
    /// What is held under that limit.
    held: Option<Bytes>,
    /// A sibling that took more than it was granted.
    culprit: Option<&'a ContainerState>,
}

impl<'a> Refused<'a> {
    /// Whom the figures are of, and who it was.
    fn of(facts: &Facts<'a>, (who, named): (&Identity, &Identity), size: &TenantSize) -> Self {
        let pod = facts.pod(who).and_then(|pod| of_size(pod, size));
        let own = size.limit.least(size.reservation_limit).finite();
        let of_pod = pod.and_then(|pod| pod.limit.least(pod.reservation_limit).finite());
        if !who.container.is_empty() && own.is_some() && (of_pod.is_none() || own <= of_pod) {
            let by = format!("by its own limit of {}", own.unwrap_or_default());
            return Self { by, limit: own, held: Some(size.held()), culprit: None };
        }
        let Some((pod, limit)) = pod.zip(of_pod) else {
            return Self {
                by: "by a limit above it".to_owned(),
                limit: None,
                held: None,
                culprit: None,
            };
        };
        let holder = holder(facts, named, size);
        let took = holder.and_then(|(holder, held)| {
            let granted = granted(facts, holder, size)?;
            (held > granted).then_some((holder, granted))
        });
        let by = match (holder, took) {
            (Some((holder, held)), Some((_, granted))) => format!(
                "by its pod's limit of {limit}, of which container {} holds {held} and was granted {granted}",
                holder.identity.container
            ),
            (Some((holder, held)), None) => format!(
                "by its pod's limit of {limit}, of which container {} holds {held}",
                holder.identity.container
            ),
            (None, _) if named.container.is_empty() => format!("by its limit of {limit}"),
            (None, _) => format!("by its pod's limit of {limit}"),
        };
        let culprit = took.map(|(holder, _)| holder);
        Self { by, limit: Some(limit), held: Some(pod.held()), culprit }
    }
}

/// The sibling that holds most.
fn holder<'a>(
    facts: &Facts<'a>,
    who: &Identity,
    size: &TenantSize,
) -> Option<(&'a ContainerState, Bytes)> {
    let siblings = facts.assessment.containers_of(&who.uid).iter();
    let siblings = siblings.filter(|it| it.identity.container != who.container);
    let held = siblings.filter_map(|sibling| {
        let of = sibling.sizes.iter().find(|of| of.page_size == size.page_size)?;
        Some((sibling, of.held()))
    });
    held.filter(|(_, held)| *held > Bytes::ZERO).max_by_key(|(_, held)| *held)
}

/// What a container was granted: its own limit, or what the kubelet says of its spec.
fn granted(facts: &Facts<'_>, container: &ContainerState, size: &TenantSize) -> Option<Bytes> {
    let of = container.sizes.iter().find(|of| of.page_size == size.page_size)?;
    let who = &container.identity;
    of.limit
        .finite()
        .or_else(|| Some(facts.declared_pod(who)?.asked(&who.container, size.page_size)))
}

fn remedy(who: &Identity, size: &TenantSize, refused: &Refused<'_>) -> (String, Option<Bytes>) {
    let resource = resource(size.page_size);
    if let Some(culprit) = refused.culprit {
        let name = &culprit.identity.container;
        let held = culprit.sizes.iter().find(|of| of.page_size == size.page_size);
        let held = held.map(TenantSize::held).unwrap_or_default();
        return (
            format!("Set {resource} of container {name} to at least {held}, or make it map less."),
            Some(held),
        );
    }
    let of = match &*who.container {
        "" => String::new(),
        container => format!(" of container {container}"),
    };
    let required = Some(size.peak_reserved).filter(|peak| Some(*peak) > refused.limit);
    let text = match required {
        Some(required) => format!(
            "Set {resource}{of} to at least {required}, which it has had mapped, or make it map less."
        ),
        None => format!(
            "Ask it what it needs (PostgreSQL: postgres -C shared_memory_size_in_huge_pages -D its data directory tells it in pages) and set {resource}{of} to that, or let it go on without (huge_pages=try, or off)."
        ),
    };
    (text, required)
}

#[cfg(test)]
mod tests;
