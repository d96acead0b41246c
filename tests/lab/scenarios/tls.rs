//! Debian's Prometheus, let in by certificate and password.

use std::fs;
use std::process::Command;

use super::Named;
use crate::Lab;
use crate::harness::agent::Start;
use crate::harness::tls::{Authority, Client};
use crate::monitoring::Prometheus;

pub const AS_FOUND: &[Named] =
    &[("prometheus_scrapes_over_tls_with_a_password", prometheus_scrapes_over_tls)];

fn prometheus_scrapes_over_tls(_: &Lab) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let authority = Authority::new();
    let (server, scraper) = (authority.sign(&["127.0.0.1"]), authority.sign(&["prometheus"]));
    let hash = bcrypt::hash("open sesame", 10).expect("a hash");
    for (name, text) in [
        ("ca.crt", authority.pem.as_str()),
        ("server.crt", &server.certificate),
        ("server.key", &server.key),
        ("scraper.crt", &scraper.certificate),
        ("scraper.key", &scraper.key),
        (
            "web.yml",
            &format!(
                "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, \
                 client_auth_type: RequireAndVerifyClientCert, min_version: TLS13}}\n\
                 http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n\
                 basic_auth_users: {{prometheus: {hash}}}\n"
            ),
        ),
    ] {
        fs::write(path(name), text).expect("written");
    }
    let checked = Command::new("promtool").args(["check", "web-config", &path("web.yml")]).output();
    let checked = checked.expect("promtool runs");
    assert!(checked.status.success(), "{checked:?}");

    let agent = Start::new(&[format!("--web.config.file={}", path("web.yml"))])
        .over_tls(Client::new(&authority))
        .tied_to_us()
        .go();
    assert_eq!(agent.get("/metrics").status, 403, "without a certificate");
    let prometheus = Prometheus::scraping_with(
        agent.address(),
        &format!(
            "  scheme: https\n  tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}\n  \
             basic_auth: {{username: prometheus, password: open sesame}}\n",
            path("ca.crt"),
            path("scraper.crt"),
            path("scraper.key")
        ),
    );
    let answer = prometheus.query("hugetlb_exporter_source_up{source=\"web-config\"}");
    assert_eq!(answer[0].1, 1.0);
    assert_eq!(prometheus.query("up")[0].1, 1.0);
    assert_eq!(prometheus.complaints(), [""; 0]);
}
