//! Who got SIGBUS, on the wire.

use std::sync::Arc;

use serde::Serialize;

use super::seconds;
use crate::assessment::Killed;

#[derive(Serialize)]
pub(super) struct KilledReport {
    timestamp_seconds: Option<f64>,
    namespace: Arc<str>,
    pod: Arc<str>,
    container: Arc<str>,
    uid: Arc<str>,
    pid: u32,
    comm: Arc<str>,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagesize: Option<String>,
}

pub(super) fn killed(killed: &Killed) -> KilledReport {
    let who = &killed.who;
    KilledReport {
        timestamp_seconds: seconds(killed.at),
        namespace: Arc::clone(&who.namespace),
        pod: Arc::clone(&who.pod),
        container: Arc::clone(&who.container),
        uid: Arc::clone(&who.uid),
        pid: killed.pid,
        comm: Arc::clone(&killed.comm),
        address: format!("{:#x}", killed.address),
        cause: killed.cause.map(crate::history::Cause::name),
        pagesize: killed.page_size.map(|size| size.to_string()),
    }
}
