//! A durable, compressed, append-only queue on disk.
//!
//! # What it promises
//!
//! * An append that returned `Ok` survives SIGKILL of the process at any instant.
//! * The bytes of an object are fixed when its segment is sealed: the process that wrote it, one that adopts it after a
//!   crash, and a copy of either compute the same bytes, the same digest and the same range.
//! * Numbers have no holes: a record that is lost keeps its number, and the loss can be told from the files.
//! * A [fragment](Spool::append_fragment) that was acknowledged is ended by lines that were, or shipped by an adopter with the end
//!   of the stream; or its loss is declared. It outlives every segment.
//!
//! # Constraints
//!
//! * **One spool is one life.** Every start makes a new directory, named by a ULID, and only ever appends there; its numbers
//!   start at 0. A directory whose lock is free is an [orphan](Orphan): it is adopted, drained and removed.
//! * **In doubt, roll.** A new directory is always allowed and never wrong.
//! * One process writes a spool. Its file system is local: the lock of a network file system is a lease, which a frozen
//!   process loses.
//! * An append is one `pwrite` and no fsync: what is lost with the machine takes the directory along anyway.
//! * Sealing writes nothing that could fail except the next segment's file, which is made first.
//! * The files alone are enough to ship every acknowledged record. The manifest (sled) tells what they cannot; one that
//!   fails is abandoned.
//! * The crate knows nothing of what its lines mean, nothing of where they go, and has no clock and no async runtime: time
//!   comes in as an argument, and every call works in the calling thread.
//!
//! # The life of a segment
//!
//! ```text
//! create -> append* -> seal -> (read by an uploader, any number of times) -> remove
//!              |
//!              +- killed: adopted by the next process, which reads the same object from the file
//! ```
//!
//! A *record* is one line with one number; an *entry* is one stored batch; a *segment* is a run of entries that becomes one
//! object; a *fragment* is an entry that is no record yet. The format on disk is documented in the `format` module of the
//! source.

mod adopt;
mod codec;
mod elders;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod inspect;
mod kept;
mod loss;
mod manifest;
mod place;
mod quota;
mod seal;
mod segment;
mod spool;
mod storage;

pub use adopt::{
    Adopted, AdoptionReport, BodyId, Found, NotAdopted, Orphan, StreamEnd, Tail, TailBudget, UnknownVersion,
    find_orphans,
};
pub use codec::{Codec, CodecError, Compression, compress_whole, decoder};
pub use format::checksum::{ObjectDigest, object_digest};
pub use format::meta::{META_BYTES_MAX, Meta};
pub use id::{FragmentId, SegmentId, Seqno, SpoolId, SpoolIdError};
pub use inspect::{
    Finding, InspectError, InspectedFile, InspectedFragment, InspectedSegment, Inspection, Liveness, SegmentState,
    What, inspect,
};
pub use loss::{Loss, LossCause, Losses};
pub use manifest::ManifestState;
pub use place::Place;
pub use quota::{SpoolLimits, WhenFull};
pub use seal::SealReason;
pub use segment::active::{AppendError, Batch};
pub use segment::fragment::{FRAGMENT_BYTES_MAX, Fragment, PendingFragment};
pub use segment::sealed::{DroppedRange, Mark, ObjectChunks, SealedSegment, SegmentFacts, SegmentKey};
pub use spool::{
    ActiveFacts, CreateError, Identity, Labeler, MEMORY_BYTES_MAX, SealError, Spool, SpoolConfig, SpoolEvent,
};
