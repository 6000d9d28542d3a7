//! A reader of intact segment files, written from `docs/format.md` alone: it tells a test what lies where.

use std::ops::Range;

/// Where the entries begin.
pub const ENTRIES_AT: usize = 512;
const ENTRY_HEADER_BYTES: usize = 56;
const ENTRY_MAGIC: [u8; 4] = [0xf5, b'L', b'S', b'E'];

/// The kind of an entry that holds no line yet.
pub const FRAGMENT: u8 = 2;

/// An entry of an intact file.
#[derive(Debug, Clone)]
pub struct EntryPlace {
    pub kind: u8,
    /// It ends a fragment.
    pub resolves: bool,
    /// Header and meta.
    pub head: Range<usize>,
    pub payload: Range<usize>,
    pub first_seq: u64,
    pub records: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Whether the file is a segment, and not a tombstone.
pub fn is_segment(file: &[u8]) -> bool {
    file.starts_with(b"LOGSPOOL")
}

/// The entries of an intact segment file, in order.
pub fn entries(file: &[u8]) -> Vec<EntryPlace> {
    let (mut entries, mut at) = (Vec::new(), ENTRIES_AT);
    while is_segment(file) && at + ENTRY_HEADER_BYTES <= file.len() {
        assert_eq!(file[at..at + 4], ENTRY_MAGIC, "an intact file has an entry at {at}");
        let payload_at = at + ENTRY_HEADER_BYTES + usize::from(u16_at(file, at + 6));
        let end = payload_at + usize::try_from(u32_at(file, at + 8)).unwrap();
        entries.push(EntryPlace {
            kind: file[at + 4],
            resolves: file[at + 5] & 8 != 0,
            head: at..payload_at,
            payload: payload_at..end,
            first_seq: u64_at(file, at + 24),
            records: u32_at(file, at + 20),
        });
        at = end;
    }
    entries
}

/// An entry with one record and nothing in it, right in everything that can be known without the salt.
pub fn forged_header(first_seq: u64) -> [u8; ENTRY_HEADER_BYTES] {
    let mut bytes = [0; ENTRY_HEADER_BYTES];
    bytes[..4].copy_from_slice(&ENTRY_MAGIC);
    bytes[4..6].copy_from_slice(&[1, 3]);
    bytes[20] = 1;
    bytes[24..32].copy_from_slice(&first_seq.to_le_bytes());
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[..52]);
    bytes[52..].copy_from_slice(&checksum.to_le_bytes()[..4]);
    bytes
}

/// Whether damage at a byte of a file is told by something else. What stands once cannot be told by anybody: the head, the
/// slots and the last entry with a record of the newest file. (Behind every other file stands one that begins with the
/// number that follows.)
pub fn is_told(file: &[u8], is_newest: bool, at: usize) -> bool {
    if !is_newest {
        return true;
    }
    let entries = entries(file);
    let last = entries.iter().rposition(|entry| entry.records > 0);
    let in_head = |entry: &EntryPlace| entry.head.contains(&at);
    at >= ENTRIES_AT && !entries[last.unwrap_or(0)..].iter().any(in_head)
}

/// Whether it is still known which fragment was pending when a byte of the newest file is damaged: the head of each stands
/// once, and so does the head of what ended it.
pub fn fragment_is_told(file: &[u8], at: usize) -> bool {
    !entries(file).iter().any(|entry| (entry.kind == FRAGMENT || entry.resolves) && entry.head.contains(&at))
}
