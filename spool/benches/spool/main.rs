//! What the spool costs beside plain files and zstd: `cargo bench -p spool`. Prints tables; needs no network and leaves nothing.
//!
//! * Both sides get the same batches in the same process, by turns, so that whatever else the machine does hits both.
//! * Times say how it is on this machine now; system calls, bytes, allocations and instructions are the same everywhere.
//! * A target that is missed is marked `MISSED`; nothing fails, since a clock must not decide over a build.

mod allocations;
mod append;
mod callgrind;
mod footprint;
mod instructions;
mod lines;
mod old_spools;
mod plain;
mod process;
mod subject;
mod table;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("--instructions-of", rest)) => return instructions::subject(rest),
        Some(("--footprint-of", rest)) => return footprint::subject(rest),
        _ => {}
    }
    println!(
        "spool: this crate. plain: one file a segment, one zstd stream, a flush and one pwrite a batch; no checksums, numbers, limits or way back.\n\
         Both: zstd level 1, window 17. Lines: telemetry of invocations with 4 to 13 lines in JSON and text, made from the seed that is named."
    );
    append::report();
    append::report_costs();
    instructions::report();
    footprint::report();
    old_spools::report();
}
