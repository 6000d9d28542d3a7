//! P6 for a process that lives long: after thousands of invocations, with hundreds of segments and a store that fails for some of
//! the time, it has no more descriptors, threads and files than soon after its start, and no memory that grows with them.
//!
//! `LOGSPOOL_TEST_INVOCATIONS=100000 cargo test --test flat -- --nocapture` is the long version.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Sandbox, SandboxBuilder, ShutdownReason, Work};
use world::{World, assert_whole};

const INVOCATIONS: usize = 2_000;
/// By then every part has done its work some times: the manifest is open, lists that are bounded are full, the store has failed.
const WARM_UP: usize = 200;
/// Of so many invocations as many as one in five meet a store that fails: on a fast machine some of these upload nothing.
const ROUND: usize = 100;
const FAILING: usize = 20;
/// What anonymous memory may grow by after the warm-up, however long it goes on: sled fills its cache of 256 KiB and its tables, and
/// the allocator keeps what the busiest moments took. In 100,000 invocations it was 1,120 KiB, and nothing in the last 25,000. The
/// bound is less than a kibibyte for each invocation of the short version, and 16 bytes for each of the long one.
const GROWTH_KIB_MAX: u64 = 1_536;
/// The most that an empty spool takes on disk: sled writes its log anew before it is as long as this.
const SPOOL_BYTES_MAX: u64 = 1 << 20;

/// As many readings in a row make a rest: longer than the age of segments and a tick together.
const REST_READINGS: u32 = 20;
const REST_READINGS_MAX: u32 = 300;

/// What a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    rss_kib: u64,
    anonymous_kib: u64,
    held: Held,
    /// Descriptors of segments: of the active one, and of one that is delivered and goes with the next thing that happens.
    segments: usize,
    spool_entries: usize,
    spool_bytes: u64,
}

/// What must not grow by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    files: usize,
    sockets: usize,
    others: usize,
    threads: u64,
    /// In the directory of the spool, beside segments.
    entries: usize,
}

impl Held {
    fn is_within(self, other: Self) -> bool {
        let pairs = [(self.files, other.files), (self.sockets, other.sockets), (self.others, other.others)];
        let within = pairs.into_iter().chain([(self.entries, other.entries)]).all(|(one, other)| one <= other);
        within && self.threads <= other.threads
    }
}

impl Reading {
    fn of(sandbox: &Sandbox, spool_root: &Path) -> Self {
        let process = format!("/proc/{}", sandbox.extension_pid().unwrap());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let mut held = Held { files: 0, sockets: 0, others: 0, threads: number("Threads"), entries: 0 };
        let mut segments = 0;
        for descriptor in fs::read_dir(format!("{process}/fd")).unwrap() {
            // It may have been closed meanwhile.
            let Ok(target) = fs::read_link(descriptor.unwrap().path()) else { continue };
            let kind = match target.to_string_lossy() {
                target if target.contains(".seg") => &mut segments,
                target if target.starts_with("socket:") => &mut held.sockets,
                target if target.starts_with('/') => &mut held.files,
                _ => &mut held.others,
            };
            *kind += 1;
        }
        let (mut spool_entries, mut spool_bytes) = (0, 0);
        let mut folders = vec![spool_root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                (spool_entries, spool_bytes) = (spool_entries + 1, spool_bytes + metadata.len());
                folders.extend(metadata.is_dir().then(|| entry.path()));
            }
        }
        held.entries = spool_entries - segment_files(spool_root);
        let (rss_kib, anonymous_kib) = (number("VmRSS"), number("RssAnon"));
        Self { rss_kib, anonymous_kib, held, segments, spool_entries, spool_bytes }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rss_kib, anonymous_kib, held, segments, spool_entries, spool_bytes } = self;
        let Held { files, sockets, others, threads, .. } = held;
        write!(
            f,
            "{rss_kib:>7} {anonymous_kib:>7} {segments:>8} {files:>6} {sockets:>8} {others:>6} {threads:>8} {spool_entries:>8} {spool_bytes:>9}"
        )
    }
}

/// How many objects the store was given.
fn delivered(world: &World) -> usize {
    world.s3.requests().iter().filter(|request| request.stored).count()
}

