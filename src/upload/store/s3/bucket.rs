//! What a bucket can be called: by its name, or by the ARN of an access point to it.

use std::fmt;

/// Longest and shortest name (Amazon S3 User Guide, "General purpose bucket naming rules"). The alias of an access point is a
/// name, too.
const NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;
/// How names of directory buckets end (S3 Express One Zone).
const DIRECTORY_BUCKET_SUFFIX: &str = "--x-s3";

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    region: Option<String>,
}

impl Bucket {
    /// Reads what stands behind `s3://`: the bucket and, behind a slash, what keys begin with.
    ///
    /// # Errors
    /// What cannot be a bucket, or one that takes no plain put.
    pub fn parse(text: &str) -> Result<(Self, &str), BucketError> {
        if text.starts_with("arn:") {
            return access_point(text);
        }
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        let is_name =
            NAME_BYTES.contains(&name.len()) && name.bytes().all(|byte| is_letter(byte) || b"._".contains(&byte));
        if !is_name {
            return Err(BucketError::Name);
        }
        if name.ends_with(DIRECTORY_BUCKET_SUFFIX) {
            return Err(BucketError::Directory);
        }
        Ok((Self { name: name.to_owned(), region: None }, prefix))
    }

    /// The name, or the whole ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region that stands in the name of an access point.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `arn:<partition>:s3:<region>:<account>:accesspoint/<name>`, with a colon in place of the slash for those who write it
/// so, and `arn:<partition>:s3-outposts:<region>:<account>:outpost/<id>/accesspoint/<name>` (Amazon S3 User Guide,
/// "Referencing access points").
fn access_point(text: &str) -> Result<(Bucket, &str), BucketError> {
    let mut fields = text.splitn(6, ':').skip(1);
    let mut field = || fields.next().unwrap_or_default();
    let (partition, service, region, account, resource) = (field(), field(), field(), field(), field());
    let words = match service {
        "s3" => &["accesspoint"][..],
        "s3-outposts" => &["outpost", "", "accesspoint"],
        _ => return Err(BucketError::Arn),
    };
    let mut rest = resource;
    for word in words {
        let (part, behind) = rest.split_once(['/', ':']).ok_or(BucketError::Arn)?;
        if part.is_empty() || !word.is_empty() && part != *word {
            return Err(BucketError::Arn);
        }
        rest = behind;
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if service == "s3" && region.is_empty() {
        return Err(BucketError::MultiRegion);
    }
    let is_whole = partition.starts_with("aws")
        && super::settings::is_region(region)
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && (3..=50).contains(&name.len())
        && name.bytes().all(is_letter);
    if !is_whole {
        return Err(BucketError::Arn);
    }
    let arn = &text[..text.len() - rest.len() + name.len()];
    Ok((Bucket { name: arn.to_owned(), region: Some(region.to_owned()) }, prefix))
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Why a text names no bucket that objects could be put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketError {
    /// No bucket may be called so.
    Name,
    /// It begins like an ARN and is not one of an access point.
    Arn,
    /// Requests to a multi-region access point are signed in another way.
    MultiRegion,
    /// Requests to a directory bucket are signed within a session.
    Directory,
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => {
                "s3://bucket/prefix with a bucket name of 3 to 63 lower-case letters, digits, dots and hyphens is expected"
            }
            Self::Arn => {
                "the ARN of an access point is expected, like s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name/prefix"
            }
            Self::MultiRegion => {
                "a multi-region access point is not supported (it is signed with SigV4A): name the access point of one region"
            }
            Self::Directory => {
                "a directory bucket (S3 Express One Zone) is not supported: name a general purpose bucket"
            }
        })
    }
}

impl std::error::Error for BucketError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_told_from_what_keys_begin_with() {
        let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs-ap";
        let colon = "arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint:logs-ap";
        let outpost = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/logs-ap";
        let table = [
            ("my-logs".to_owned(), "my-logs", "", None),
            ("my.logs_1/team/a".to_owned(), "my.logs_1", "team/a", None),
            (
                "ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias/a".to_owned(),
                "ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
                "a",
                None,
            ),
            (point.to_owned(), point, "", Some("eu-west-1")),
            (format!("{point}/team/a"), point, "team/a", Some("eu-west-1")),
            (format!("{colon}/a"), colon, "a", Some("us-gov-west-1")),
            (format!("{outpost}/a/b"), outpost, "a/b", Some("us-west-2")),
        ];
        for (text, name, prefix, region) in table {
            let (bucket, rest) = Bucket::parse(&text).expect(&text);
            assert_eq!((bucket.name(), rest, bucket.region()), (name, prefix, region), "{text}");
        }
    }

    #[test]
    fn what_takes_no_plain_put_is_refused_with_the_reason() {
        let table = [
            ("", BucketError::Name),
            ("ab", BucketError::Name),
            ("My_Logs!", BucketError::Name),
            (&"b".repeat(64), BucketError::Name),
            ("logs--use1-az4--x-s3", BucketError::Directory),
            ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", BucketError::MultiRegion),
            ("arn:aws:s3:eu-west-1:123456789012:bucket/logs", BucketError::Arn),
            ("arn:aws:s3:eu-west-1:12345:accesspoint/logs-ap", BucketError::Arn),
            ("arn:aws:s3:eu-west-1:123456789012:accesspoint/", BucketError::Arn),
            ("arn:aws:s3:eu-west-1:123456789012:accesspoint", BucketError::Arn),
            ("arn:aws:s3:eu west:123456789012:accesspoint/logs-ap", BucketError::Arn),
            ("arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/logs-ap", BucketError::Arn),
            ("arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/bucket/logs", BucketError::Arn),
            ("arn:aws:sns:us-west-2:123456789012:topic", BucketError::Arn),
            ("arn:", BucketError::Arn),
        ];
        for (text, error) in table {
            assert_eq!(Bucket::parse(text), Err(error), "{text}");
        }
    }
}
