//! `hugetlb-exporter fit`: would this need fit here? Nothing is mapped. Exit code 0: it fits; 2: it does not; 1: it can't
//! be told; 64: a wrong flag.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::flags::{Amount, FitWish, Flags};
use super::here::Here;
use super::terminal::print;
use super::usage;
use crate::assessment::{FitAnswer, Wish, fit};
use crate::probe;
use crate::units::{Bytes, PageSize};

const DOES_NOT_FIT: u8 = 2;

/// Says whether it fits, in one line on stdout and for the kubelet.
pub(super) fn run(asked: &FitWish, flags: Flags) -> anyhow::Result<ExitCode> {
    let here = Here::look(flags);
    let page_size = here.page_size(asked.pagesize)?;
    let (need, declared) = match (
        bytes("--need", asked.need.as_ref(), page_size),
        bytes("--limit", asked.limit.as_ref(), page_size),
    ) {
        (Ok(need), Ok(limit)) => (need, limit),
        (Err(complaint), _) | (_, Err(complaint)) => return Ok(usage::refuse(&complaint)),
    };
    let page = page_size.bytes().0;
    let pages = asked.need_pages.or(need.map(|Bytes(need)| need.div_ceil(page)));
    let need = pages.and_then(|pages| pages.checked_mul(page)).map(Bytes);
    let need = need.context("the need is more than any node has")?;
    let (limits, sees_all_limits) = here.limits(page_size);
    let answer = fit(&Wish {
        page_size,
        need,
        pool: here.pool(page_size).as_ref(),
        limits: &limits,
        memory: &probe::memory_limits(&here.site),
        sees_all_limits,
        declared,
    });
    let (sentence, code) = match answer {
        FitAnswer::Yes(sentence) => (sentence, ExitCode::SUCCESS),
        FitAnswer::No(sentence) => (sentence, ExitCode::from(DOES_NOT_FIT)),
        FitAnswer::Unknown(why) => {
            let why = format!("{why}{}", here.because());
            tell_kubelet(&asked.termination_log, &why)?;
            bail!(why)
        }
    };
    print(&format!("{sentence}\n"))?;
    tell_kubelet(&asked.termination_log, &sentence)?;
    Ok(code)
}

/// What a flag says, of pages of that size; or the complaint of it.
fn bytes(
    flag: &str,
    amount: Option<&Amount>,
    page_size: PageSize,
) -> Result<Option<Bytes>, String> {
    let Some(amount) = amount else { return Ok(None) };
    let wrong = |why| format!("invalid value for '{flag} <QUANTITY>': {why}");
    amount.of_pages(page_size).map(Some).map_err(wrong)
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
