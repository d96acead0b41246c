//! `hugetlb-exporter serve`: the agent.

use std::process::ExitCode;

use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::flags::{Flags, LogLevel};
use super::{log, usage};
use crate::agent::{Agent, AgentError, Signals};
use crate::config::Config;

/// Serves until told to end.
pub(super) fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    if let Some(complaint) = flags.complaint() {
        return Ok(usage::refuse(complaint));
    }
    let _log = log::start(flags.log_level.unwrap_or(LogLevel::Info), flags.log_format)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = env!("HUGETLB_EXPORTER_REVISION"),
        "hugetlb-exporter starts"
    );
    raise_descriptor_limit();
    let config = Config::from(flags);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("can't start the runtime")?;
    let result = runtime.block_on(async {
        let agent = Agent::bind(config).await?;
        let mut signals = Signals::new()?;
        agent.run(signals.wait()).await
    });
    // A scan of a stuck log directory must not keep the process.
    runtime.shutdown_background();
    match result {
        Err(AgentError::WebConfig(error)) => Ok(usage::refuse(&error.to_string())),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

/// 512 connections and our own files need more than some defaults; the hard limit is the administrator's word.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, "can't raise the descriptor limit");
    }
}
