#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logspool::fuzzing::recover(data));
