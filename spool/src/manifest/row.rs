//! A row of the manifest. The only file that names bincode.
//!
//! Stored form: version u8, CRC-32C of the rest u32 (little-endian), the row. **Do not change the order of fields**: a new
//! layout takes a new version.

use bincode::{Decode, Encode};

use crate::format::checksum::crc32c;

/// The longest stored row, in bytes: sled keeps rows of this size inside its pages.
pub(crate) const ROW_BYTES_MAX: usize = 512;
const VERSION: u8 = 1;

/// Where a segment is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum RowState {
    /// It is appended to.
    Active,
    /// It will not change any more.
    Sealed,
    /// It is where it should be; its file may be removed.
    Uploaded,
    /// Its records are lost; a tombstone stands in its place.
    Dropped,
}

/// What is known of a segment beside its file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Row {
    pub state: RowState,
    pub first_seq: u64,
    pub opened_ms: i64,
    pub sealed: Option<SealedRow>,
    /// The label that it was sealed with; empty if it would not fit.
    pub label: String,
    pub attempts: u32,
}

/// What sealing fixes. A file that is shorter, or missing, is seen only by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SealedRow {
    pub reason: u8,
    pub last_seq: u64,
    pub records: u64,
    pub raw_bytes: u64,
    pub file_bytes: u64,
    pub object_bytes: u64,
    pub digest: u64,
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<ROW_BYTES_MAX>()
}

impl Row {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let whole = self.encode_bounded();
        let row = whole.or_else(|| Self { label: String::new(), ..self.clone() }.encode_bounded());
        row.expect("a row without its label is far below the limit")
    }

    fn encode_bounded(&self) -> Option<Vec<u8>> {
        let row = bincode::encode_to_vec(self, config()).ok()?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&crc32c(&[&row]).to_le_bytes());
        bytes.extend_from_slice(&row);
        (bytes.len() <= ROW_BYTES_MAX).then_some(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, a, b, c, d], row) = bytes.split_first_chunk::<5>()? else { return None };
        if u32::from_le_bytes([a, b, c, d]) != crc32c(&[row]) {
            return None;
        }
        let (decoded, used) = bincode::decode_from_slice(row, config()).ok()?;
        (used == row.len()).then_some(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str) -> Row {
        Row {
            state: RowState::Sealed,
            first_seq: u64::MAX,
            opened_ms: i64::MIN,
            sealed: Some(SealedRow {
                reason: 255,
                last_seq: u64::MAX,
                records: u64::MAX,
                raw_bytes: u64::MAX,
                file_bytes: u64::MAX,
                object_bytes: u64::MAX,
                digest: u64::MAX,
            }),
            label: label.into(),
            attempts: u32::MAX,
        }
    }

    #[test]
    fn a_row_reads_back_as_written() {
        assert_eq!(Row::decode(&row("logs/function=f").encode()), Some(row("logs/function=f")));
    }

    #[test]
    fn a_label_that_does_not_fit_is_left_out() {
        let bytes = row(&"x".repeat(1_000)).encode();
        assert!(bytes.len() <= ROW_BYTES_MAX);
        assert_eq!(Row::decode(&bytes), Some(row("")));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = row("logs").encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Row::decode(&damaged), None, "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(Row::decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
