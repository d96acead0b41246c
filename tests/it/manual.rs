//! What packagers make: man pages and completions, of every command and every flag.

use std::fs;
use std::path::Path;

use hugetlb_exporter::manual_page;

#[test]
fn every_command_and_flag_has_its_manual_and_its_completion() {
    let directory = tempfile::tempdir().expect("a directory");
    testkit::manual::write(directory.path()).expect("written");
    let read = |path: &str| {
        fs::read_to_string(directory.path().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let completions = ["hugetlb-exporter.bash", "_hugetlb-exporter", "hugetlb-exporter.fish"]
        .map(|name| read(&format!("completions/{name}")));
    let mut pages = vec!["hugetlb-exporter".to_owned()];
    for name in ["", "serve", "report", "try", "fit", "demo", "guard", "witness"] {
        let page = if name.is_empty() { pages[0].clone() } else { format!("{}-{name}", pages[0]) };
        let text = read(&format!("man/{page}.1"));
        let head = concat!(" 1 \" \" \"hugetlb-exporter ", env!("CARGO_PKG_VERSION"), "\"");
        assert!(text.contains(&format!(".TH {page}{head}")), "{text}");
        assert!(text.contains("Exit status"), "{page} does not tell: {text}");
        for flag in manual_page(name).get_arguments().filter(|argument| !argument.is_hide_set()) {
            let flag = flag.get_long().expect("a flag");
            assert!(text.contains(&flag.replace('-', "\\-")), "{page} does not tell of --{flag}");
            for completion in &completions {
                assert!(completion.contains(flag), "{page}: --{flag} is not completed");
            }
        }
        assert!(text.contains("HUGETLB_EXPORTER_"), "{page}: {text}");
        assert!(!text.contains("\n\n.TP"), "{page} has a flag without words: {text}");
        pages.push(page);
    }
    let all = completions.concat();
    assert!(!all.contains("touch-child"), "what nobody types is not offered");
    let made = fs::read_dir(directory.path().join("man")).expect("pages").count();
    assert_eq!(made, pages.len() - 1, "a command without a test: {pages:?}");
}

#[test]
fn packagers_are_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/packaging.md");
    let text = fs::read_to_string(path).expect("docs/packaging.md");
    for word in ["--example manual", "HUGETLB_EXPORTER_REVISION", "crt-static"] {
        assert!(text.contains(word), "{word}");
    }
}
