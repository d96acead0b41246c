//! Configurations that can't be used: one line, and exit 64.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use super::{Files, TLS};

#[track_caller]
fn refused(files: &Files, parts: &[&str]) {
    // One that is taken for right must not serve for ever, so there is no port for it.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let output = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"))
        .args(["--log.level=error", &format!("--web.listen-address={address}"), &files.flag()])
        .output()
        .expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert_eq!(error.lines().count(), 1, "one line: {error}");
    for part in parts.iter().chain(&["web.yml: ", "expected "]) {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

/// Each of these is refused, with these words.
#[track_caller]
fn all_refused(configs: &[(String, &[&str])]) {
    let files = Files::new("");
    for (config, parts) in configs {
        files.write("web.yml", config);
        refused(&files, parts);
    }
}

#[test]
fn what_is_wrong_in_tls_is_named() {
    let tls = |more: &str| format!("{TLS}  {more}\n");
    all_refused(&[
        (tls("cert_fil: x"), &["tls_server_config", "`cert_fil`", "line 4", "`cert_file`"]),
        (tls("key_file: again"), &["duplicate", "key_file"]),
        (tls("cert: x"), &["cert_file", "one of them"]),
        ("tls_server_config: {}".to_owned(), &["tls_server_config.cert_file", "missing"]),
        (
            "tls_server_config: {cert_file: server.crt}".to_owned(),
            &["tls_server_config.key_file", "missing"],
        ),
        (tls("client_auth_type: Sometimes"), &["`Sometimes`", "RequireAndVerifyClientCert"]),
        (tls("client_auth_type: VerifyClientCertIfGiven"), &["client_ca_file", "missing"]),
        (tls("client_ca_file: server.crt"), &["client_ca_file", "RequireAndVerifyClientCert"]),
        (tls("client_allowed_sans: [a]"), &["client_allowed_sans", "RequireAnyClientCert"]),
        (
            tls("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a@b.c]"),
            &["client_allowed_sans", "a@b.c", "e-mail"],
        ),
        (tls("min_version: TLS10"), &["min_version", "`TLS10`", "`TLS12`"]),
        (tls("min_version: TLS13\n  max_version: TLS12"), &["max_version", "min_version"]),
        (
            tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"),
            &[
                "cipher_suites",
                "TLS_RSA_WITH_AES_128_CBC_SHA",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ],
        ),
        (
            tls("max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]"),
            &["tls_server_config", "a suite"],
        ),
        (tls("curve_preferences: [CurveP521]"), &["`CurveP521`", "`CurveP384`"]),
    ]);
}

#[test]
fn wrong_keys_and_values_are_named() {
    let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
    all_refused(&[
        ("tls_server_config: [".to_owned(), &["line 1"][..]),
        ("\u{0}".to_owned(), &[]),
        ("hello".to_owned(), &["hello"]),
        ("tls_config: {}".to_owned(), &["`tls_config`", "`tls_server_config`"]),
        ("\"a\\nb\": {}".to_owned(), &["a\\nb"]),
        ("http_server_config: {http2: maybe}".to_owned(), &["http2", "boolean"]),
        ("http_server_config: {headers: {Server: x}}".to_owned(), &["`Server`", "X-Frame-Options"]),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}".to_owned(),
            &["headers.X-Frame-Options", "'allow'", "deny or sameorigin"],
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\r\\nb\"}}".to_owned(),
            &["headers.X-XSS-Protection", "one line"],
        ),
        ("basic_auth_users: {ann: secret}".to_owned(), &["basic_auth_users.ann", "$2y$"]),
        ("basic_auth_users: [ann]".to_owned(), &["basic_auth_users"]),
        (format!("basic_auth_users: {{ann: {hash}, ann: {hash}}}"), &["duplicate", "ann"]),
        ("rate_limit: {burst: 1}".to_owned(), &["rate_limit", "not supported"]),
    ]);
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let files = Files::new(TLS);
    let (certificate, key) = (files.path("server.crt"), files.path("server.key"));
    let good = fs::read_to_string(&certificate).expect("a certificate");
    let in_certificate = ["tls_server_config.cert_file", "server.crt"];
    let other = files.authority.sign(&["127.0.0.1"]);
    files.write("server.key", &other.key);
    refused(&files, &["tls_server_config.key_file", "server.key", "does not belong", "server.crt"]);
    files.write("server.key", &other.certificate);
    refused(&files, &["tls_server_config.key_file", "server.key", "no private key"]);
    fs::remove_file(&key).expect("removed");
    refused(&files, &["tls_server_config.key_file", "server.key", "No such file"]);
    files.write("server.key", &other.key);
    for (text, part) in [
        (other.key.as_str(), "no certificate"),
        ("", "no certificate"),
        (&good.replace("END", "AND"), "no PEM"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "no PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can't be used"),
    ] {
        files.write("server.crt", text);
        refused(&files, &[&in_certificate[..], &[part]].concat());
    }
    files.write("server.crt", &other.certificate);
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    files.write("web.yml", &format!("{TLS}{verify}"));
    refused(&files, &["tls_server_config.client_ca_file", "ca.crt", "No such file"]);
    files.write("ca.crt", &other.key);
    refused(&files, &["tls_server_config.client_ca_file", "ca.crt", "no certificate"]);
    fs::remove_file(files.path("web.yml")).expect("removed");
    refused(&files, &["can't be read", "No such file"]);
    fs::create_dir(files.path("web.yml")).expect("a directory");
    refused(&files, &["can't be read", "no regular file"]);
}
