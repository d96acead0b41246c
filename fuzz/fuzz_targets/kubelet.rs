//! Fuzzes `kubelet` in ../testkit/src/targets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| testkit::targets::kubelet(bytes));
