//! `hugetlb-exporter report`: one look at this node. Exit code 0: nothing will crash; 1: it could not look,
//! or not at all cgroups; 2: something will.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::flags::{Colour, Flags, Output, Report};
use super::terminal::{Waiting, print, wants_colour};
use crate::agent::{self, Looking};
use crate::assessment::Finding;
use crate::config::Config;
use crate::render::metrics;
use crate::render::report::{self, Style};
use crate::snapshot::Source;
use crate::view::View;

/// Long enough for what was read in the middle of a change to be over.
const APART: Duration = Duration::from_millis(500);

/// Something will crash.
const WILL_CRASH: u8 = 2;

/// Looks, and prints what there is.
pub(super) fn run(report: &Report, flags: Flags) -> anyhow::Result<ExitCode> {
    let config = Config::from(flags);
    let waiting = Waiting::until("looking at this node");
    let mut view = agent::look(Looking {
        node: config.node(),
        roots: config.roots,
        thresholds: config.thresholds,
        kubelet: config.kubelet.map(|kubelet| kubelet.endpoint),
        at_mappings: config.mappings.is_some(),
        apart: APART,
    });
    drop(waiting);
    view.assessment.keep_only(report.namespace.as_deref(), report.pod.as_deref());
    let text = match report.output {
        Output::Table => report::table(&view, style(report.color)),
        Output::Json => report::json(&view),
        Output::Prometheus => metrics::encode(&view),
    };
    print(&text)?;
    let worst = view.assessment.findings.iter().any(Finding::foretells_a_crash);
    Ok(match (worst, saw_all_cgroups(&view)) {
        (true, _) => ExitCode::from(WILL_CRASH),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

fn style(colour: Colour) -> Style {
    match colour {
        Colour::Always => Style::Coloured,
        Colour::Auto if wants_colour(&io::stdout()) => Style::Coloured,
        Colour::Auto | Colour::Never => Style::Plain,
    }
}

/// Whether everything was seen that may crash: of a pod that could not be looked at nothing is known.
fn saw_all_cgroups(view: &View) -> bool {
    let mut sources = view.snapshot.sources.iter();
    sources.any(|health| health.source == Source::Cgroups && health.is_up())
}
