//! Values as typed: page sizes, quantities, times, addresses, paths, URLs. What is understood means the same once it
//! is written out again.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use hugetlb_exporter::fuzzing::{
    Interval, ListenAddress, Origin, PageSize, TelemetryPath, parse_quantity,
};
use hyper::Uri;

/// Reads the text as each of them.
pub fn flags(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(size) = again::<PageSize>(text) {
        let bytes = size.bytes().0;
        assert!(bytes.is_power_of_two());
        if bytes >= 1024 {
            assert_eq!(size.sysfs_name().parse(), Ok(size));
            assert_eq!(format!("hugetlb.{}", size.cgroup_name()).parse(), Ok(size));
        }
    }
    if let Ok(interval) = text.parse::<Interval>() {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
        assert!(bounds.contains(&interval.duration()));
    }
    if let Some(address) = again::<ListenAddress>(text) {
        let candidates = address.candidates();
        match text.parse::<SocketAddr>() {
            Ok(exactly) => assert_eq!(candidates, [exactly]),
            Err(_) => assert!(candidates.iter().all(|candidate| candidate.ip().is_unspecified())),
        }
    }
    if let Ok(path) = text.parse::<TelemetryPath>() {
        let uri: Uri = path.as_str().parse().expect("a path that can be asked for");
        assert_eq!(uri.path(), text, "who asks for it is given it");
    }
    again::<Origin>(text);
    quantity(text);
}

/// What a text means; written out and read again it must mean the same.
fn again<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let meant = text.parse::<T>().ok()?;
    let written = meant.to_string();
    assert_eq!(written.parse::<T>().expect("what was written"), meant, "{written}");
    Some(meant)
}

/// Kubernetes' quantities, against whole numbers with a binary unit reckoned in another way.
fn quantity(text: &str) {
    const MOST: u128 = i64::MAX.unsigned_abs() as u128;
    let understood = parse_quantity(text).ok();
    if let Some(bytes) = understood {
        assert!(u128::from(bytes.0) <= MOST);
        assert_eq!(parse_quantity(&bytes.0.to_string()), Ok(bytes));
    }
    let units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    for (power, unit) in units.iter().enumerate() {
        let digits = text.strip_suffix(unit).filter(|digits| {
            (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        if let Some(number) = digits.and_then(|digits| digits.parse::<u128>().ok()) {
            let expected = (number << (10 * power)).min(MOST);
            assert_eq!(understood.map(|bytes| u128::from(bytes.0)), Some(expected));
        }
    }
}
