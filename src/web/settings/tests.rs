//! What is written, read without a file system as far as that goes.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn settings(text: &[u8]) -> Result<Settings, WebConfigError> {
    let nowhere = Path::new("/nonexistent");
    Written::parse(text)
        .and_then(|written| Settings::of(written, nowhere, &mut Files::default()))
        .map_err(|wrong| wrong.of(Path::new("web.yml")))
}

#[test]
fn a_file_that_says_nothing_asks_for_nothing() {
    for text in
        ["", "\n", "# nothing yet\n", "{}", "---\n", "null", "basic_auth_users:\n", "\u{feff}"]
    {
        let settings =
            settings(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(settings.tls.is_none() && settings.users.is_empty(), "{text:?}");
        assert!(settings.headers.is_empty(), "{text:?}");
    }
}

#[test]
fn both_words_for_http2_are_taken() {
    for word in ["true", "false"] {
        let text = format!("http_server_config: {{http2: {word}}}");
        assert!(settings(text.as_bytes()).is_ok(), "{word}");
    }
}

/// Words of the file, so that chance finds more than syntax errors.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "tls_server_config",
        "basic_auth_users",
        "http_server_config",
        "rate_limit",
        "headers",
        "cert_file",
        "key",
        "client_auth_type",
        "RequireAnyClientCert",
        "cipher_suites",
        "http2",
        "X-Frame-Options",
        "deny",
        "true",
        "1",
        ":",
        ": ",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!binary ",
        "|",
        ">",
        "'",
        "\"",
        "---",
        "\t",
        "~",
        "? ",
        "<<",
        "%",
        "\u{0}",
        "é",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_complaint_is_one_line(bytes: Vec<u8>, words in words()) {
        for text in [bytes, words.into_bytes()] {
            if let Err(error) = settings(&text) {
                prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
            }
        }
    }
}
