//! Where objects go: `s3://bucket/prefix`, `file:///path`, and as a last resort `stdout:`.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::settings;
use super::value::Rule;
use crate::upload::object_key::Prefix;
use crate::upload::store::s3::Bucket;

/// A place for objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A bucket.
    S3 {
        /// The bucket, or an access point to it.
        bucket: Bucket,
        /// What keys begin with.
        prefix: Prefix,
        /// Settings of `S3_…` that hold for this destination alone, by variable.
        options: Vec<(String, String)>,
    },
    /// A directory of this machine.
    File(PathBuf),
    /// The log of the function.
    Stdout,
}

/// Reads a destination.
pub(super) fn parse(text: &str) -> Result<Destination, Rule> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = Bucket::parse(place).map_err(|error| error.to_string())?;
        let prefix = Prefix::parse(prefix).map_err(|error| error.to_string())?;
        return Ok(Destination::S3 { bucket, prefix, options: options(query)? });
    }
    if text == "stdout:" {
        return Ok(Destination::Stdout);
    }
    match text.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(Destination::File(PathBuf::from(path))),
        Some(_) => Err("file:// with an absolute path is expected, like file:///mnt/logs".into()),
        None => Err("s3://bucket/prefix or file:///path is expected".into()),
    }
}

/// `region=eu-west-1&kms-key-id=`: the name of a setting without `S3_`, and its value; one without a value takes the setting
/// away.
fn options(query: &str) -> Result<Vec<(String, String)>, Rule> {
    query.split('&').filter(|pair| !pair.is_empty()).map(option).collect()
}

fn option(pair: &str) -> Result<(String, String), Rule> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let variable = format!("{}{S3}{}", settings::PREFIX, name.to_ascii_uppercase().replace('-', "_"));
    if !settings::ALL.iter().any(|setting| setting.variable == variable) {
        return Err(format!(
            "behind ? the settings S3_… are expected, like region=eu-west-1: there is no {}",
            name.escape_debug()
        ));
    }
    let value = percent_decode_str(value).decode_utf8().map_err(|_| format!("the value of {name} is no UTF-8"))?;
    Ok((variable, value.into_owned()))
}

/// How the settings begin that a destination may have of its own.
const S3: &str = "S3_";

/// How a message names an option of a destination that is itself called so.
pub(super) fn shown_option(destination: &str, variable: &str) -> String {
    let option = variable.strip_prefix(settings::PREFIX).and_then(|name| name.strip_prefix(S3)).unwrap_or(variable);
    format!("{destination}: {}", option.to_ascii_lowercase().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text).expect(text) {
            Destination::S3 { bucket, prefix, options } => {
                let options: Vec<_> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {}", prefix.below(bucket.name()), options.join(" ")).trim_end().to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn destinations_read_as_urls() {
        let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap";
        let table = [
            ("s3://my-logs", "my-logs"),
            ("s3://my-logs/", "my-logs"),
            ("s3://my-logs/team/a/", "my-logs/team/a"),
            (&format!("s3://{point}x/a"), &format!("{point}x/a")),
            ("s3://my-logs/a?region=eu-west-1", "my-logs/a LOGSPOOL_S3_REGION=eu-west-1"),
            (
                "s3://my-logs?kms-key-id=&TAGS=a%3Db%2Cc=d&sse=aws:kms",
                "my-logs LOGSPOOL_S3_KMS_KEY_ID= LOGSPOOL_S3_TAGS=a=b,c=d LOGSPOOL_S3_SSE=aws:kms",
            ),
            ("file:///mnt/logs", "File(\"/mnt/logs\")"),
            ("stdout:", "Stdout"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        let table = [
            ("", "s3://bucket/prefix or file:///path is expected"),
            ("my-logs", "s3://bucket/prefix or file:///path is expected"),
            ("https://x/y", "s3://bucket/prefix or file:///path is expected"),
            ("s3://", "s3://bucket/prefix with a bucket name"),
            ("s3:///prefix", "s3://bucket/prefix with a bucket name"),
            ("s3://My_Logs!/x", "s3://bucket/prefix with a bucket name"),
            ("s3://my-logs/a/../b", "the prefix has the part `..`"),
            ("s3://arn:aws:sns:x", "the ARN of an access point is expected"),
            (
                "s3://my-logs?colour=red",
                "behind ? the settings S3_… are expected, like region=eu-west-1: there is no colour",
            ),
            ("s3://my-logs?region=%ff", "the value of region is no UTF-8"),
            ("file://relative", "file:// with an absolute path is expected"),
        ];
        for (text, rule) in table {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(rule), "{text}: {error}");
        }
    }
}
