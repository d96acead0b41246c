//! Page sizes, bytes and pages: the types that keep pages from becoming bytes.
//!
//! Three spellings of one size meet here: sysfs says `hugepages-2048kB`, the cgroup files say
//! `hugetlb.2MB.current`, Kubernetes says `hugepages-2Mi`. All are read; one, Kubernetes', is written,
//! since that is the one people type in a pod spec. No size is known by name: arm64 has 64 KiB and
//! 32 MiB pages, ppc64 16 GiB ones, and the next machine will have another.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

const KI: u64 = 1 << 10;
const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;
const TI: u64 = 1 << 40;

/// The size of one huge page: any power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(NonZeroU64);

/// A text that is no page size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is no page size: expected a power of two such as 2Mi, 1Gi, 2MB or 2048kB")]
pub struct InvalidPageSize {
    input: String,
}

impl PageSize {
    /// The page size of that many bytes, if it is a power of two.
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() { NonZeroU64::new(bytes).map(Self) } else { None }
    }

    /// Its size in bytes.
    pub fn bytes(self) -> Bytes {
        Bytes(self.0.get())
    }

    /// The name sysfs gives it, `hugepages-2048kB`
    /// (`/sys/kernel/mm/hugepages`; Documentation/admin-guide/mm/hugetlbpage.rst).
    pub fn sysfs_name(self) -> String {
        format!("hugepages-{}kB", self.0.get() / KI)
    }

    /// The name the cgroup files give it, `2MB` in `hugetlb.2MB.current`
    /// (mem_fmt() in mm/hugetlb_cgroup.c: GB from 1 GiB on, MB from 1 MiB on, else KB).
    pub fn cgroup_name(self) -> String {
        match self.0.get() {
            bytes if bytes >= GI => format!("{}GB", bytes / GI),
            bytes if bytes >= MI => format!("{}MB", bytes / MI),
            bytes => format!("{}KB", bytes / KI),
        }
    }
}

/// Kubernetes' spelling, `2Mi`: the largest binary unit that divides the size.
impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.get();
        let (divisor, unit) = match bytes {
            _ if bytes >= TI => (TI, "Ti"),
            _ if bytes >= GI => (GI, "Gi"),
            _ if bytes >= MI => (MI, "Mi"),
            _ if bytes >= KI => (KI, "Ki"),
            _ => (1, ""),
        };
        write!(f, "{}{unit}", bytes / divisor)
    }
}

/// Every spelling: `hugepages-2048kB`, `hugetlb.2MB`, `hugepages-2Mi`, `hugepages_2Mi`, `2Mi`, `64KB`, `16GB`.
impl FromStr for PageSize {
    type Err = InvalidPageSize;

    fn from_str(input: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPageSize { input: input.to_owned() };
        let text = ["hugepages-", "hugepages_", "hugetlb."]
            .iter()
            .find_map(|prefix| input.strip_prefix(prefix))
            .unwrap_or(input);
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at_checked(digits_end).ok_or_else(invalid)?;
        let multiplier = unit_multiplier(unit).ok_or_else(invalid)?;
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(multiplier))
            .and_then(Self::from_bytes)
            .ok_or_else(invalid)
    }
}

