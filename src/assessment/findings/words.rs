//! The words that sentences are made of.

use std::fmt::Display;

use crate::units::{Bytes, PageSize};

/// The resource's name in a pod's spec.
pub(super) fn resource(page_size: PageSize) -> String {
    format!("hugepages-{page_size}")
}

/// Rounded up to whole pages.
pub(super) fn whole_pages(bytes: Bytes, page_size: PageSize) -> Bytes {
    let page = page_size.bytes().0;
    Bytes(bytes.0.div_ceil(page).saturating_mul(page))
}

/// A sentence begins with a capital.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// One thing, or several.
pub(super) fn count<N: Copy + Display + Eq + From<u8>>(number: N, one: &str) -> String {
    if number == N::from(1) { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// How often.
pub(super) fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}
