//! What a glance is for: one line, when it was true, and what could not be seen.

use std::collections::BTreeSet;
use std::fmt;

use maud::{Markup, html};

use super::exporter::moment;
use super::{REFRESH_SECONDS, Refresh, STILL};
use crate::assessment::{Finding, SHORTFALL, Severity, Subject};
use crate::render::figures::nothing_found;
use crate::snapshot::SourceHealth;
use crate::units::Bytes;
use crate::view::View;

/// The page in one line: who is worst off, and what of it.
pub(super) struct Headline {
    /// A pod's name or a cgroup's path, where it is about one.
    who: Option<String>,
    what: String,
}

impl Headline {
    /// Less than "nothing critical" is said only where nothing at all was found: a warning may be that it can't be told.
    pub(super) fn of(view: &View) -> Self {
        let findings = &view.assessment.findings;
        let all_seen = view.snapshot.sources.iter().all(SourceHealth::is_up);
        let plain = |what: &str| Self { who: None, what: what.to_owned() };
        let critical = findings.iter().filter(|finding| finding.severity == Severity::Critical);
        let critical: Vec<&Finding> = critical.collect();
        let crashes =
            critical.iter().copied().filter(|it| it.foretells_a_crash() || it.tells_of_a_hang());
        let crashes: Vec<&Finding> = crashes.collect();
        match (crashes.first(), critical.first()) {
            (Some(worst), _) => Self::about(worst, &will_end(worst), &crashes),
            (None, Some(worst)) if who(worst).is_some() => {
                Self::about(worst, &was_refused(worst), &critical)
            }
            (None, Some(_)) => plain("Something critical was found."),
            (None, None) if findings.is_empty() => plain(nothing_found(all_seen)),
            (None, None) if all_seen => plain("Nothing critical was found."),
            (None, None) => plain("Nothing critical was found in what could be seen."),
        }
    }

    fn about(worst: &Finding, what: &str, all: &[&Finding]) -> Self {
        // A pod and its containers are one.
        let named: BTreeSet<String> = all.iter().filter_map(|finding| who(finding)).collect();
        let others = match named.len().saturating_sub(1) {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        Self { who: who(worst), what: format!("{what}{others}") }
    }
}

fn who(finding: &Finding) -> Option<String> {
    match &finding.subject {
        Subject::Tenant(who) => Some(who.pod_name()),
        Subject::Cgroup(path) => Some(path.clone()),
        Subject::Node => None,
    }
}

fn pages(finding: &Finding) -> String {
    finding.page_size.map_or_else(|| "huge pages".to_owned(), |size| format!("{size} pages"))
}

fn will_end(finding: &Finding) -> String {
    let short = finding.figures.iter().find(|figure| figure.name == SHORTFALL);
    let short = short.map_or(Bytes::ZERO, |figure| Bytes(figure.value));
    if finding.foretells_a_crash() {
        format!(" will crash: {short} of {} too little", pages(finding))
    } else if finding.foretells_a_hang() {
        format!(" will hang: {short} of memory too little for its huge pages")
    } else {
        " hangs: its memory has no room for its huge pages".to_owned()
    }
}

fn was_refused(finding: &Finding) -> String {
    format!(" was refused {}: a process was killed", pages(finding))
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.who.as_deref().unwrap_or_default(), self.what)
    }
}

pub(super) fn section(view: &View, headline: &Headline, refresh: Refresh) -> Markup {
    let findings = &view.assessment.findings;
    let worst = findings.iter().map(|finding| finding.severity).min();
    html! {
        section .summary .(worst.map_or_else(|| "fine".to_owned(), |worst| worst.to_string())) {
            h1 { @if let Some(who) = &headline.who { bdi { (who) } } (headline.what) }
            p {
                @for (severity, words) in [
                    (Severity::Critical, "critical"),
                    (Severity::Warning, "to look into"),
                    (Severity::Info, "worth knowing"),
                ] {
                    @let number = findings.iter().filter(|finding| finding.severity == severity).count();
                    @if number > 0 { span .count { (number) " " (words) } " " }
                }
                span { "Seen " (moment(view.snapshot.taken.wall)) }
            }
            p .refresh {
                "Refresh: "
                (choice("./", &format!("every {REFRESH_SECONDS} s"), refresh == Refresh::On)) " or "
                (choice(&format!("?{STILL}"), "never", refresh == Refresh::Off))
            }
            @if view.snapshot.sources.iter().any(|source| !source.is_up()) {
                p { "Not seen:" }
                ul {
                    @for source in &view.snapshot.sources {
                        @if let Some(why) = source.failure() {
                            li { (source.source) ": " bdi { (why) } }
                        }
                    }
                }
            }
        }
    }
}

fn choice(to: &str, words: &str, is_chosen: bool) -> Markup {
    html! { a href=(to) aria-current=[is_chosen.then_some("true")] { (words) } }
}
