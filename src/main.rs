//! The command; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hugetlb_exporter::run(std::env::args_os())
}
