//! Where objects go: `s3://bucket/prefix`, `file:///path`.

use std::path::PathBuf;

use super::value::Rule;

/// A place for objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A bucket, and what its keys begin with (may be empty).
    S3 {
        /// The bucket.
        bucket: String,
        /// What keys begin with, without slashes at its ends.
        prefix: String,
    },
    /// A directory of this machine.
    File(PathBuf),
}

/// Longest and shortest name of a bucket (Amazon S3 User Guide, "General purpose bucket naming rules").
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// Reads a destination.
pub(super) fn parse(text: &str) -> Result<Destination, Rule> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let named = BUCKET_BYTES.contains(&bucket.len())
            && bucket.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte));
        if !named {
            return Err("s3://bucket/prefix with a bucket name of 3 to 63 lower-case letters, digits, dots and hyphens is expected".into());
        }
        return Ok(Destination::S3 { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() });
    }
    match text.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(Destination::File(PathBuf::from(path))),
        Some(_) => Err("file:// with an absolute path is expected, like file:///mnt/logs".into()),
        None => Err("s3://bucket/prefix or file:///path is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Result<Destination, Rule> {
        Ok(Destination::S3 { bucket: bucket.into(), prefix: prefix.into() })
    }

    #[test]
    fn destinations_read_as_urls() {
        assert_eq!(parse("s3://my-logs"), s3("my-logs", ""));
        assert_eq!(parse("s3://my-logs/"), s3("my-logs", ""));
        assert_eq!(parse("s3://my-logs/team/a/"), s3("my-logs", "team/a"));
        assert_eq!(parse("file:///mnt/logs"), Ok(Destination::File("/mnt/logs".into())));
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in ["", "my-logs", "s3://", "s3:///prefix", "s3://My_Logs!/x", "file://relative", "https://x/y"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
