//! The bytes that fuzzing has found worth keeping, given once more to what it gave them to.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use testkit::targets::TARGETS;

/// What is kept of each target, in files and in bytes: enough to be worth it, and no burden.
const MOST_FILES: usize = 200;
const MOST_BYTES: usize = 300_000;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

#[test]
fn whatever_was_found_holds_still() {
    for (name, target) in TARGETS {
        let corpus = fuzz().join("corpus").join(name);
        let files = names_in(&corpus);
        assert!((5..=MOST_FILES).contains(&files.len()), "{name} has {} files", files.len());
        let mut bytes = 0;
        for file in files {
            let path = corpus.join(file);
            let found = fs::read(&path).expect("bytes");
            bytes += found.len();
            assert!(catch_unwind(|| target(&found)).is_ok(), "{}", path.display());
        }
        assert!(bytes <= MOST_BYTES, "{name} has {bytes} bytes");
    }
}

#[test]
fn every_target_is_fuzzed_and_replayed() {
    let all = |suffix: &str| -> BTreeSet<String> {
        TARGETS.iter().map(|(name, _)| format!("{name}{suffix}")).collect()
    };
    assert_eq!(names_in(&fuzz().join("fuzz_targets")), all(".rs"));
    assert_eq!(names_in(&fuzz().join("corpus")), all(""));
}
