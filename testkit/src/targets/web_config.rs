//! The file of `--web.config.file`. What can't be used is told in one line that names the file and what was expected; what can
//! opens nothing that it does not say.

use std::cell::OnceCell;
use std::fs;

use hugetlb_exporter::fuzzing::WebConfig;
use tempfile::TempDir;

thread_local! {
    /// One directory for all, since it is made anew for none of them.
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

/// Reads it as at the start.
pub fn web_config(bytes: &[u8]) {
    DIRECTORY.with(|directory| {
        let directory = directory.get_or_init(|| tempfile::tempdir().expect("a directory"));
        let path = directory.path().join("web.yml");
        fs::write(&path, bytes).expect("written");
        match WebConfig::load(Some(&path)) {
            Ok(config) => {
                let text = String::from_utf8_lossy(bytes);
                assert!(!config.is_tls() || text.contains("tls_server_config"));
                assert!(
                    config.authentication() == "none"
                        || text.contains("basic_auth_users")
                        || text.contains("client_auth_type")
                );
            }
            Err(error) => {
                let line = error.to_string();
                assert!(line.starts_with(&path.display().to_string()), "{line}");
                assert!(line.contains("; expected "), "{line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    });
}
