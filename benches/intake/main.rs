//! What the intake costs beside zstd alone: `cargo bench --bench intake`. Prints tables; needs no network and leaves nothing.
//! `-- costs` or other words of [`SECTIONS`] run a part of it.
//!
//! * Times say how it is on this machine now; allocations and instructions are the same everywhere.
//! * A target that is missed is marked `MISSED`; nothing fails, since a clock must not decide over a build.

#[path = "../../spool/benches/spool/allocations.rs"]
mod allocations;
mod bodies;
#[path = "../../spool/benches/spool/callgrind.rs"]
mod callgrind;
mod costs;
mod instructions;
#[path = "../../spool/benches/spool/plain.rs"]
#[allow(dead_code, reason = "shared with the benchmark of the spool")]
mod plain;
mod storm;
mod subject;
#[path = "../../spool/benches/spool/table.rs"]
#[allow(dead_code, reason = "shared with the benchmark of the spool")]
mod table;
#[path = "../../tests/world/mod.rs"]
mod world;

/// Parts that can be asked for.
const SECTIONS: [(&str, fn()); 3] =
    [("costs", costs::report), ("instructions", instructions::report), ("storm", storm::report)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--instructions-of", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return instructions::subject(rest);
    }
    println!(
        "intake: logspool's own, over a spool in a temporary directory; zstd level 1, window 17. Bodies: records of one kind and length,\n\
         all of one invocation, as the platform writes them. Seeds are named."
    );
    let is_asked = |name: &str| arguments.iter().any(|argument| argument == name);
    let asks = SECTIONS.iter().any(|(name, _)| is_asked(name));
    for (name, report) in SECTIONS {
        if !asks || is_asked(name) {
            report();
        }
    }
}
