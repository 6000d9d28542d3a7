//! Sorts more than fits into memory: what is in memory beyond a limit goes, sorted, into a file of its own, and all of them are
//! merged (Knuth, The Art of Computer Programming 3, section 5.4).
//!
//! The files have no name, so nothing is left of them, however the process ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _};

/// What lies in memory before it goes into a file: some 300,000 names of objects.
pub const MEMORY_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// What an entry costs beside its bytes: the pointer to it, its length, and what the allocator adds.
const OVERHEAD_BYTES: usize = 48;
const BUFFER_BYTES: usize = 32 * 1024;
/// So many files become one, of the next level: some systems let a process have 256 open, and each has a buffer.
const RUNS_MAX: usize = 32;
/// An entry is a name or a line; whoever could have longer ones has cut them before.
const ENTRY_BYTES_MAX: usize = u32::MAX as usize;

/// A sort key, and what belongs to it: compared byte by byte, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What is sorted by.
    pub key: Box<[u8]>,
    /// What belongs to it.
    pub value: Box<[u8]>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.len() + 2 * OVERHEAD_BYTES
    }
}

/// A file of sorted entries.
struct Run {
    file: BufReader<File>,
    /// How often its entries were merged: each is written at most once for each level.
    level: u8,
}

/// Takes entries in any order and gives the smallest first. Both may alternate.
pub struct Sorter {
    memory: BinaryHeap<Reverse<Entry>>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    /// Those that are read to their end are closed: nothing of them is on the disk any more.
    runs: Vec<Option<Run>>,
    /// The next entry of each run that has one.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
    len: u64,
}

impl Sorter {
    /// One that keeps about so many bytes in memory.
    #[must_use]
    pub fn new(memory_bytes_max: usize) -> Self {
        let (memory, heads) = (BinaryHeap::new(), BinaryHeap::new());
        Self { memory, memory_bytes: 0, memory_bytes_max, runs: Vec::new(), heads, len: 0 }
    }

    /// How many entries it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes an entry.
    ///
    /// # Errors
    /// When the disk for temporary files has no room, or fails.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.len().max(value.len()) > ENTRY_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an entry of more than 4 GiB cannot be sorted"));
        }
        let entry = Entry { key: key.into(), value: value.into() };
        self.memory_bytes += entry.bytes();
        self.len += 1;
        self.memory.push(Reverse(entry));
        if self.memory_bytes > self.memory_bytes_max { self.spill() } else { Ok(()) }
    }

    /// The smallest entry, if its key is below `bound`.
    ///
    /// # Errors
    /// When a temporary file cannot be read.
    pub fn pop_below(&mut self, bound: Option<&[u8]>) -> io::Result<Option<Entry>> {
        let in_memory = self.memory.peek().map(|Reverse(entry)| entry);
        let in_file = self.heads.peek().map(|Reverse((entry, _))| entry);
        let from_memory = match (in_memory, in_file) {
            (None, None) => return Ok(None),
            (Some(memory), Some(file)) => memory <= file,
            (memory, _) => memory.is_some(),
        };
        let smallest = if from_memory { in_memory } else { in_file };
        if bound.is_some_and(|bound| smallest.is_some_and(|entry| &*entry.key >= bound)) {
            return Ok(None);
        }
        self.len -= 1;
        if from_memory {
            let entry = self.memory.pop().map(|Reverse(entry)| entry);
            self.memory_bytes -= entry.as_ref().map_or(0, Entry::bytes);
            return Ok(entry);
        }
        let Some(Reverse((entry, run))) = self.heads.pop() else { return Ok(None) };
        if let Some(next) = self.next_of(run)? {
            self.heads.push(Reverse((next, run)));
        }
        Ok(Some(entry))
    }

    /// The smallest entry.
    ///
    /// # Errors
    /// When a temporary file cannot be read.
    pub fn pop(&mut self) -> io::Result<Option<Entry>> {
        self.pop_below(None)
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut file = new_file()?;
        let sorted = std::mem::take(&mut self.memory).into_sorted_vec();
        self.memory_bytes = 0;
        // `Reverse` sorts the largest to the front.
        sorted.iter().rev().try_for_each(|Reverse(entry)| write_entry(&mut file, entry))?;
        self.add_run(file, 0)?;
        let mut level = 0;
        while self.merge(level)? {
            level += 1;
        }
        Ok(())
    }

    fn add_run(&mut self, file: BufWriter<File>, level: u8) -> io::Result<()> {
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let added = Some(Run { file: BufReader::with_capacity(BUFFER_BYTES, file), level });
        let run = self.runs.iter().position(Option::is_none).unwrap_or(self.runs.len());
        match self.runs.get_mut(run) {
            Some(place) => *place = added,
            None => self.runs.push(added),
        }
        if let Some(first) = self.next_of(run)? {
            self.heads.push(Reverse((first, run)));
        }
        Ok(())
    }

    /// Makes one file of those of a level, if there are too many.
    fn merge(&mut self, level: u8) -> io::Result<bool> {
        let is_merged: Vec<bool> =
            self.runs.iter().map(|run| run.as_ref().is_some_and(|run| run.level == level)).collect();
        if is_merged.iter().filter(|is_merged| **is_merged).count() < RUNS_MAX {
            return Ok(false);
        }
        let (mut heads, others) = self.heads.drain().partition(|Reverse((_, run))| is_merged[*run]);
        self.heads = others;
        let mut file = new_file()?;
        while let Some(Reverse((entry, run))) = BinaryHeap::pop(&mut heads) {
            write_entry(&mut file, &entry)?;
            if let Some(next) = self.next_of(run)? {
                heads.push(Reverse((next, run)));
            }
        }
        self.add_run(file, level + 1)?;
        Ok(true)
    }

    /// The next entry of a file, which is closed when there is none.
    fn next_of(&mut self, run: usize) -> io::Result<Option<Entry>> {
        let Some(Run { file, .. }) = &mut self.runs[run] else { return Ok(None) };
        let Some(key) = read_part(file)? else {
            self.runs[run] = None;
            return Ok(None);
        };
        let value = read_part(file)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Some(Entry { key, value }))
    }
}

