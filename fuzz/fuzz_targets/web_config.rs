//! Fuzzes `web_config` in ../testkit/src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::targets::web_config(bytes));