/// All units of huge pages are binary, whatever they are called.
fn unit_multiplier(unit: &str) -> Option<u64> {
    match unit {
        "" => Some(1),
        "Ki" | "kB" | "KB" | "K" | "k" => Some(KI),
        "Mi" | "MB" | "M" => Some(MI),
        "Gi" | "GB" | "G" => Some(GI),
        "Ti" | "TB" | "T" => Some(TI),
        _ => None,
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// The sum, or nothing if it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, nothing below zero.
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The number for a metric or a diagram. Exact up to 2^53 bytes (8 PiB): more than any pool.
    #[expect(clippy::cast_precision_loss, reason = "a sample is an f64; 2^53 bytes are 8 PiB")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

/// A difference of two numbers of bytes, below zero where the second is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedBytes(pub i64);

impl SignedBytes {
    /// `a` less `b`. Beyond 2^63 it stays there.
    pub fn difference(a: Bytes, b: Bytes) -> Self {
        let difference = i128::from(a.0) - i128::from(b.0);
        let bounded = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Self(i64::try_from(bounded).unwrap_or_default())
    }

    /// The number for a metric.
    #[expect(clippy::cast_precision_loss, reason = "a sample is an f64; 2^53 bytes are 8 PiB")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

/// For people: `282Mi` when exact, else with one decimal, `1.5Gi`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [(TI, "Ti"), (GI, "Gi"), (MI, "Mi"), (KI, "Ki")];
        let text = match self.0 {
            0 => "0".to_owned(),
            bytes => match exact.iter().find(|(size, _)| bytes >= *size) {
                None => format!("{bytes}B"),
                Some((size, unit)) if bytes % size == 0 => format!("{}{unit}", bytes / size),
                // 1Gi and 2Mi exactly is better read as 1026Mi than as 1.0Gi.
                Some(_) if bytes % MI == 0 && bytes / MI < 10_000 => format!("{}Mi", bytes / MI),
                #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
                Some((size, unit)) => format!("{:.1}{unit}", bytes as f64 / *size as f64),
            },
        };
        f.pad(&text)
    }
}

/// A number of huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pages(pub u64);

impl Pages {
    /// The only way from pages to bytes; nothing if the product does not fit.
    pub fn bytes(self, page_size: PageSize) -> Option<Bytes> {
        self.0.checked_mul(page_size.bytes().0).map(Bytes)
    }

    /// The difference, nothing below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// A number of huge pages that the kernel may have counted down below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignedPages(pub i64);

impl SignedPages {
    /// The number, none where it is below zero.
    pub fn at_least_none(self) -> Pages {
        Pages(u64::try_from(self.0).unwrap_or_default())
    }

    /// In bytes; nothing if the product does not fit.
    pub fn bytes(self, page_size: PageSize) -> Option<SignedBytes> {
        let size = i64::try_from(page_size.bytes().0).ok()?;
        self.0.checked_mul(size).map(SignedBytes)
    }
}

/// The number of a NUMA node, as in `node0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumaNode(pub u32);

impl NumaNode {
    /// The number in a name such as `node0` or `N0`.
    pub fn from_name(name: &str, prefix: &str) -> Option<Self> {
        let digits = name.strip_prefix(prefix)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok().map(Self) } else { None }
    }
}

impl fmt::Display for NumaNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(bytes: u64) -> PageSize {
        PageSize::from_bytes(bytes).expect("a power of two")
    }

    #[test]
    fn every_spelling_of_two_mebibytes_is_the_same_size() {
        for text in [
            "hugepages-2048kB",
            "hugetlb.2MB",
            "hugepages-2Mi",
            "hugepages_2Mi",
            "2Mi",
            "2MB",
            "2M",
            "2048kB",
            "2048KB",
            "2097152",
        ] {
            assert_eq!(text.parse(), Ok(size(2 * MI)), "{text}");
        }
    }

    #[test]
    fn sizes_of_other_machines_are_read_and_written() {
        for (text, shown, cgroup, sysfs) in [
            ("64KB", "64Ki", "64KB", "hugepages-64kB"),
            ("32MB", "32Mi", "32MB", "hugepages-32768kB"),
            ("512MB", "512Mi", "512MB", "hugepages-524288kB"),
            ("1GB", "1Gi", "1GB", "hugepages-1048576kB"),
            ("16GB", "16Gi", "16GB", "hugepages-16777216kB"),
        ] {
            let size: PageSize = text.parse().expect("a size");
            assert_eq!(size.to_string(), shown);
            assert_eq!(size.cgroup_name(), cgroup);
            assert_eq!(size.sysfs_name(), sysfs);
        }
    }

    #[test]
    fn what_is_no_page_size_is_named_in_the_error() {
        for text in [
            "",
            "0",
            "3MB",
            "2XB",
            "MB",
            "-2MB",
            "2 MB",
            "18446744073709551616",
            "99999999999999TB",
            "2MBé",
        ] {
            let error = text.parse::<PageSize>().expect_err(text);
            assert!(error.to_string().starts_with(&format!("{text:?} is no page size")), "{error}");
        }
    }

    #[test]
    fn pages_times_size_is_checked() {
        assert_eq!(Pages(64).bytes(size(2 * MI)), Some(Bytes(134_217_728)));
        assert_eq!(Pages(u64::MAX).bytes(size(2 * MI)), None);
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0"),
            (512, "512B"),
            (64 * KI, "64Ki"),
            (282 * MI, "282Mi"),
            (1026 * MI, "1026Mi"),
            (GI, "1Gi"),
            (3 * GI / 2, "1536Mi"),
            (40_000 * MI, "39.1Gi"),
            (2 * MI + 512 * KI, "2.5Mi"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn numa_nodes_are_plain_numbers() {
        assert_eq!(NumaNode::from_name("node12", "node"), Some(NumaNode(12)));
        for name in ["node", "nodeX", "node-1", "node+1", "node99999999999", "memory0"] {
            assert_eq!(NumaNode::from_name(name, "node"), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_power_of_two_survives_each_spelling(exponent in 10_u32..63) {
            let size = size(1 << exponent);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
            prop_assert_eq!(size.sysfs_name().parse(), Ok(size));
            prop_assert_eq!(format!("hugetlb.{}", size.cgroup_name()).parse(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<PageSize>();
            let _ = NumaNode::from_name(&text, "node");
        }

        #[test]
        fn any_number_of_bytes_can_be_shown(bytes: u64) {
            prop_assert!(!Bytes(bytes).to_string().is_empty());
        }
    }
}
