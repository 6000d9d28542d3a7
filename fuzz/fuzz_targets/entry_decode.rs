#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spool::fuzzing::entry_decode(data));
