//! The last part of a key: what a listing proves completeness by. Written and read here only.

/// Numbers in a file name have at least so many digits; larger numbers are simply longer.
pub const SEQ_DIGITS: usize = 12;
/// A spool id is a ULID: 26 characters of Crockford's base 32.
pub const SPOOL_ID_LEN: usize = 26;
/// Longest cause in the name of a tombstone, in bytes.
pub const CAUSE_BYTES_MAX: usize = 32;

const DIGEST_DIGITS: usize = 16;
const U64_DIGITS_MAX: usize = 20;
/// `<spool id>-<first>-<last>-<crc64>-end.ndjson.zst` at its longest; a tombstone is never longer.
pub(super) const FILE_NAME_BYTES_MAX: usize = SPOOL_ID_LEN
    + 2 * (1 + U64_DIGITS_MAX)
    + (1 + max(DIGEST_DIGITS + "-end".len(), CAUSE_BYTES_MAX))
    + ".ndjson.zst".len();

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// How the bytes of a segment are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// zstd: `.zst`.
    Zstd,
    /// gzip: `.gz`.
    Gzip,
    /// Plain bytes: no suffix.
    None,
}

/// What a line of a segment looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LineFormat {
    /// One JSON object a line: `.ndjson`.
    #[default]
    Json,
    /// Time, request id and message: `.log`.
    Text,
    /// The message alone: `.log`.
    Raw,
}

impl LineFormat {
    /// How it stands in the header of a segment.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Text => 1,
            Self::Raw => 2,
        }
    }

    /// Reads what stands in a header. What a later version may write there has lines, and no more is known of it.
    #[must_use]
    pub const fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Json,
            1 => Self::Text,
            _ => Self::Raw,
        }
    }
}

/// What a segment is besides a range of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Nothing besides.
    None,
    /// It holds the end line of its spool: `-end`.
    End,
    /// An intact run of a damaged segment: `-cut`.
    Cut,
}

/// What the name of a segment's object is made of; all of it is fixed when the segment is sealed.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFacts<'a> {
    /// The life of the process that wrote it: a ULID, 26 characters.
    pub spool_id: &'a str,
    /// Sequence number of its first line.
    pub first: u64,
    /// Sequence number of its last line.
    pub last: u64,
    /// CRC-64/NVME of the object's bytes.
    pub digest: u64,
    /// Time that chooses the folder, in milliseconds since 1970 UTC: that of the first line, for the end line of an
    /// adopter [`spool_id_time_ms`].
    pub partition_ms: i64,
    /// Compression of the object.
    pub codec: Compression,
    /// Format of its lines.
    pub format: LineFormat,
    /// What it is besides.
    pub mark: Mark,
}

/// What the name of a tombstone is made of: a range that was lost, and why.
#[derive(Clone, Copy, Debug)]
pub struct DroppedFacts<'a> {
    /// The life of the process that numbered the lines: a ULID, 26 characters.
    pub spool_id: &'a str,
    /// First lost sequence number.
    pub first: u64,
    /// Last lost sequence number.
    pub last: u64,
    /// Why it was lost: one lower-case word of at most [`CAUSE_BYTES_MAX`] bytes.
    pub cause: &'a str,
}

/// The file name of a segment's object.
#[must_use]
pub fn segment_file_name(facts: &SegmentFacts<'_>) -> String {
    debug_assert!(is_spool_id(facts.spool_id) && facts.first <= facts.last);
    format!(
        "{}-{:0SEQ_DIGITS$}-{:0SEQ_DIGITS$}-{:0DIGEST_DIGITS$x}{}.{}{}",
        facts.spool_id,
        facts.first,
        facts.last,
        facts.digest,
        mark_suffix(facts.mark),
        line_extension(facts.format),
        codec_suffix(facts.codec),
    )
}

/// The file name of a tombstone.
#[must_use]
pub fn dropped_file_name(facts: &DroppedFacts<'_>) -> String {
    debug_assert!(is_spool_id(facts.spool_id) && facts.first <= facts.last);
    debug_assert!(is_cause(facts.cause));
    format!("{}-{:0SEQ_DIGITS$}-{:0SEQ_DIGITS$}-{}.dropped", facts.spool_id, facts.first, facts.last, facts.cause,)
}

