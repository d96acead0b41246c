//! Fuzzes `web_config` in ../src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hugetlb_exporter_fuzz::targets::web_config(bytes));
