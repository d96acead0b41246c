//! Kubernetes' quantities: `512Mi`, `0.5Gi`, `1073741824`, `1G`, `1e9`, `1500m`.
//!
//! The rules are those of apimachinery's `resource.Quantity`: what is no whole number is rounded up, and
//! what is greater than 2^63-1 is 2^63-1.

use crate::units::Bytes;

/// The greatest quantity there is.
const MOST: u64 = i64::MAX.unsigned_abs();

/// A greater number of digits before the point is more than `MOST` in any unit.
const MOST_DIGITS: usize = 20;

/// So many digits behind the point are taken exactly; all others only make the last one round up.
const EXACT_DIGITS: usize = 18;

/// 10 to the power of `EXACT_DIGITS`.
const FRACTIONS: u128 = 1_000_000_000_000_000_000;

/// A text that is no quantity of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{input:?} is no quantity: expected a number with or without a unit, such as 512Mi, 1Gi or 1073741824"
)]
pub struct InvalidQuantity {
    input: String,
}

/// The bytes that a quantity stands for; a negative one is none.
pub fn parse(input: &str) -> Result<Bytes, InvalidQuantity> {
    magnitude(input).map(Bytes).ok_or_else(|| InvalidQuantity { input: input.to_owned() })
}

fn magnitude(input: &str) -> Option<u64> {
    let unsigned = input.strip_prefix('+').unwrap_or(input);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, unit) = unsigned.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let unit = Unit::parse(unit)?;
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let point = i64::try_from(whole.len()).ok()? + i64::from(unit.tens)
        - i64::try_from(digits.len() - significant.len()).ok()?;
    if significant.is_empty() { Some(0) } else { value(significant, point, unit.twos) }
}

/// The value of `0.<digits>` × 10^`point` × 2^`twos`, rounded up; the first digit is not 0.
fn value(digits: &str, point: i64, twos: u32) -> Option<u64> {
    let whole_digits = usize::try_from(point).unwrap_or(0);
    if whole_digits > MOST_DIGITS {
        return Some(MOST);
    }
    let (whole, fraction) = digits.split_at_checked(whole_digits).unwrap_or((digits, ""));
    let whole: u128 = match whole {
        "" => 0,
        _ => format!("{whole:0<whole_digits$}").parse().ok()?,
    };
    let leading = usize::try_from(point.min(0).unsigned_abs()).unwrap_or(usize::MAX);
    let (exact, rest) = match EXACT_DIGITS.checked_sub(leading) {
        Some(room) => {
            let (exact, rest) = fraction.split_at_checked(room).unwrap_or((fraction, ""));
            let padded = format!("{exact:0<room$}");
            (if room == 0 { 0 } else { padded.parse().ok()? }, rest)
        }
        None => (0, fraction),
    };
    let more = u128::from(rest.bytes().any(|digit| digit != b'0'));
    // At most 10^20 × 2^60 and 10^18 × 2^60: both fit.
    let parts = u128::checked_shl(exact, twos)?.checked_add(more)?.div_ceil(FRACTIONS);
    let value = u128::checked_shl(whole, twos)?.checked_add(parts)?;
    Some(u64::try_from(value).unwrap_or(MOST).min(MOST))
}

/// What a number is multiplied with.
struct Unit {
    /// The power of ten.
    tens: i32,
    /// The power of two.
    twos: u32,
}

impl Unit {
    fn parse(text: &str) -> Option<Self> {
        let tens = |tens| Some(Self { tens, twos: 0 });
        let twos = |twos| Some(Self { tens: 0, twos });
        match text {
            "" => tens(0),
            "n" => tens(-9),
            "u" => tens(-6),
            "m" => tens(-3),
            "k" => tens(3),
            "M" => tens(6),
            "G" => tens(9),
            "T" => tens(12),
            "P" => tens(15),
            "E" => tens(18),
            "Ki" => twos(10),
            "Mi" => twos(20),
            "Gi" => twos(30),
            "Ti" => twos(40),
            "Pi" => twos(50),
            "Ei" => twos(60),
            _ => tens(text.strip_prefix(['e', 'E'])?.parse().ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> u64 {
        parse(text).expect(text).0
    }

    #[test]
    fn every_spelling() {
        for (text, expected) in [
            ("0", 0),
            ("0Gi", 0),
            ("0.000", 0),
            ("1073741824", 1 << 30),
            ("1Gi", 1 << 30),
            ("+1Gi", 1 << 30),
            ("512Mi", 1 << 29),
            ("0.5Gi", 1 << 29),
            (".5Gi", 1 << 29),
            ("00.50Gi", 1 << 29),
            ("2.Mi", 2 << 20),
            ("1Ki", 1 << 10),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("1k", 1_000),
            ("1M", 1_000_000),
            ("1G", 1_000_000_000),
            ("1.5G", 1_500_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1e9", 1_000_000_000),
            ("1E9", 1_000_000_000),
            ("1e+9", 1_000_000_000),
            ("1.5e3", 1_500),
            ("1500e-2", 15),
            ("2097152000m", 2_097_152),
            ("1000000u", 1),
            ("1000000000n", 1),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn parts_of_a_byte_are_rounded_up() {
        for (text, expected) in [
            ("1500m", 2),
            ("1m", 1),
            ("1n", 1),
            ("0.1", 1),
            ("1.0000000000000000000000000001", 2),
            ("1.0000000000000000000000000000", 1),
            ("1e-400", 1),
            ("1.1Ki", 1127),
            ("0.0000000000000000001Gi", 1),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn more_than_fits_is_the_most_there_is() {
        for text in
            ["8Ei", "9223372036854775808", "99999999999999999999", "99999999999999999999Ei", "10E"]
        {
            assert_eq!(bytes(text), MOST, "{text}");
        }
        assert_eq!(bytes(&"9".repeat(10_000)), MOST);
        assert_eq!(bytes("1e2147483647"), MOST);
        assert_eq!(bytes("9223372036854775806"), MOST - 1);
    }

    #[test]
    fn what_is_no_quantity_is_named_in_the_error() {
        for text in [
            "",
            ".",
            "+",
            "-1",
            "-1Gi",
            "--1",
            "Gi",
            "1 Gi",
            " 1",
            "1gi",
            "1GiB",
            "1KB",
            "1K",
            "1.2.3",
            "1e",
            "1e1.5",
            "1e99999999999",
            "0x10",
            "1,5",
            "1_000",
            "\u{661}",
            "1é",
            "NaN",
            "inf",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.to_string().starts_with(&format!("{text:?} is no quantity")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", near in "[0-9.]{0,40}[KMGTPEeinum+-]{0,3}[0-9]{0,12}") {
            let _ = (parse(&text), parse(&near));
        }

        #[test]
        fn one_number_in_all_its_spellings(number in 0_u32..) {
            let expected = u64::from(number);
            for text in [
                format!("{number}"), format!("{number}.0"), format!("{number}000m"),
                format!("{number}000000u"), format!("{number}e0"), format!("{number}000e-3"),
            ] {
                prop_assert_eq!(bytes(&text), expected, "{}", text);
            }
            prop_assert_eq!(bytes(&format!("{number}k")), expected * 1_000);
            prop_assert_eq!(bytes(&format!("{number}Ki")), expected * 1_024);
            prop_assert_eq!(bytes(&format!("{number}.5Ki")), expected * 1_024 + 512);
            prop_assert_eq!(bytes(&format!("{number}m")), expected.div_ceil(1_000));
            prop_assert_eq!(bytes(&format!("{number}Mi")), expected << 20);
        }
    }
}
