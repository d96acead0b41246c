//! Fuzzes `kernel_files` in ../src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hugetlb_exporter_fuzz::targets::kernel_files(bytes));
