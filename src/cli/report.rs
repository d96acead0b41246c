//! `hugetlb-exporter report`: one look at this node.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

use super::flags::{Flags, Output, Report};
use crate::agent;
use crate::config::Config;
use crate::render::{metrics, report};
use crate::snapshot::Source;
use crate::view::View;

/// Looks, and prints what there is.
pub(super) fn run(report: &Report, flags: Flags) -> anyhow::Result<ExitCode> {
    let config = Config::from(flags);
    let view = agent::look_once(config.roots, config.selection);
    let text = match report.output {
        Output::Table => report::table(&view),
        Output::Json => report::json(&view),
        Output::Prometheus => metrics::encode(&view),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("can't write the report");
        }
        _ => {}
    }
    Ok(if saw_anything(&view) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether there was anything to look at: a node without pools and without a hierarchy tells nothing.
fn saw_anything(view: &View) -> bool {
    let up = |source| {
        view.snapshot.sources.iter().any(|health| health.source == source && health.is_up())
    };
    up(Source::Pools) || up(Source::Cgroups)
}
