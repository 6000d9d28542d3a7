//! What the children said of each spool, held against what was delivered of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use spool::SpoolId;

use crate::world::{self, END_LINE, decoded, record};

/// What the children said of each spool.
#[derive(Default)]
pub struct Tally {
    pub spools: BTreeMap<SpoolId, Numbers>,
    /// Tails that a kill had torn.
    pub torn: u64,
}

/// Numbers behind the last record.
#[derive(Default)]
pub struct Numbers {
    acknowledged: u64,
    tried: u64,
}

impl Tally {
    pub fn said(&mut self, line: &str) {
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
    pub fn judge(&self, objects: &Path, seed: u64) -> u64 {
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
pub struct Delivered {
    name: String,
    spool: SpoolId,
    first: u64,
    last: u64,
    lines: String,
}

impl Delivered {
    pub fn read(objects: &Path, name: &str) -> Self {
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
pub fn joined(id: SpoolId, objects: &[Delivered], seed: u64) -> u64 {
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
