//! The network edge: HTTP/1.1 for Prometheus, the kubelet and people.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` (`--web.telemetry-path`) | the newest view; 503 before there is one |
//! | `/-/healthy` | 200 while the poller advances, else 503 |
//! | `/-/ready` | 200 once there is a view and until the end begins, else 503 |
//! | `/` | the newest view as a page; `/?still` does not refresh itself |
//! | `/api/v1/view` | the newest view as JSON, as `report --output json` writes it |
//! | `/api/v1/incidents` | what happened to pods lately, with their figures around it |
//!
//! `--web.config.file` puts TLS, passwords and headers before them; the two health checks need no password and no
//! certificate, since the kubelet has none.
//!
//! GET and HEAD only. Nothing here reads the kernel, and nothing changes state.

mod connections;
mod exposition;
mod handshake;
mod prompt;
mod routes;
mod server;
mod settings;
mod site;

#[cfg(feature = "internals")]
pub use handshake::Client;
#[cfg(feature = "internals")]
pub use routes::answer;
pub use server::{ServeError, Server};
pub use settings::{WebConfig, WebConfigError};
pub use site::Site;
