//! `--web.config.file`: TLS, passwords and headers, written as for Prometheus' exporter-toolkit.

mod client_auth;
mod error;
mod file;
mod files;
mod headers;
mod pem;
mod reload;
#[cfg(test)]
mod tests;
mod tls;
mod users;

use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderMap;

pub use error::WebConfigError;
use error::Wrong;
use file::Written;
use files::Files;
pub use reload::WebConfig;
pub(super) use tls::Tls;
use users::Users;

/// What is in force.
#[derive(Debug)]
pub struct Settings {
    /// How TLS is spoken; nothing where it is not.
    pub(super) tls: Option<Tls>,
    /// Who may see the pages.
    pub(super) users: Arc<Users>,
    /// What every answer has in its head.
    pub(super) headers: HeaderMap,
}

impl Settings {
    /// What a file says, and which files that hangs on, whether it can be used or not.
    fn read(path: &Path) -> (Files, Result<Self, WebConfigError>) {
        let mut files = Files::default();
        let settings = files
            .read(path)
            .map_err(|error| {
                Wrong::whole(format!("can't be read: {error}"), "a YAML file (--web.config.file)")
            })
            .and_then(|bytes| Written::parse(&bytes))
            .and_then(|written| {
                let directory = path.parent().unwrap_or(Path::new(""));
                Self::of(written, directory, &mut files)
            });
        (files, settings.map_err(|wrong| wrong.of(path)))
    }

    /// Of what is written. Relative paths begin where the file is.
    fn of(written: Written, directory: &Path, files: &mut Files) -> Result<Self, Wrong> {
        let http = written.http_server_config.unwrap_or_default();
        Ok(Self {
            tls: written
                .tls_server_config
                .map(|written| tls::tls(&written, directory, files))
                .transpose()?,
            users: Arc::new(Users::of(&written.basic_auth_users.unwrap_or_default())?),
            headers: headers::headers(http.headers.unwrap_or_default())?,
        })
    }

    /// Whether these may take the place of others while clients are served. A file that is just being written
    /// may say nothing at all, and must not open what was closed.
    fn may_follow(&self, before: &Self) -> Result<(), Wrong> {
        let restart = "it as at the start; restart to change that";
        match (&before.tls, &self.tls) {
            (Some(_), None) => Err(Wrong::key("tls_server_config", "it is gone", restart)),
            (None, Some(_)) => Err(Wrong::key("tls_server_config", "it is new", restart)),
            _ if self.users.is_empty() && !before.users.is_empty() => {
                let expected = "one at least, as before; restart to serve without";
                Err(Wrong::key("basic_auth_users", "they are gone", expected))
            }
            _ => Ok(()),
        }
    }

    /// What clients must show, in words.
    fn authentication(&self) -> &'static str {
        let certificate = self.tls.as_ref().is_some_and(|tls| tls.demands_certificate);
        match (!self.users.is_empty(), certificate) {
            (true, true) => "password and certificate",
            (true, false) => "password",
            (false, true) => "certificate",
            (false, false) => "none",
        }
    }
}
