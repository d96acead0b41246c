//! `report --from`: asks the agents of several nodes for their views, and shows one report.
//!
//! Exit code 0: all answered, everything was looked at, and nothing will crash; 1: some did not answer or could not look at
//! everything, or no such pod is shown by any; 2: something will crash on one of those that answered.

mod config;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::ACCEPT;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::flags::{Output, Report};
use super::report::{WILL_CRASH, style};
use super::selection::Selection;
use super::terminal::{Waiting, print, width};
use super::usage;
use crate::client::{Most, Origin, Peer, SendError, authorized};
use crate::fleet::{Fleet, NodeReport};
use crate::render::report::{Layout, fleet_json, fleet_table};
use config::Client;

/// So many are asked at a time.
const AT_ONCE: usize = 32;

/// One has so long to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of them have so long.
const DEADLINE: Duration = Duration::from_secs(60);

/// 250 pods in all sizes are some megabytes.
const MOST: Most = Most { success: 8 << 20, other: 64 << 10 };

/// All answers together.
const MOST_TOGETHER: usize = 256 << 20;

const PATH: &str = "/api/v1/view";

/// Asks, and prints what there is.
pub(super) fn run(report: &Report) -> anyhow::Result<ExitCode> {
    if matches!(report.output, Output::Prometheus) {
        return Ok(usage::refuse(
            "--output prometheus is of one node: expected --output table or json with --from",
        ));
    }
    let client = match Client::load(report.from_config.as_deref()) {
        Ok(client) => client,
        Err(error) => return Ok(usage::refuse(&error.to_string())),
    };
    let waiting = Waiting::until("asking the nodes");
    let mut fleet = ask_all(&report.from, client)?;
    drop(waiting);
    let selection =
        Selection { namespace: report.namespace.as_deref(), pod: report.pod.as_deref() };
    fleet.keep_only(selection.namespace, selection.pod);
    let whom = selection.described();
    if let Some(complaint) = complaint(&fleet, &whom) {
        bail!(complaint);
    }
    let text = match report.output {
        Output::Json => fleet_json(&fleet),
        Output::Table | Output::Prometheus => {
            fleet_table(&fleet, Layout { style: style(report.color), width: width(), whom: &whom })
        }
    };
    print(&text)?;
    if fleet.will_crash() {
        return Ok(ExitCode::from(WILL_CRASH));
    }
    let (unanswered, failures) = (fleet.unanswered.len(), fleet.failures().len());
    if unanswered + failures > 0 {
        let asked = fleet.reports.len() + unanswered;
        bail!(
            "could not look at everything: of {asked} nodes {unanswered} did not answer, and of the others {failures} sources failed"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// That no node shows such a pod, where one was asked for.
fn complaint(fleet: &Fleet, whom: &str) -> Option<String> {
    let mut pods = fleet.reports.iter().flat_map(|(_, it)| it.pods().chain(it.containers()));
    if whom.is_empty() || pods.next().is_some() {
        return None;
    }
    let silent = match fleet.unanswered.len() {
        0 => String::new(),
        number => format!("; {number} did not answer"),
    };
    Some(format!(
        "no pod{whom} holds, was granted or was refused huge pages on the nodes asked{silent}"
    ))
}

fn ask_all(urls: &[Origin], client: Client) -> anyhow::Result<Fleet> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime =
        builder.enable_io().enable_time().build().context("can't start asking the nodes")?;
    let fleet = runtime.block_on(ask_in_parallel(urls, Arc::new(client)));
    // A name server that does not answer must not keep the process.
    runtime.shutdown_background();
    Ok(fleet)
}

async fn ask_in_parallel(urls: &[Origin], client: Arc<Client>) -> Fleet {
    let (places, deadline) = (Arc::new(Semaphore::new(AT_ONCE)), Instant::now() + DEADLINE);
    let mut asking = JoinSet::new();
    for (number, url) in urls.iter().cloned().enumerate() {
        let (places, client) = (Arc::clone(&places), Arc::clone(&client));
        asking.spawn(async move {
            let asked = async {
                let _place = places.acquire().await;
                let until = deadline.min(Instant::now() + PATIENCE);
                timeout_at(until, ask(&url, &client)).await.unwrap_or_else(|_| {
                    Err(format!("no whole answer within {} s", PATIENCE.as_secs()))
                })
            };
            let answer = timeout_at(deadline, asked).await.unwrap_or_else(|_| {
                Err(format!("it was not its turn within {} s", DEADLINE.as_secs()))
            });
            (number, url, answer)
        });
    }
    let (mut answers, mut together) = (Vec::new(), 0_usize);
    while let Some(asked) = asking.join_next().await {
        // A panic is logged by its hook, and costs one answer.
        let Ok((number, url, answer)) = asked else { continue };
        let report = answer.and_then(|body| {
            together = together.saturating_add(body.len());
            if together > MOST_TOGETHER {
                return Err(format!("all answers together are larger than {MOST_TOGETHER} bytes"));
            }
            NodeReport::read(&body).map_err(|error| error.to_string())
        });
        answers.push((number, (url.to_string(), report)));
    }
    answers.sort_by_key(|(number, _)| *number);
    Fleet::of(answers.into_iter().map(|(_, answer)| answer))
}

/// One agent's view, as bytes; or why there is none.
async fn ask(url: &Origin, client: &Arc<Client>) -> Result<Vec<u8>, String> {
    let (origin, shared) = (url.clone(), Arc::clone(client));
    let peer = spawn_blocking(move || Peer::of(&origin, shared.tls())).await;
    let peer = peer.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let request = peer.request(Method::GET, PATH).header(ACCEPT, "application/json");
    let request = authorized(request, client.authorization())
        .body(Full::new(Bytes::new()))
        .map_err(|error| SendError::Request(error).to_string())?;
    let reply = peer.send(request, MOST).await.map_err(|error| error.to_string())?;
    match reply.status.as_u16() {
        200 => reply.body.map_err(|error| error.to_string()),
        401 => Err("401 Unauthorized; expected a password or a token (--from.config)".to_owned()),
        403 => Err("403 Forbidden; expected to be let in (--from.config)".to_owned()),
        status => Err(format!("{status}; expected 200 OK from a hugetlb-exporter's {PATH}")),
    }
}
