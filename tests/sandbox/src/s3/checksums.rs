//! What a sender says about its body, and what the body turns out to be.
//!
//! All digests are base64 of the big-endian bytes, as in the headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, PutObjectInput};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The additional checksums of an object, by algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Checksums {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc64nvme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

impl Checksums {
    /// Name, length in bytes and value of each algorithm.
    fn by_name(&self) -> [(&'static str, usize, Option<&str>); 5] {
        [
            ("crc64nvme", 8, self.crc64nvme.as_deref()),
            ("crc32", 4, self.crc32.as_deref()),
            ("crc32c", 4, self.crc32c.as_deref()),
            ("sha1", 20, self.sha1.as_deref()),
            ("sha256", 32, self.sha256.as_deref()),
        ]
    }
}

impl From<Checksum> for Checksums {
    fn from(found: Checksum) -> Self {
        Self {
            crc64nvme: found.checksum_crc64nvme,
            crc32: found.checksum_crc32,
            crc32c: found.checksum_crc32c,
            sha1: found.checksum_sha1,
            sha256: found.checksum_sha256,
        }
    }
}

/// The digests that a PUT carries in its headers.
pub(super) struct Declared {
    content_md5: Option<String>,
    checksums: Checksums,
}

impl Declared {
    /// # Errors
    /// 400 if a value cannot be a digest of its kind.
    pub(super) fn of(input: &PutObjectInput) -> S3Result<Self> {
        let declared = Self {
            content_md5: input.content_md5.clone(),
            checksums: Checksums {
                crc64nvme: input.checksum_crc64nvme.clone(),
                crc32: input.checksum_crc32.clone(),
                crc32c: input.checksum_crc32c.clone(),
                sha1: input.checksum_sha1.clone(),
                sha256: input.checksum_sha256.clone(),
            },
        };
        declared.check_form()?;
        Ok(declared)
    }

    fn check_form(&self) -> S3Result<()> {
        if let Some(md5) = &self.content_md5
            && !is_digest(md5, 16)
        {
            return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."));
        }
        for (name, length_bytes, value) in self.checksums.by_name() {
            if value.is_some_and(|value| !is_digest(value, length_bytes)) {
                return Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-{name} header is invalid."));
            }
        }
        Ok(())
    }

    /// # Errors
    /// 400 `BadDigest` if the body is not the one that was declared.
    pub(super) fn verify(&self, found: &Digests) -> S3Result<()> {
        if let Some(md5) = &self.content_md5
            && *md5 != BASE64.encode(found.md5)
        {
            return Err(bad_digest("Content-MD5"));
        }
        let pairs = self.checksums.by_name().into_iter();
        for ((name, _, declared), (_, _, found)) in pairs.zip(found.checksums.by_name()) {
            if declared.is_some() && declared != found {
                return Err(bad_digest(&name.to_ascii_uppercase()));
            }
        }
        Ok(())
    }
}

fn bad_digest(name: &str) -> S3Error {
    let message = format!("The {name} you specified did not match what we received: nothing was stored.");
    S3Error::with_message(S3ErrorCode::BadDigest, message)
}

fn is_digest(value: &str, length_bytes: usize) -> bool {
    BASE64.decode(value).is_ok_and(|digest| digest.len() == length_bytes)
}

/// Computes, while a body passes, what was declared, what every object has (the MD5 of its ETag) and what S3 adds by
/// itself (CRC-64/NVME).
pub(super) struct Digester {
    md5: Md5,
    hasher: ChecksumHasher,
}

impl Digester {
    pub(super) fn new(declared: &Declared) -> Self {
        let asked = &declared.checksums;
        Self {
            md5: Md5::default(),
            hasher: ChecksumHasher {
                crc64nvme: Some(Default::default()),
                crc32: asked.crc32.as_ref().map(|_| Default::default()),
                crc32c: asked.crc32c.as_ref().map(|_| Default::default()),
                sha1: asked.sha1.as_ref().map(|_| Default::default()),
                sha256: asked.sha256.as_ref().map(|_| Default::default()),
            },
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.hasher.update(bytes);
    }

    pub(super) fn finish(self) -> Digests {
        Digests { md5: self.md5.finalize(), checksums: self.hasher.finalize().into() }
    }
}

/// What a body is.
pub(super) struct Digests {
    md5: [u8; 16],
    pub(super) checksums: Checksums,
}

impl Digests {
    /// The entity tag of an object that came in one piece: its MD5 in hex.
    pub(super) fn etag(&self) -> String {
        self.md5.iter().fold(String::new(), |mut tag, byte| {
            write!(tag, "{byte:02x}").expect("writing to a string cannot fail");
            tag
        })
    }
}
