//! The man pages and the shells' completions, made from the same table of flags as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use hugetlb_exporter::manual_page;

const NAME: &str = "hugetlb-exporter";

/// Writes all of it below that directory.
pub fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut whole = manual_page("");
    // Without the revision: made again from the same release, they are the same.
    let version = whole.get_version().unwrap_or_default();
    let source = format!("{NAME} {}", version.split(' ').next().unwrap_or_default());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut whole, NAME, &completions)?;
    }
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        let path = man.join(format!("{NAME}-{}.1", command.get_name()));
        write_page(manual_page(command.get_name()), &source, &path)?;
    }
    write_page(whole, &source, &man.join(format!("{NAME}.1")))
}

fn write_page(command: clap::Command, source: &str, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    // Nor with a date.
    Man::new(command).manual("Prometheus exporters").source(source).date(" ").render(&mut page)?;
    fs::write(path, page)
}
