#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spool::fuzzing::frame_ends(data));