fn new_file() -> io::Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile()?))
}

fn write_entry(file: &mut impl io::Write, entry: &Entry) -> io::Result<()> {
    for part in [&entry.key, &entry.value] {
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(part)?;
    }
    Ok(())
}

/// `None` at the end of the file.
fn read_part(file: &mut BufReader<File>) -> io::Result<Option<Box<[u8]>>> {
    let mut length = [0; 4];
    match file.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut part = vec![0; u32::from_le_bytes(length) as usize];
    file.read_exact(&mut part)?;
    Ok(Some(part.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(sorter: &mut Sorter, bound: Option<&[u8]>) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| sorter.pop_below(bound).expect("read")).map(|entry| entry.key.to_vec()).collect()
    }

    #[test]
    fn whatever_fits_into_memory_comes_out_sorted_and_once() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let count = RUNS_MAX * RUNS_MAX + 100;
        for memory_bytes in [0, 300, 50_000, MEMORY_BYTES_DEFAULT] {
            let mut sorter = Sorter::new(memory_bytes);
            let mut expected = Vec::new();
            for _ in 0..count {
                let key = vec![rng.u8(..4); rng.usize(..6)];
                sorter.push(&key, &[rng.u8(..)]).expect("taken");
                expected.push(key);
            }
            expected.sort_unstable();
            assert_eq!(sorter.len(), count as u64);
            assert!(memory_bytes > 50_000 || sorter.runs.len() > 1, "files are used");
            assert!(sorter.runs.len() <= 3 * RUNS_MAX, "files are few");
            assert_eq!(drain(&mut sorter, None), expected, "{memory_bytes}");
            assert!(sorter.is_empty());
            assert!(sorter.runs.iter().all(Option::is_none), "no file is kept that is read to its end");
        }
    }

    #[test]
    fn taking_and_giving_may_alternate() {
        for memory_bytes in [0, MEMORY_BYTES_DEFAULT] {
            let mut sorter = Sorter::new(memory_bytes);
            for key in [b"3", b"1", b"5"] {
                sorter.push(key, b"").expect("taken");
            }
            assert_eq!(drain(&mut sorter, Some(b"4")), [b"1", b"3"]);
            for key in [b"4", b"6", b"2"] {
                sorter.push(key, b"").expect("taken");
            }
            assert_eq!(drain(&mut sorter, Some(b"5")), [b"2", b"4"]);
            assert_eq!(drain(&mut sorter, None), [b"5", b"6"]);
            assert!(sorter.runs.len() <= 4, "the place of a file that is read is taken by the next one");
        }
    }

    #[test]
    fn equal_keys_come_in_the_order_of_what_belongs_to_them() {
        let mut sorter = Sorter::new(0);
        for value in [b"b", b"a", b"c"] {
            sorter.push(b"k", value).expect("taken");
        }
        let values: Vec<_> = std::iter::from_fn(|| sorter.pop().expect("read")).map(|entry| entry.value).collect();
        assert_eq!(values, [b"a", b"b", b"c"].map(|value| Box::from(value.as_slice())));
    }
}
