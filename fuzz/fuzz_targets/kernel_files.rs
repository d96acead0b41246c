//! Fuzzes `kernel_files` in ../testkit/src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::targets::kernel_files(bytes));
