//! The format on disk, version 1: what the bytes of a segment file mean.
//!
//! ```text
//! segment file  = segment header (512 bytes: head, state slot 0, state slot 1), entry*
//! entry         = entry header (56 bytes), meta, payload
//! object        = payloads of the `data` entries in order, with frame ends supplied by the reader
//! ```
//!
//! Rules that can be broken, and what it means:
//! * A head whose magic, version or checksum is wrong: not a segment of this version. It is left alone.
//! * A state slot whose checksum is wrong: torn while it was written. The other slot is in force.
//! * An entry that reaches beyond the end of the file, with nothing valid behind it: the write was torn by a kill. The
//!   entry was never acknowledged; it is ignored.
//! * An entry whose checksum is wrong, with a valid entry behind it: damage. The rest of its frame is undecodable; the
//!   headers behind it still tell the exact range of numbers.
//! * The last `fragment` of the newest segment that has not ended is pending; a segment without an entry leaves it where it was.
//!   One whose checksum is wrong is lost.
//! * Numbers of entries join: `first_seq` is the previous entry's `first_seq + count`. A jump without a declared loss is
//!   damage.
//!
//! All integers are little-endian. **Do not change the order or the size of any field**: spools written by one version
//! are adopted by every later one.

pub(crate) mod checksum;
pub(crate) mod entry;
pub(crate) mod meta;
pub(crate) mod segment_header;
pub(crate) mod state_slot;
pub(crate) mod tombstone;
pub(crate) mod wire;

/// The only version there is.
pub(crate) const FORMAT_VERSION: u16 = 1;
