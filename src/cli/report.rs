//! `hugetlb-exporter report`: one look at this node. Exit code 0: everything was looked at, and nothing will crash; 1: not
//! everything could be looked at, or no such pod is here; 2: something will crash.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::flags::{Colour, Flags, Output, Report};
use super::selection::Selection;
use super::terminal::{Waiting, print, wants_colour, width};
use crate::agent::{self, Looking};
use crate::assessment::Finding;
use crate::config::Config;
use crate::render::metrics;
use crate::render::report::{self, Layout, Style};

/// Long enough for what was read in the middle of a change to be over.
const APART: Duration = Duration::from_millis(500);

/// Something will crash.
pub(super) const WILL_CRASH: u8 = 2;

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
        guard: config.guard,
        witness: config.witness,
        lister: config.lister,
        apart: APART,
    });
    drop(waiting);
    let selection =
        Selection { namespace: report.namespace.as_deref(), pod: report.pod.as_deref() };
    if let Some(complaint) = selection.complaint(&view.snapshot) {
        bail!(complaint);
    }
    Arc::make_mut(&mut view.assessment).keep_only(selection.namespace, selection.pod);
    let text = match report.output {
        Output::Table => {
            let (style, whom) = (style(report.color), selection.described());
            report::table(&view, Layout { style, width: width(), whom: &whom })
        }
        Output::Json => report::json(&view),
        Output::Prometheus => metrics::encode(&view),
    };
    print(&text)?;
    let ends = |it: &Finding| it.foretells_a_crash() || it.tells_of_a_hang();
    if view.assessment.findings.iter().any(ends) {
        return Ok(ExitCode::from(WILL_CRASH));
    }
    let unseen: Vec<_> =
        view.snapshot.failures().map(|(source, why)| format!("{source}: {why}")).collect();
    if !unseen.is_empty() {
        bail!("could not look at everything: {}", unseen.join("; "));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether to write colours.
pub(super) fn style(colour: Colour) -> Style {
    match colour {
        Colour::Always => Style::Coloured,
        Colour::Auto if wants_colour(&io::stdout()) => Style::Coloured,
        Colour::Auto | Colour::Never => Style::Plain,
    }
}
