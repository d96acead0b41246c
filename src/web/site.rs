//! What the server has to show.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::exposition::Exposition;
use super::settings::{Settings, WebConfig};
use crate::config::TelemetryPath;
use crate::render::{metrics, page, report};
use crate::view::View;
use crate::worker::Worker;

/// What there is to serve.
#[derive(Debug)]
pub struct Site {
    /// The newest view.
    pub view: watch::Receiver<Option<Arc<View>>>,
    /// Where its metrics are.
    pub telemetry_path: TelemetryPath,
    /// When the agent started; views count their age from then.
    pub started: Instant,
    /// How often a view is due.
    pub poll_interval: Duration,
    /// True once the end has begun.
    pub ending: watch::Receiver<bool>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) metrics: Exposition,
    pub(super) report: Exposition,
    pub(super) incidents: Exposition,
    pub(super) page: Exposition,
    /// The page that stands still, which says so.
    pub(super) still_page: Exposition,
    /// Notified of each request for the page or the metrics.
    pub(super) requested: Arc<Notify>,
}

impl Site {
    /// A site of these, with the threads that encode it.
    pub fn new(
        view: watch::Receiver<Option<Arc<View>>>,
        telemetry_path: TelemetryPath,
        started: Instant,
        poll_interval: Duration,
        ending: watch::Receiver<bool>,
        web_config: &WebConfig,
    ) -> io::Result<Self> {
        // Whoever asks for pages does not delay a scrape.
        let (scrapes, pages) = (Worker::start("metrics")?, Worker::start("pages")?);
        let page = |refresh| {
            let path = telemetry_path.as_str().to_owned();
            Exposition::new(&pages, move |view| page::status(view, &path, refresh))
        };
        let (page, still_page) = (page(page::Refresh::On), page(page::Refresh::Off));
        Ok(Self {
            view,
            telemetry_path,
            started,
            poll_interval,
            ending,
            settings: web_config.settings(),
            metrics: Exposition::in_pieces(&scrapes, metrics::encode_in_pieces),
            report: Exposition::new(&pages, report::json),
            incidents: Exposition::new(&pages, report::incidents),
            page,
            still_page,
            requested: Arc::default(),
        })
    }

    /// One that notifies this of each request for the page or the metrics.
    pub fn telling(self, requested: Arc<Notify>) -> Self {
        Self { requested, ..self }
    }
}
