//! gzip by hand around raw deflate: a member must stay open over many appends, which writers of whole files cannot.

/// The most raw bytes of one member: completing a member after a crash inflates it, so its length bounds that work.
pub(crate) const MEMBER_RAW_BYTES_MAX: u64 = 1024 * 1024;

/// Header of a member (RFC 1952, 2.3.1): deflate, no name, no time, unknown system.
pub(crate) const MEMBER_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Bytes behind the deflate stream of a member: CRC-32 and length.
pub(crate) const MEMBER_TRAILER_BYTES: usize = 8;
