//! `hugetlb-exporter fit`: would this need fit here? Nothing is mapped. Exit code 0: it fits; 2: it does not; 1: it can't
//! be told; 64: a wrong flag.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::flags::{FitWish, Flags};
use super::here::Here;
use crate::assessment::{FitAnswer, Wish, fit};
use crate::units::Bytes;

const DOES_NOT_FIT: u8 = 2;

/// Says whether it fits, in one line on stdout and for the kubelet.
pub(super) fn run(asked: &FitWish, flags: Flags) -> anyhow::Result<ExitCode> {
    let here = Here::look(flags);
    let page_size = match asked.pagesize {
        Some(page_size) => page_size,
        None => here.default_page_size().context("this node has no huge pages")?,
    };
    let page = page_size.bytes().0;
    let pages = asked.need_pages.or(asked.need.map(|Bytes(need)| need.div_ceil(page)));
    let need = pages.and_then(|pages| pages.checked_mul(page)).map(Bytes);
    let need = need.context("the need is more than any node has")?;
    let answer = fit(&Wish {
        page_size,
        need,
        pool: here.pool(page_size),
        limits: &here.site.limits(page_size),
        sees_all_limits: here.site.sees_all_limits(),
        declared: asked.limit,
    });
    let (sentence, code) = match answer {
        FitAnswer::Yes(sentence) => (sentence, ExitCode::SUCCESS),
        FitAnswer::No(sentence) => (sentence, ExitCode::from(DOES_NOT_FIT)),
        FitAnswer::Unknown(why) => bail!(why),
    };
    writeln!(io::stdout(), "{sentence}").context("can't write the answer")?;
    tell_kubelet(&asked.termination_log, &sentence)?;
    Ok(code)
}

/// The kubelet shows it as the container's termination message. Outside a pod there is no such file.
fn tell_kubelet(path: &Path, sentence: &str) -> anyhow::Result<()> {
    match File::options().write(true).truncate(true).open(path) {
        Ok(mut file) => writeln!(file, "{sentence}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
    .with_context(|| format!("can't write {}", path.display()))
}
