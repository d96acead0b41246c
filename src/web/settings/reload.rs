//! The web configuration over time: read anew when one of its files has changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::error::WebConfigError;
use super::files::Files;
use super::{Settings, Written};
use crate::worker::Worker;

/// How often it is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// A look that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is in force, and what keeps it fresh.
#[derive(Debug)]
pub struct WebConfig {
    settings: watch::Receiver<Arc<Settings>>,
    reload: Option<Reload>,
}

#[derive(Debug)]
struct Reload {
    path: PathBuf,
    settings: watch::Sender<Arc<Settings>>,
    /// Why the newest could not be used; nothing where it is in force.
    failure: watch::Sender<Option<String>>,
    /// The files of the last attempt, as they were read.
    attempted: Files,
    /// And as they were when last looked at.
    seen: Files,
}

impl WebConfig {
    /// Reads the file; without one there is neither TLS nor a password.
    pub fn load(path: Option<&Path>) -> Result<Self, WebConfigError> {
        let Some(path) = path else {
            let nothing = Settings::of(Written::default(), Path::new(""), &mut Files::default());
            let nothing = nothing.map_err(|wrong| wrong.of(Path::new("--web.config.file")))?;
            return Ok(Self { settings: watch::channel(Arc::new(nothing)).1, reload: None });
        };
        let (files, settings) = Settings::read(path);
        let settings = settings?;
        if settings.tls.is_none() && !settings.users.is_empty() {
            tracing::warn!(
                "passwords are asked for without TLS: they cross the network for all to read"
            );
        }
        let (sender, settings) = watch::channel(Arc::new(settings));
        let reload = Reload {
            path: path.to_owned(),
            settings: sender,
            failure: watch::Sender::new(None),
            seen: files.clone(),
            attempted: files,
        };
        Ok(Self { settings, reload: Some(reload) })
    }

    /// What is in force, now and later.
    pub(in crate::web) fn settings(&self) -> watch::Receiver<Arc<Settings>> {
        self.settings.clone()
    }

    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.settings.borrow().tls.is_some()
    }

    /// What clients must show, in words.
    pub fn authentication(&self) -> &'static str {
        self.settings.borrow().authentication()
    }

    /// Reads it anew from now on. Tells why it can't be, while it can't; nothing comes back where there is no file.
    pub fn keep_fresh(self) -> io::Result<Option<watch::Receiver<Option<String>>>> {
        let Some(reload) = self.reload else { return Ok(None) };
        let failure = reload.failure.subscribe();
        let worker = Worker::start("web-config")?;
        tokio::spawn(keep_looking(Arc::new(Mutex::new(reload)), worker, PATIENCE));
        Ok(Some(failure))
    }
}

/// Until nobody wants to know any more. The disk may be slow, so it is done off the network's thread.
async fn keep_looking(reload: Arc<Mutex<Reload>>, worker: Worker, patience: Duration) {
    let (settings, failure) = {
        let reload = lock(&reload);
        (reload.settings.clone(), reload.failure.clone())
    };
    while !settings.is_closed() {
        tokio::time::sleep(LOOK).await;
        let reload = Arc::clone(&reload);
        let Ok(turn) = worker.turn().await else { continue };
        let mut look = turn.run(move || lock(&reload).look());
        let ended = match timeout(patience, &mut look).await {
            Ok(ended) => ended,
            Err(_) => {
                let seconds = patience.as_secs();
                failure.send_replace(Some(format!(
                    "its files give no answer for {seconds} s; what was read before stays in force"
                )));
                look.await
            }
        };
        if let Err(error) = ended {
            failure.send_replace(Some(error.to_string()));
        }
    }
}

/// Every change of it is whole.
fn lock(reload: &Mutex<Reload>) -> MutexGuard<'_, Reload> {
    reload.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reload {
    /// Reads anew what has changed and has then stood still for a look: whoever writes needs a moment, for
    /// one file and all the more for a certificate and its key. What failed is tried again: what it lacks may lie
    /// outside its files.
    fn look(&mut self) {
        let now = self.attempted.now();
        let is_settled = now == self.seen;
        let is_wanted = now != self.attempted || self.failure.borrow().is_some();
        self.seen = now;
        if is_settled && is_wanted {
            self.attempt();
        }
    }

    fn attempt(&mut self) {
        let (files, settings) = Settings::read(&self.path);
        self.attempted = files;
        let before = Arc::clone(&self.settings.borrow());
        let settings = settings.and_then(|settings| {
            settings.may_follow(&before).map_err(|wrong| wrong.of(&self.path))?;
            Ok(settings)
        });
        match settings {
            Ok(settings) => {
                tracing::info!(
                    file = %self.path.display(),
                    authentication = settings.authentication(),
                    "the web configuration was read anew"
                );
                self.settings.send_replace(Arc::new(settings));
                self.failure.send_replace(None);
            }
            Err(error) => {
                self.failure
                    .send_replace(Some(format!("{error}; what was read before stays in force")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_has_changed_is_read_once_and_only_when_it_stands_still() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("web.yml");
        let write = |value: &str| {
            let text = format!("http_server_config: {{headers: {{X-XSS-Protection: '{value}'}}}}");
            fs::write(&path, text).expect("written");
        };
        write("1");
        let mut config = WebConfig::load(Some(&path)).expect("a configuration");
        let mut reload = config.reload.take().expect("a file");
        let mut look = || {
            reload.look();
            let is_new = config.settings.has_changed().expect("it is there");
            let settings = Arc::clone(&config.settings.borrow_and_update());
            let value = settings.headers.get("X-XSS-Protection").cloned();
            (is_new, value.expect("a header").to_str().expect("text").to_owned())
        };
        assert_eq!(look(), (false, "1".to_owned()));
        write("half");
        assert_eq!(look(), (false, "1".to_owned()), "somebody may be writing");
        write("the whole");
        assert_eq!(look(), (false, "1".to_owned()), "and was");
        assert_eq!(look(), (true, "the whole".to_owned()));
        assert_eq!(look(), (false, "the whole".to_owned()), "nothing has changed since");
    }
}
