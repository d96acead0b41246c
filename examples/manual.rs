//! Writes the man pages and the shells' completions, for whoever makes a package of this.
//!
//! `cargo run --example manual -- DIR` makes `DIR/man/*.1` and `DIR/completions/*`; docs/packaging.md says where
//! they go. They are made from the same table of flags as `--help`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use hugetlb_exporter::manual_page;

const NAME: &str = "hugetlb-exporter";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("manual: expected one argument, the directory to write to");
        return ExitCode::from(64);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: can't write to {}: {error}", Path::new(&directory).display());
            ExitCode::FAILURE
        }
    }
}

/// Writes all of it below that directory.
pub fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut whole = manual_page("");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut whole, NAME, &completions)?;
    }
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        let path = man.join(format!("{NAME}-{}.1", command.get_name()));
        write_page(manual_page(command.get_name()), &path)?;
    }
    write_page(whole, &man.join(format!("{NAME}.1")))
}

fn write_page(command: clap::Command, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    // Without a date: made again from the same commit, they are the same.
    let source = concat!("hugetlb-exporter ", env!("CARGO_PKG_VERSION"));
    Man::new(command).manual("Prometheus exporters").source(source).date(" ").render(&mut page)?;
    fs::write(path, page)
}