/// What a file name says: the inverse of [`segment_file_name`] and [`dropped_file_name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The spool it belongs to.
    pub spool_id: &'a str,
    /// First sequence number.
    pub first: u64,
    /// Last sequence number.
    pub last: u64,
    /// What lies under the name.
    pub content: Content<'a>,
}

/// What lies under a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// The lines of the range.
    Lines {
        /// CRC-64/NVME of the object's bytes.
        digest: u64,
        /// What it is besides.
        mark: Mark,
        /// `ndjson` or `log`: text and raw lines share an extension.
        extension: &'a str,
        /// Compression of the object.
        codec: Compression,
    },
    /// The declaration that the range was lost.
    Dropped {
        /// Why.
        cause: &'a str,
    },
}

/// Reads a file name (the last part of a key). `None` for every name that this module does not write, be it off by one
/// padding zero: a foreign object must not pass for ours.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<FileName<'_>> {
    let (spool_id, rest) = name.split_once('-')?;
    let (first, rest) = rest.split_once('-')?;
    let (last, rest) = rest.split_once('-')?;
    let (first, last) = (parse_seq(first)?, parse_seq(last)?);
    if !is_spool_id(spool_id) || first > last {
        return None;
    }
    let content = match rest.strip_suffix(".dropped") {
        Some(cause) => Content::Dropped { cause: Some(cause).filter(|cause| is_cause(cause))? },
        None => parse_lines(rest)?,
    };
    Some(FileName { spool_id, first, last, content })
}

/// `<crc64>[-end|-cut].(ndjson|log)[.zst|.gz]`
fn parse_lines(rest: &str) -> Option<Content<'_>> {
    let (stem, extensions) = rest.split_once('.')?;
    let (digest, mark) = match stem.split_once('-') {
        None => (stem, Mark::None),
        Some((digest, "end")) => (digest, Mark::End),
        Some((digest, "cut")) => (digest, Mark::Cut),
        Some(_) => return None,
    };
    let (extension, codec) = match extensions.split_once('.') {
        None => (extensions, Compression::None),
        Some((extension, "zst")) => (extension, Compression::Zstd),
        Some((extension, "gz")) => (extension, Compression::Gzip),
        Some(_) => return None,
    };
    if !matches!(extension, "ndjson" | "log") {
        return None;
    }
    Some(Content::Lines { digest: parse_digest(digest)?, mark, extension, codec })
}

fn parse_seq(digits: &str) -> Option<u64> {
    let padded_right = match digits.len() {
        len if len < SEQ_DIGITS => false,
        SEQ_DIGITS => true,
        _ => !digits.starts_with('0'),
    };
    (padded_right && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn parse_digest(hex: &str) -> Option<u64> {
    let ours = hex.len() == DIGEST_DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ours.then(|| u64::from_str_radix(hex, 16).ok()).flatten()
}

/// When the spool with this id began, in milliseconds since 1970 UTC: the first 48 bits of a ULID. `None` if it is none.
#[must_use]
pub fn spool_id_time_ms(spool_id: &str) -> Option<i64> {
    if !is_spool_id(spool_id) {
        return None;
    }
    spool_id.bytes().take(10).try_fold(0_i64, |ms, digit| Some(ms << 5 | i64::from(crockford(digit)?)))
}

/// Upper-case ULIDs only, as they are written: 26 digits, of which the first is at most 7 (26 x 5 bits are two too many).
fn is_spool_id(id: &str) -> bool {
    id.len() == SPOOL_ID_LEN && id.bytes().all(|digit| crockford(digit).is_some()) && id.as_bytes()[0] <= b'7'
}

fn crockford(digit: u8) -> Option<u8> {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let position = ALPHABET.iter().position(|&known| known == digit)?;
    u8::try_from(position).ok()
}

fn is_cause(cause: &str) -> bool {
    (1..=CAUSE_BYTES_MAX).contains(&cause.len()) && cause.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

const fn mark_suffix(mark: Mark) -> &'static str {
    match mark {
        Mark::None => "",
        Mark::End => "-end",
        Mark::Cut => "-cut",
    }
}

const fn line_extension(format: LineFormat) -> &'static str {
    match format {
        LineFormat::Json => "ndjson",
        LineFormat::Text | LineFormat::Raw => "log",
    }
}

const fn codec_suffix(codec: Compression) -> &'static str {
    match codec {
        Compression::Zstd => ".zst",
        Compression::Gzip => ".gz",
        Compression::None => "",
    }
}
