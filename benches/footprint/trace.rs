//! What tools say of a process or a binary, as numbers.

/// What a call of the platform for the next event begins with.
const NEXT: &str = "GET /2020-01-01/extension/event/next";

/// What a process has asked the kernel for, up to its first `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    pub calls: u64,
    /// Opened, not merely tried.
    pub files: u64,
    pub threads: u64,
}

impl Trace {
    /// From a log of `strace -f -o`; `None` if it does not come to a `next`.
    pub fn of(log: &str) -> Option<Self> {
        let lines: Vec<_> = log.lines().collect();
        let end = lines.iter().position(|line| line.contains(NEXT))?;
        // The process, and a call; one that was interrupted by a call of another thread ends in a line of its own.
        let calls = lines[..=end].iter().filter_map(|line| line.split_once(' ').map(|(_, call)| call.trim_start()));
        let calls: Vec<_> = calls.filter(|call| call.starts_with(|c: char| c.is_ascii_lowercase())).collect();
        let is_file = |call: &&&str| call.starts_with("open") && !call.contains(" = -1 ");
        let threads = 1 + calls.iter().filter(|call| call.starts_with("clone")).count();
        let files = calls.iter().filter(is_file).count();
        Some(Self { calls: calls.len() as u64, files: files as u64, threads: threads as u64 })
    }
}

/// Words that have to be relocated, from `readelf --relocs --wide`.
pub fn relocations(said: &str) -> u64 {
    // "Relocation section '.rela.dyn' at offset 0x1 contains 27 entries:"; a packed section says below how many words it means.
    let count = |line: &str| {
        let (_, entries) = line.split_once("contains ").filter(|_| !line.contains(".relr"))?;
        entries.split(' ').next()?.parse::<u64>().ok()
    };
    let packed = |line: &str| line.trim().strip_suffix(" offsets")?.parse::<u64>().ok();
    said.lines().filter_map(|line| count(line).or_else(|| packed(line))).sum()
}
