//! Kernels that `.ci/guests` fetched.

use std::env;
use std::path::PathBuf;

/// Where they are kept.
fn store() -> PathBuf {
    let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("HUGETLB_LAB_KERNELS").unwrap_or_else(|| {
        let cache = named("XDG_CACHE_HOME")
            .unwrap_or_else(|| named("HOME").unwrap_or_default().join(".cache"));
        cache.join("hugetlb-exporter/kernels")
    })
}

/// The kernel of a suite.
pub fn of(suite: &str) -> PathBuf {
    store().join(format!("{suite}-cloud-amd64/vmlinuz"))
}
