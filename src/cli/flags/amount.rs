//! Numbers of bytes and of pages, as they are typed.

use std::str::FromStr;

use crate::sources::parse_quantity;
use crate::units::{Bytes, PageSize};

/// More pages than any node has: 8 PiB of the smallest that x86 has.
const MOST_PAGES: u64 = 4_294_967_295;

/// A quantity. Without a unit it is bytes, as the downward API writes them (295698432); but less than a page in bytes is
/// a number whose unit was left out.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Amount {
    text: String,
    bytes: Bytes,
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = parse_quantity(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), bytes })
    }
}

impl Amount {
    /// The bytes, of pages of that size; or why they can't be meant.
    pub(in crate::cli) fn of_pages(&self, page_size: PageSize) -> Result<Bytes, String> {
        let Self { text, bytes } = self;
        let has_unit = text.contains(|c: char| c.is_ascii_alphabetic());
        if has_unit || *bytes == Bytes::ZERO || *bytes >= page_size.bytes() {
            return Ok(*bytes);
        }
        let in_unit = |unit: &&str| parse_quantity(&format!("{text}{unit}")).unwrap_or_default();
        let unit = ["Mi", "Gi"].into_iter().find(|unit| in_unit(unit) >= page_size.bytes());
        let unit = unit.unwrap_or("Ti");
        Err(format!("{text} bytes are less than a page of {page_size}: did you mean {text}{unit}?"))
    }
}

/// A need. Nothing fits everywhere, so nobody asks for it.
pub(super) fn need(text: &str) -> Result<Amount, String> {
    match text.parse() {
        Ok(Amount { bytes: Bytes::ZERO, .. }) => {
            Err("expected more than 0, such as 282Mi".to_owned())
        }
        amount => amount,
    }
}

/// A number of pages, one at least.
pub(super) fn pages(text: &str) -> Result<u64, String> {
    pages_from(1, text)
}

/// A number of pages, or none.
pub(super) fn pages_if_any(text: &str) -> Result<u64, String> {
    pages_from(0, text)
}

fn pages_from(least: u64, text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=MOST_PAGES).contains(number));
    number.ok_or_else(|| format!("expected a number of pages from {least} to {MOST_PAGES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, page_size: &str) -> Result<u64, String> {
        let amount: Amount = text.parse().expect("a quantity");
        amount.of_pages(page_size.parse().expect("a size")).map(|bytes| bytes.0)
    }

    #[test]
    fn a_number_without_a_unit_is_bytes_from_one_page_on() {
        assert_eq!(of("282Mi", "2Mi"), Ok(282 << 20));
        assert_eq!(of("295698432", "2Mi"), Ok(282 << 20));
        assert_eq!(of("2097152", "2Mi"), Ok(2 << 20));
        assert_eq!(of("1e3", "2Mi"), Ok(1000), "somebody means that");
        assert_eq!(of("100Ki", "2Mi"), Ok(100 << 10), "a part of a page takes a page");
        for none in ["0", "0Mi", "0.0"] {
            assert_eq!(of(none, "2Mi"), Ok(0), "the downward API's word for no limit set");
        }
    }

    #[test]
    fn the_unit_that_was_left_out_is_the_least_that_makes_a_page() {
        let meant = |text, page_size| of(text, page_size).expect_err("refused");
        assert_eq!(
            meant("282", "2Mi"),
            "282 bytes are less than a page of 2Mi: did you mean 282Mi?"
        );
        assert!(meant("1", "2Mi").ends_with("1Gi?"));
        assert!(meant("4", "1Gi").ends_with("4Gi?"));
        assert!(meant("1024", "1Gi").ends_with("1024Mi?"));
        assert!(meant("1.5", "64Ki").ends_with("1.5Mi?"));
        assert!(meant("8", "16Gi").ends_with("8Ti?"));
        assert!(meant("2097151", "2Mi").ends_with("2097151Mi?"));
    }

    #[test]
    fn out_of_range_says_the_range() {
        for text in ["0", "-1", "4294967296", "99999999999999999999999", "1.5", "", "two"] {
            let error = pages(text).expect_err(text);
            assert_eq!(error, "expected a number of pages from 1 to 4294967295");
        }
        assert_eq!((pages("4294967295"), pages_if_any("0")), (Ok(MOST_PAGES), Ok(0)));
        assert!(need("0Gi").is_err() && need("1").is_ok());
    }
}
