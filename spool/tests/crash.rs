//! Acknowledged records survive SIGKILL at a random instant.
//!
//! The supervisor runs this program again as a child over one directory, kills it, and runs the next one, which adopts what
//! it finds. A child delivers as the product does: objects go into a directory under their label, and one that is there
//! already must have the same bytes. It tells on its standard output what it is about to do and what was acknowledged.
//!
//! * Every record can be computed from its spool and its number, so what is delivered is checked byte for byte: for each
//!   spool the ranges join from 0 to its end, and the end lies between what was acknowledged and what was tried.
//! * SIGKILL by the supervisor and an orderly end are the ways to die; anything else is a failed start or a bug.
//! * Half of the kills fall into creation and into adoption of what the last one left: the supervisor sees where a kill fell
//!   and aims the next one by it, and the test fails if they did not.
//! * `SPOOL_TEST_KILLS` asks for more kills than 500, `SPOOL_TEST_SEED` replays the decisions of a run. The instants of the kills
//!   are the machine's.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use spool::{Adopted, Orphan, SealReason, SealedSegment, SegmentKey, Spool, SpoolId, find_orphans};
use world::{COMPRESSIONS, END_LINE, NOW_MS, append, append_end, decoded, identity, object, record};

/// Set in a child: the directory of the story.
const PLACE: &str = "SPOOL_TEST_PLACE";
/// Set in a child: the seed of its decisions.
const CHILD_SEED: &str = "SPOOL_TEST_CHILD_SEED";
/// Set in the last child, which is not killed: it adopts everything and ends.
const LAST: &str = "SPOOL_TEST_LAST";

const SIGKILL: i32 = 9;
/// Kills, unless others are asked for.
const KILLS: u64 = 500;
/// A line is printed after so many kills.
const PROGRESS_KILLS: u64 = 1_000;

fn main() {
    match std::env::var_os(PLACE) {
        Some(place) => {
            confess_panics();
            Life::new(Path::new(&place)).run();
        }
        None => supervise(),
    }
}

// === the child ===

/// What a child tells. One line each, written at once.
fn say(what: std::fmt::Arguments<'_>) {
    let line = format!("{what}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the supervisor reads to the end");
}

/// A kill may come between a panic and the exit that it leads to, and hide it. A panic of the manifest's thread is caught and
/// is none of ours.
fn confess_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            say(format_args!("panicked"));
        }
        usual(panic);
    }));
}

struct Life {
    place: PathBuf,
    rng: fastrand::Rng,
    spool: Spool,
    /// Sealed by this life and not delivered.
    sealed: Vec<SealedSegment>,
    /// Found, or rolled away from, and not adopted.
    orphans: Vec<Orphan>,
}

impl Life {
    fn new(place: &Path) -> Self {
        let seed = world::number(CHILD_SEED).expect("the supervisor sets a seed");
        let mut rng = fastrand::Rng::with_seed(seed);
        say(format_args!("begun"));
        let root = place.join("spools");
        let compression = *rng.choice(&COMPRESSIONS).expect("not empty");
        let spool = world::create(&root, compression, &mut rng);
        say(format_args!("created"));
        let found = find_orphans(&root, spool.id()).unwrap();
        assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
        Self { place: place.to_owned(), rng, spool, sealed: Vec::new(), orphans: found.orphans }
    }

    fn run(mut self) {
        if std::env::var_os(LAST).is_some() {
            return self.end();
        }
        if self.rng.bool() {
            self.spool.settle_in();
        }
        // Some adopt before they append, most meanwhile, as the product does.
        if self.rng.u8(0..4) == 0 {
            self.adopt_all();
        }
        let steps_max = *self.rng.choice(&[10, 300, 3_000]).expect("not empty");
        for _ in 0..self.rng.u32(0..steps_max) {
            self.step();
        }
        self.end();
    }

    fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..60 => self.append(),
            60..75 => self.seal(SealReason::Size),
            75..88 => self.deliver_one(),
            88..95 => self.adopt_one(),
            95..97 => self.spool.count_platform_drops(1, 10).unwrap(),
            97 => self.roll(),
            _ => self.spool.settle_in(),
        }
    }

    fn append(&mut self) {
        let count = *self.rng.choice(&[0, 1, 1, 2, 5, 20, 300]).expect("not empty");
        let (id, next) = (self.spool.id(), self.spool.next_seq().0 + u64::from(count));
        say(format_args!("trying {id} {next}"));
        append(&mut self.spool, count);
        say(format_args!("acknowledged {id} {next}"));
    }

    fn seal(&mut self, reason: SealReason) {
        say(format_args!("sealing"));
        self.sealed.extend(world::seal(&mut self.spool, reason));
    }

    /// Not always the oldest: several uploads are under way when an environment ends.
    fn deliver_one(&mut self) {
        if self.sealed.is_empty() {
            return;
        }
        say(format_args!("delivering"));
        let segment = self.sealed.swap_remove(self.rng.usize(0..self.sealed.len()));
        self.spool.attempt_begun(&segment.key());
        self.put(segment.label(), &object(&segment));
        self.spool.remove(&segment.key()).unwrap();
    }

    fn adopt_one(&mut self) {
        if let Some(orphan) = self.orphans.pop() {
            say(format_args!("adopting {}", orphan.id()));
            let adopted = orphan.adopt(&world::labeler()).unwrap();
            self.drain(adopted);
            say(format_args!("adopted"));
        }
    }

    fn adopt_all(&mut self) {
        while !self.orphans.is_empty() {
            self.adopt_one();
        }
    }

    fn drain(&mut self, mut adopted: Adopted) {
        let report = adopted.report();
        assert!(report.lost.is_empty() && report.unreadable.is_empty(), "{report:?}");
        if report.torn_bytes > 0 {
            say(format_args!("torn"));
        }
        let mut left: Vec<(SegmentKey, String, Vec<u8>)> =
            adopted.segments().iter().map(|it| (it.key(), it.label().to_owned(), object(it))).collect();
        self.rng.shuffle(&mut left);
        for (key, label, bytes) in left {
            self.put(&label, &bytes);
            adopted.delivered(&key).unwrap();
        }
        assert!(adopted.is_drained());
        if let Some(end) = adopted.end() {
            self.put(&format!("{}-{:012}-{:012}-adopted-end", end.spool, end.seq, end.seq), END_LINE.as_bytes());
        }
        adopted.finish().unwrap();
    }

    fn roll(&mut self) {
        say(format_args!("rolling"));
        let identity = identity(&mut self.rng);
        self.orphans.push(self.spool.roll(identity, NOW_MS).unwrap());
        // Handed over with the rest of the old spool.
        self.sealed.clear();
    }

    /// An orderly end.
    fn end(mut self) {
        self.adopt_all();
        if self.spool.next_seq().0 > 0 {
            append_end(&mut self.spool);
            self.seal(SealReason::Shutdown);
        }
        while !self.sealed.is_empty() {
            self.deliver_one();
        }
        assert!(self.spool.remove_if_empty().unwrap(), "everything was delivered");
    }

    /// A conditional put: what is there stays, and must be what would have been put.
    fn put(&self, label: &str, bytes: &[u8]) {
        let (bucket, own) = (self.place.join("objects"), self.place.join("half-written"));
        // One that a kill has left may be an object by now: writing into it would change that.
        let _ = fs::remove_file(&own);
        fs::write(&own, bytes).unwrap();
        match fs::hard_link(&own, bucket.join(label)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                assert!(fs::read(bucket.join(label)).unwrap() == bytes, "{label} has two contents");
            }
            Err(error) => panic!("{label}: {error}"),
        }
        fs::remove_file(&own).unwrap();
    }
}

// === the supervisor ===

fn supervise() {
    let seed = world::seed(20_261_123);
    let kills = world::number("SPOOL_TEST_KILLS").unwrap_or(KILLS);
    println!("acknowledged_records_survive_sigkill_at_a_random_instant: {kills} kills, seed {seed}");
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("objects")).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut tally, mut aim) = (Tally::default(), Aim::new());
    while aim.kills() < kills {
        let (target, delay) = aim.next(&mut rng);
        let child = Child::start(place.path(), rng.u64(..), false);
        let end = child.killed_after(delay, &mut tally);
        let was_killed = end.status.signal() == Some(SIGKILL);
        assert!(was_killed || end.status.success(), "a life ended by itself with {}; seed {seed}, {aim}", end.status);
        aim.fell(target, was_killed.then(|| end.phase()));
        if was_killed && aim.kills() % PROGRESS_KILLS == 0 {
            println!("{aim}");
        }
    }
    let last = Child::start(place.path(), rng.u64(..), true).killed_after(Duration::MAX, &mut tally);
    assert!(last.status.success(), "the last life ended with {}; seed {seed}", last.status);
    assert_eq!(world::names(&place.path().join("spools")), Vec::<String>::new(), "seed {seed}: nothing is left");
    let delivered = tally.judge(&place.path().join("objects"), seed);
    println!("{aim}");
    aim.judge(seed);
    let (spools, torn) = (tally.spools.len(), tally.torn);
    println!("ok: {delivered} records of {spools} spools delivered once, 0 lost, 0 invented, {torn} torn tails");
}

