//! Fuzzes `flags` in ../src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hugetlb_exporter_fuzz::targets::flags(bytes));
