//! The landing page.

use maud::{DOCTYPE, html};

/// What `/` shows: what this is, and where its metrics are.
pub fn landing(telemetry_path: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "hugetlb-exporter" }
            }
            body {
                h1 { "hugetlb-exporter" }
                p { "Huge pages of this node and its pods. Version " (version) "." }
                ul {
                    li { a href=(telemetry_path) { "Metrics" } }
                    li { a href="/-/healthy" { "Health" } }
                    li { a href="/-/ready" { "Readiness" } }
                }
            }
        }
    }
    .into_string()
}