/// Lets the process come to rest: everything that it has is sealed by its age and delivered, and nothing changes any more.
async fn settled(world: &World, sandbox: &Sandbox) -> Reading {
    invoke(sandbox, 0).await;
    let (mut before, mut calm) = (None, 0);
    for _ in 0..REST_READINGS_MAX {
        world::pause(100).await;
        let reading = Reading::of(sandbox, &world.spool_root());
        let rests = (reading.held, reading.segments, world.puts());
        calm = if before.replace(rests) == Some(rests) { calm + 1 } else { 0 };
        // A file that was delivered goes with the next thing that happens.
        if calm >= REST_READINGS && reading.segments <= 2 {
            return reading;
        }
    }
    panic!("it does not come to rest: {before:?}, {:#?}", sandbox.extension_output());
}

fn segment_files(spool_root: &Path) -> usize {
    let spools = fs::read_dir(spool_root).unwrap().flatten().map(|spool| spool.path());
    let files = spools.flat_map(|spool| fs::read_dir(spool).into_iter().flatten().flatten());
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == "seg")).count()
}

async fn invoke(sandbox: &Sandbox, lines: u32) {
    let work = Work { lines, line_bytes: 300, ..Work::default() };
    assert!(sandbox.invoke(work).await.result.is_ok());
}

async fn stays_flat(mode: &str, with_mode: impl Fn(SandboxBuilder) -> SandboxBuilder) {
    let wanted = std::env::var("LOGSPOOL_TEST_INVOCATIONS").ok().and_then(|number| number.parse().ok());
    let wanted: usize = wanted.unwrap_or(INVOCATIONS);
    let world = World::new().await;
    let sandbox = world
        .sandbox()
        // Handlers are short, and nothing is slowed down that does not have to be.
        .freeze(false)
        // A segment for every few invocations.
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_SEAL_SIZE", "4KiB")
        // Handlers are too short for any upload: what is as old as this is waited for.
        .extension_env("LOGSPOOL_SEAL_AGE", "500ms")
        .extension_env("LOGSPOOL_RETRY_BASE", "1ms")
        .extension_env("LOGSPOOL_RETRY_MAX", "20ms")
        .function_timeout(Duration::from_secs(60));
    let sandbox = with_mode(sandbox).start().await.unwrap();
    println!("{mode:<16} rss KiB    anon segments  files  sockets others  threads  entries     bytes delivered");
    let tell = |invocations: usize, reading: &Reading| {
        println!("{invocations:>15} {reading} {:>9}", delivered(&world));
    };
    let mut after_warm_up = None;
    for invocation in 0..wanted {
        match invocation % ROUND {
            0 => world.s3.faults().set([Fault::SlowDown, Fault::RefuseConnections][invocation / ROUND % 2]),
            FAILING => world.s3.faults().clear(),
            _ => {}
        }
        invoke(&sandbox, 5).await;
        if invocation + 1 == WARM_UP {
            let reading = settled(&world, &sandbox).await;
            tell(WARM_UP, &reading);
            after_warm_up = Some(reading);
        } else if (invocation + 1).is_multiple_of(wanted / 4) {
            tell(invocation + 1, &Reading::of(&sandbox, &world.spool_root()));
        }
    }
    let (before, mut after) = (after_warm_up.unwrap(), settled(&world, &sandbox).await);
    // What is left over from a busy moment goes; what has leaked stays.
    for _ in 0..2 {
        if !after.held.is_within(before.held) {
            after = settled(&world, &sandbox).await;
        }
    }
    tell(wanted, &after);
    let requests = world.s3.requests();
    let failed = requests.iter().filter(|request| request.fault.is_some()).count();
    let objects = delivered(&world);
    println!("{objects} objects, {failed} failed requests");
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));

    assert!(objects >= wanted / 10 && failed >= wanted / ROUND, "it had something to do");
    assert!(after.held.is_within(before.held), "{:?}, then {:?}", before.held, after.held);
    assert!(after.segments <= 2, "{} segments are open", after.segments);
    assert!(after.spool_bytes <= SPOOL_BYTES_MAX, "{} bytes on disk", after.spool_bytes);
    let growth_kib = after.anonymous_kib.saturating_sub(before.anonymous_kib);
    assert!(growth_kib <= GROWTH_KIB_MAX, "{growth_kib} KiB of memory more");
}

#[tokio::test]
async fn a_process_that_lives_long_takes_no_more_than_a_young_one() {
    stays_flat("classic", |sandbox| sandbox).await;
}

/// Such an environment lives for two weeks.
#[tokio::test]
async fn a_managed_process_takes_no_more_either() {
    stays_flat("managed", SandboxBuilder::managed).await;
}