/// The parts of a life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Creation,
    Adoption,
    Later,
}

impl Part {
    const ALL: [Self; 3] = [Self::Creation, Self::Adoption, Self::Later];

    /// How many of a hundred kills shall fall into it.
    fn wanted(self) -> u64 {
        match self {
            Self::Creation | Self::Adoption => 25,
            Self::Later => 50,
        }
    }

    fn of(phase: &str) -> Self {
        match phase {
            "in creation" | "before anything was done" => Self::Creation,
            "in adoption" => Self::Adoption,
            _ => Self::Later,
        }
    }
}

/// Where kills fell, and when the next one has to come to fall where too few did: how long a part lasts depends on the
/// machine and on what else it does.
struct Aim {
    phases: BTreeMap<&'static str, u64>,
    lives: u64,
    /// By part: a kill that is aimed at it comes at most so long behind the child's first word.
    within: [Duration; 3],
}

impl Aim {
    const LONGEST: Duration = Duration::from_millis(200);
    const SHORTEST: Duration = Duration::from_micros(20);

    fn new() -> Self {
        let within = [Duration::from_micros(700), Duration::from_millis(6), Duration::from_millis(80)];
        Self { phases: BTreeMap::new(), lives: 0, within }
    }

    fn kills(&self) -> u64 {
        self.phases.values().sum()
    }

    fn kills_in(&self, part: Part) -> u64 {
        self.phases.iter().filter(|(phase, _)| Part::of(phase) == part).map(|(_, kills)| kills).sum()
    }

    /// The part with the fewest kills for what it should have, and a delay that may hit it.
    fn next(&self, rng: &mut fastrand::Rng) -> (Part, Duration) {
        let target = Part::ALL.into_iter().min_by_key(|part| self.kills_in(*part) * 100 / part.wanted());
        let target = target.expect("there are parts");
        (target, self.within[target as usize].mul_f64(rng.f64()))
    }

    /// Learns from a kill, or from a life that had ended before it came.
    fn fell(&mut self, target: Part, phase: Option<&'static str>) {
        self.lives += 1;
        let within = &mut self.within[target as usize];
        let factor = match phase.map(|phase| Part::of(phase).cmp(&target)) {
            Some(Ordering::Less) => 1.1,
            Some(Ordering::Equal) => 1.0,
            Some(Ordering::Greater) | None => 0.9,
        };
        *within = within.mul_f64(factor).clamp(Self::SHORTEST, Self::LONGEST);
        if let Some(phase) = phase {
            *self.phases.entry(phase).or_default() += 1;
        }
    }

    /// Half of the kills are asked for, and the last ones may have missed. Creation is over so soon that a busy machine lets few
    /// kills come in time.
    fn judge(&self, seed: u64) {
        let (kills, creation, adoption) = (self.kills(), self.kills_in(Part::Creation), self.kills_in(Part::Adoption));
        assert!((creation + adoption) * 100 >= kills * 45, "seed {seed}: too few kills fell into a start: {self}");
        assert!(creation.min(adoption) * 100 >= kills * 5, "seed {seed}: one part of the start was spared: {self}");
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kills in {} lives: {:?}", self.kills(), self.lives, self.phases)
    }
}

/// A running child, and the lines that it says.
struct Child {
    process: std::process::Child,
    said: Receiver<String>,
}

/// How a child ended.
struct End {
    status: ExitStatus,
    last_words: Option<String>,
}

impl End {
    /// Where the kill fell.
    fn phase(&self) -> &'static str {
        let last_word = self.last_words.as_deref().and_then(|words| words.split(' ').next());
        match last_word {
            None | Some("begun") => "in creation",
            Some("created") => "before anything was done",
            Some("trying") => "in an append",
            Some("adopting") => "in adoption",
            Some("rolling") => "in a roll",
            Some("sealing") => "in a seal",
            Some("delivering") => "in a delivery",
            _ => "in between",
        }
    }
}

impl Child {
    fn start(place: &Path, seed: u64, last: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(PLACE, place).env(CHILD_SEED, seed.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        if last {
            command.env(LAST, "1");
        }
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, said) = mpsc::channel();
        // The pipe is read all the time: a child must never wait for us.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, said }
    }

