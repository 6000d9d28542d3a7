//! Whatever is appended, and wherever the stream is cut: writer and reader agree on the bytes that end a frame, and
//! with them the object is complete for an independent decoder. And the reader survives payloads that are no stream.

use arbitrary::{Arbitrary, Unstructured};

use super::object;
use crate::codec::{Codec, Compression, Encoder, FrameEnd, FrameTracker};
use crate::format::entry::EntryFlags;

/// Appends of one input; more find nothing that these do not.
const STEPS_MAX: usize = 24;

#[derive(Debug, Arbitrary)]
struct Input {
    codec: u8,
    level: i8,
    frame_bytes_max: Option<u16>,
    /// Payloads reach the reader in pieces of this length.
    piece_bytes: u16,
    steps: Vec<Append>,
    /// Payloads that no encoder made, with flags that need not fit.
    strange: Vec<(Vec<u8>, bool, bool)>,
}

#[derive(Debug, Arbitrary)]
struct Append {
    lines: Vec<u8>,
    /// The lines come so many times: a frame is longer than what a fuzzer would write.
    times: u8,
    /// The write behind this append failed, or the segment was sealed.
    abandon: bool,
}

/// Input: a structure by `arbitrary`.
pub fn frame_ends(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let codec = [Codec::None, Codec::Zstd, Codec::Gzip][usize::from(input.codec % 3)];
    let piece_bytes = usize::from(input.piece_bytes).max(1);
    appended(codec, &input, piece_bytes);
    strange(codec, &input.strange, piece_bytes);
}

fn appended(codec: Codec, input: &Input, piece_bytes: usize) {
    let frame_bytes_max = input.frame_bytes_max.map(u64::from);
    // Higher levels only take longer: how a frame ends does not depend on them.
    let compression = Compression { codec, level: i32::from(input.level).clamp(1, 3), frame_bytes_max };
    let (mut encoder, mut tracker) = (Encoder::new(compression), FrameTracker::new(codec));
    let (mut raw, mut object) = (Vec::new(), Vec::new());
    let mut open = None;
    for append in input.steps.iter().take(STEPS_MAX) {
        let lines = append.lines.repeat(usize::from(append.times));
        let mut payload = Vec::new();
        let encoded = encoder.encode(&lines, &mut payload).expect("compression into memory does not fail");
        if payload.is_empty() {
            continue;
        }
        let flags =
            EntryFlags { starts_frame: encoded.starts_frame, ends_frame: encoded.ends_frame, ..EntryFlags::default() };
        let supplied = tracker.before(flags);
        let due = if flags.starts_frame { open.take() } else { None };
        assert_eq!(supplied, due, "the end of the frame before");
        object.extend_from_slice(slice(&supplied));
        for piece in payload.chunks(piece_bytes) {
            tracker.payload(piece);
        }
        tracker.after(flags);
        raw.extend_from_slice(&lines);
        object.extend_from_slice(&payload);
        open = encoder.frame_end();
        if append.abandon {
            encoder.abandon_frame();
        }
    }
    let supplied = tracker.finish();
    assert_eq!(supplied, open, "the end of the last frame");
    object.extend_from_slice(slice(&supplied));
    assert!(object::decoded(codec, &object) == raw, "the object holds the lines");
}

fn strange(codec: Codec, payloads: &[(Vec<u8>, bool, bool)], piece_bytes: usize) {
    let mut tracker = FrameTracker::new(codec);
    for (payload, starts_frame, ends_frame) in payloads.iter().take(STEPS_MAX) {
        let flags = EntryFlags { starts_frame: *starts_frame, ends_frame: *ends_frame, ..EntryFlags::default() };
        let _ = tracker.before(flags);
        payload.chunks(piece_bytes).for_each(|piece| tracker.payload(piece));
        tracker.after(flags);
    }
    let _ = tracker.finish();
    assert_eq!(tracker.finish(), None, "a frame ends once");
}

fn slice(end: &Option<FrameEnd>) -> &[u8] {
    end.as_ref().map_or(&[], FrameEnd::as_slice)
}
