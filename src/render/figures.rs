//! Figures in words, the same in the report and on the page.

use crate::assessment::TenantSize;
use crate::snapshot::{Limit, Reading};
use crate::units::Bytes;

/// What is said where no rule found anything; it is no promise where something was not seen.
pub(super) fn nothing_found(all_seen: bool) -> &'static str {
    if all_seen {
        "Nothing wrong was found."
    } else {
        "Nothing wrong was found in what could be seen."
    }
}

/// What is missing; `no` for nothing, `perhaps` where it can't be told.
pub(super) fn shortfall(size: &TenantSize) -> String {
    match size.outlook.shortfall {
        _ if size.outlook.uncertainty.is_some() => "perhaps".to_owned(),
        Reading::Present(Bytes::ZERO) => "no".to_owned(),
        reading => bytes(reading),
    }
}

pub(super) fn bytes(reading: Reading<Bytes>) -> String {
    show(reading, |bytes| bytes.to_string())
}

pub(super) fn limit(reading: Reading<Limit>) -> String {
    show(reading, |limit| match limit {
        Limit::At(bytes) => bytes.to_string(),
        Limit::Unlimited => "none".to_owned(),
    })
}

/// `-` for what does not exist, `?` for what could not be read.
pub(super) fn show<T>(reading: Reading<T>, text: impl FnOnce(T) -> String) -> String {
    match reading {
        Reading::Present(value) => text(value),
        Reading::Absent => "-".to_owned(),
        Reading::Failed => "?".to_owned(),
    }
}