    /// Waits for the child to begin, then for so long, and kills it.
    fn killed_after(mut self, delay: Duration, tally: &mut Tally) -> End {
        let mut said: Vec<String> = self.said.recv().into_iter().collect();
        let mut rest = Some(delay);
        while let Some(left) = rest {
            let before = std::time::Instant::now();
            match self.said.recv_timeout(left) {
                Ok(line) => {
                    said.push(line);
                    rest = left.checked_sub(before.elapsed());
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => rest = None,
            }
        }
        // One that has ended already is not there to be killed.
        let _ = self.process.kill();
        said.extend(self.said.iter());
        let status = self.process.wait().unwrap();
        assert!(!said.iter().any(|line| line == "panicked"), "a life panicked, see above");
        said.iter().for_each(|line| tally.said(line));
        End { status, last_words: said.pop() }
    }
}

/// What the children said of each spool.
#[derive(Default)]
struct Tally {
    spools: BTreeMap<SpoolId, Numbers>,
    /// Tails that a kill had torn.
    torn: u64,
}

/// Numbers behind the last record.
#[derive(Default)]
struct Numbers {
    acknowledged: u64,
    tried: u64,
}

impl Tally {
    fn said(&mut self, line: &str) {
        self.torn += u64::from(line == "torn");
        let mut words = line.split(' ');
        let (Some(what), Some(id), Some(next)) = (words.next(), words.next(), words.next()) else { return };
        // The last line may be torn, too: then it was not said.
        let (Ok(id), Ok(next)) = (id.parse(), next.parse()) else { return };
        let numbers = self.spools.entry(id).or_default();
        match what {
            "trying" => numbers.tried = next,
            "acknowledged" => numbers.acknowledged = next,
            _ => {}
        }
    }

    /// Judges what was delivered of every spool and returns how many records that is.
    fn judge(&self, objects: &Path, seed: u64) -> u64 {
        let mut delivered: BTreeMap<SpoolId, Vec<Delivered>> = BTreeMap::new();
        for name in world::names(objects) {
            let object = Delivered::read(objects, &name);
            delivered.entry(object.spool).or_default().push(object);
        }
        for id in delivered.keys() {
            assert!(self.spools.contains_key(id), "seed {seed}: spool {id} was invented");
        }
        let nothing = Vec::new();
        let judged = self.spools.iter().map(|(id, numbers)| {
            let objects = delivered.get(id).unwrap_or(&nothing);
            let next = joined(*id, objects, seed);
            let Numbers { acknowledged, tried } = *numbers;
            assert!(next >= acknowledged, "seed {seed}: spool {id} lost {next}..{acknowledged}");
            assert!(next <= tried, "seed {seed}: spool {id} invented {tried}..{next}");
            next
        });
        judged.sum()
    }
}

/// An object as its name and its bytes tell.
struct Delivered {
    name: String,
    spool: SpoolId,
    first: u64,
    last: u64,
    lines: String,
}

impl Delivered {
    fn read(objects: &Path, name: &str) -> Self {
        let parts: Vec<_> = name.split('-').collect();
        let bytes = fs::read(objects.join(name)).unwrap();
        // Which codec it was, the name does not tell; the bytes do.
        let codec = match bytes.as_slice() {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => spool::Codec::Zstd,
            [0x1f, 0x8b, ..] => spool::Codec::Gzip,
            _ => spool::Codec::None,
        };
        Self {
            name: name.to_owned(),
            spool: parts[0].parse().unwrap(),
            first: parts[1].parse().unwrap(),
            last: parts[2].parse().unwrap(),
            lines: String::from_utf8(decoded(codec, &bytes)).unwrap(),
        }
    }
}

/// Checks that the objects of a spool join to its records and one end behind them; returns the number of records.
fn joined(id: SpoolId, objects: &[Delivered], seed: u64) -> u64 {
    let mut expected = 0;
    let mut ended = objects.is_empty();
    for Delivered { name, first, last, lines, .. } in objects {
        assert!(!ended, "seed {seed}: {name} lies behind the end of its spool");
        assert_eq!(*first, expected, "seed {seed}: {name} does not join");
        let mut lines = lines.split_inclusive('\n');
        for seq in *first..=*last {
            let line = lines.next().unwrap_or_default();
            ended = line == END_LINE;
            let is_right = ended && seq == *last || line == record(id, seq);
            assert!(is_right, "seed {seed}: {name} has another record {seq}: {line:?}");
        }
        assert_eq!(lines.next(), None, "seed {seed}: {name} has more lines than its name says");
        assert_eq!(ended, name.ends_with("-end"), "seed {seed}: {name}");
        expected = last + 1;
    }
    let names: Vec<_> = objects.iter().map(|object| &object.name).collect();
    assert!(ended, "seed {seed}: spool {id} has no end: {names:#?}");
    expected.saturating_sub(1)
}
