//! The settings of S3, for one destination.
//!
//! An option that says where logs go, or who may read them, never falls back to anything: with a bad one the destination is
//! not used. Logs in the wrong place would be worse than none.

use super::value::{self, Rule};
use super::{ConfigError, Reader, Setting, absolute_path, settings, unless};
use crate::upload::object_key::Prefix;
use crate::upload::store::proxy::{HTTPS_PROXY, NO_PROXY, Proxy, ProxySettings};
use crate::upload::store::s3::{Bucket, Checksum, Encryption, IfNoneMatch, S3Settings};

/// Amazon S3 User Guide, "Categorizing your objects using tags".
const TAGS_MAX: usize = 10;
const TAG_NAME_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// S3 takes 2 KB of user metadata (Amazon S3 User Guide, "Working with object metadata"); ours need less than the other half.
const METADATA_BYTES_MAX: usize = 1024;
/// How our own metadata begins.
const OWN_METADATA: &str = "logspool-";

/// A bad setting without which the destination must not be used.
pub(super) struct Unusable;

impl Reader<'_> {
    /// How a bucket is reached and what is said of every object there.
    pub(super) fn s3(&mut self, bucket: Bucket, prefix: Prefix) -> Result<S3Settings, Unusable> {
        let endpoint = self
            .needed(&settings::S3_ENDPOINT, url)?
            .or_else(|| self.given("AWS_ENDPOINT_URL_S3"))
            .or_else(|| self.given("AWS_ENDPOINT_URL"));
        let region = self
            .needed(&settings::S3_REGION, |text| Ok(text.to_owned()))?
            .or_else(|| self.given("AWS_REGION"))
            .or_else(|| self.given("AWS_DEFAULT_REGION"))
            // A store of one's own rarely cares; S3 itself is always told by Lambda.
            .unwrap_or_else(|| "us-east-1".into());
        let path_style = self.required(&settings::S3_PATH_STYLE, |text| unless("auto", text, value::switch));
        let is_point = bucket.region().is_some();
        let mut s3 = S3Settings::new(bucket, region);
        s3.prefix = prefix;
        s3.path_style = path_style.unwrap_or(endpoint.is_some() && !is_point);
        s3.endpoint = endpoint;
        s3.fips = self.needed(&settings::S3_FIPS, value::switch)?.unwrap_or(self.is_on("AWS_USE_FIPS_ENDPOINT"));
        s3.dual_stack =
            self.needed(&settings::S3_DUALSTACK, value::switch)?.unwrap_or(self.is_on("AWS_USE_DUALSTACK_ENDPOINT"));
        s3.ca_file = self.optional(&settings::S3_CA_FILE, absolute_path);
        s3.proxies = self.proxies()?;
        s3.allow_http = self.required(&settings::S3_ALLOW_HTTP, value::switch);
        s3.request_timeout = self.request_timeout();
        let checksums = [
            ("crc64nvme", Checksum::Crc64Nvme),
            ("crc32", Checksum::Crc32),
            ("md5", Checksum::Md5),
            ("none", Checksum::None),
        ];
        s3.checksum = self.required(&settings::S3_CHECKSUM, |text| value::word(&checksums, text));
        let conditions = [("auto", IfNoneMatch::Auto), ("true", IfNoneMatch::Always), ("false", IfNoneMatch::Never)];
        s3.if_none_match = self.required(&settings::S3_IF_NONE_MATCH, |text| value::word(&conditions, text));
        s3.encryption = self.encryption()?;
        s3.bucket_owner = self.needed(&settings::S3_BUCKET_OWNER, account)?;
        s3.storage_class = self.optional(&settings::S3_STORAGE_CLASS, storage_class);
        s3.tags = self.pairs(&settings::S3_TAGS, add_tag);
        s3.metadata = self.pairs(&settings::S3_METADATA, add_metadata);
        Ok(s3)
    }

    /// The setting holds for every host; the variables that many programs know, for what they say.
    fn proxies(&mut self) -> Result<ProxySettings, Unusable> {
        let every = self.needed(&settings::S3_PROXY, |text| Proxy::parse(text).map_err(|error| error.to_string()))?;
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, self.given(name)?)));
        let (https, except) = (first(HTTPS_PROXY), first(NO_PROXY).map(|(_, value)| value));
        let https = match https.map(|(name, value)| (name, Proxy::parse(&value))) {
            None => None,
            Some((_, Ok(proxy))) => Some(proxy),
            Some((name, Err(error))) => {
                self.refuse(name, error.to_string());
                return Err(Unusable);
            }
        };
        Ok(ProxySettings { every, https, except })
    }

    fn encryption(&mut self) -> Result<Option<Encryption>, Unusable> {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Sse {
            S3,
            Kms,
            KmsTwice,
        }
        let words = [("aes256", Sse::S3), ("aws:kms", Sse::Kms), ("aws:kms:dsse", Sse::KmsTwice)];
        let sse = self.needed(&settings::S3_SSE, |text| value::word(&words, text))?;
        let key_id = self.needed(&settings::S3_KMS_KEY_ID, |text| kms_key(text, sse != Some(Sse::S3)))?;
        let sse = sse.or(key_id.as_ref().map(|_| Sse::Kms));
        let bucket_key = self.optional(&settings::S3_BUCKET_KEY, |text| {
            let switch = value::switch(text)?;
            if sse == Some(Sse::Kms) { Ok(switch) } else { Err("a bucket key needs S3_SSE=aws:kms".into()) }
        });
        Ok(sse.map(|sse| match sse {
            Sse::S3 => Encryption::S3,
            Sse::Kms => Encryption::Kms { key_id, bucket_key },
            Sse::KmsTwice => Encryption::KmsTwice { key_id },
        }))
    }

    /// A setting that must not be left out if it is there.
    pub(super) fn needed<T>(
        &mut self,
        setting: &Setting,
        read: impl Fn(&str) -> Result<T, Rule>,
    ) -> Result<Option<T>, Unusable> {
        let Some(value) = self.given(setting.variable) else { return Ok(None) };
        read(value.trim()).map(Some).map_err(|rule| {
            let (variable, instead) = (self.shown(setting), Some("no destination".into()));
            // It may hold a password.
            let value = Some(value).filter(|_| !setting.may_hold_secrets());
            self.note(ConfigError { variable, value, rule, instead });
            Unusable
        })
    }

    fn is_on(&self, variable: &str) -> bool {
        self.given(variable).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// `name=value` with commas between them; one that breaks a rule costs itself.
    fn pairs(&mut self, setting: &Setting, add: fn(&mut Pairs, &str, &str) -> Result<(), Rule>) -> Pairs {
        let mut pairs = Pairs::new();
        let text = self.given(setting.variable).unwrap_or_default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let added =
                item.split_once('=').ok_or_else(|| "name=value is expected".to_owned()).and_then(|(name, value)| {
                    let (name, value) = (name.trim(), value.trim());
                    if pairs.iter().any(|(known, _)| known == name) {
                        return Err("one of this name was given before".into());
                    }
                    add(&mut pairs, name, value)
                });
            if let Err(rule) = added {
                let variable = self.shown(setting);
                let (value, instead) = (Some(item.to_owned()), Some("the others".into()));
                self.note(ConfigError { variable, value, rule, instead });
            }
        }
        pairs
    }
}

type Pairs = Vec<(String, String)>;

fn add_tag(tags: &mut Pairs, name: &str, value: &str) -> Result<(), Rule> {
    let is_written = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
    if tags.len() == TAGS_MAX {
        return Err(format!("at most {TAGS_MAX} tags are allowed"));
    }
    if !(1..=TAG_NAME_CHARS_MAX).contains(&name.chars().count()) || value.chars().count() > TAG_VALUE_CHARS_MAX {
        return Err(format!(
            "a tag has a name of 1 to {TAG_NAME_CHARS_MAX} and a value of at most {TAG_VALUE_CHARS_MAX} characters"
        ));
    }
    if !is_written(name) || !is_written(value) {
        return Err("a tag has letters, digits, spaces and _ . : / = + - @".into());
    }
    tags.push((name.into(), value.into()));
    Ok(())
}

fn add_metadata(metadata: &mut Pairs, name: &str, value: &str) -> Result<(), Rule> {
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_name || name.starts_with(OWN_METADATA) {
        return Err(format!(
            "a name has 1 to 64 lower-case letters, digits and hyphens, and does not begin with {OWN_METADATA}"
        ));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err("a value has printable ASCII characters only".into());
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes + name.len() + value.len() > METADATA_BYTES_MAX {
        return Err(format!("all metadata together may take {METADATA_BYTES_MAX} bytes"));
    }
    metadata.push((name.into(), value.into()));
    Ok(())
}

fn account(text: &str) -> Result<String, Rule> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_account { Ok(text.into()) } else { Err("the 12 digits of an account are expected".into()) }
}

fn storage_class(text: &str) -> Result<String, Rule> {
    let is_word = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let upper = text.to_ascii_uppercase();
    if is_word(&upper) { Ok(upper) } else { Err("a storage class like STANDARD_IA is expected".into()) }
}

/// A key's id, its ARN, or an alias: what KMS makes of it only KMS knows.
fn kms_key(text: &str, is_kms: bool) -> Result<String, Rule> {
    if !is_kms {
        return Err("a key of KMS needs S3_SSE=aws:kms or aws:kms:dsse".into());
    }
    let is_key =
        text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_-.".contains(&byte));
    if is_key { Ok(text.into()) } else { Err("the id, the ARN or the alias of a KMS key is expected".into()) }
}

fn url(text: &str) -> Result<String, Rule> {
    let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with('/');
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if host.is_some_and(has_host) {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("a URL like https://s3.example.com is expected".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::super::{Delivery, StoreSettings};
    use super::*;
    use crate::upload::store::credentials::CredentialSource;

    fn s3(pairs: &[(&str, &str)]) -> (Option<S3Settings>, String) {
        let destination = [("LOGSPOOL_DESTINATION", "s3://my-logs/a")];
        let (config, errors) = read(&[&destination[..], pairs].concat());
        let s3 = config.delivery.map(|delivery| match delivery {
            Delivery { destination: StoreSettings::S3(s3, _), .. } => *s3,
            other => panic!("{other:?}"),
        });
        (s3, errors.to_string())
    }

    fn pairs(text: &[(&str, &str)]) -> Pairs {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_option_arrives() {
        let (s3, errors) = s3(&[
            ("LOGSPOOL_S3_REGION", "eu-west-1"),
            ("LOGSPOOL_S3_FIPS", "true"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
            ("LOGSPOOL_S3_CHECKSUM", "md5"),
            ("LOGSPOOL_S3_IF_NONE_MATCH", "true"),
            ("LOGSPOOL_S3_KMS_KEY_ID", "alias/logs"),
            ("LOGSPOOL_S3_BUCKET_KEY", "true"),
            ("LOGSPOOL_S3_STORAGE_CLASS", "standard_ia"),
            ("LOGSPOOL_S3_BUCKET_OWNER", "123456789012"),
            ("LOGSPOOL_S3_TAGS", "team=payments, cost center=a+b"),
            ("LOGSPOOL_S3_METADATA", "source=lambda"),
        ]);
        assert_eq!(errors, "");
        let s3 = s3.expect("a bucket");
        assert!(s3.fips && s3.dual_stack && !s3.path_style);
        assert_eq!(
            (s3.region.as_str(), s3.checksum, s3.if_none_match),
            ("eu-west-1", Checksum::Md5, IfNoneMatch::Always)
        );
        let kms = Encryption::Kms { key_id: Some("alias/logs".into()), bucket_key: Some(true) };
        assert_eq!(s3.encryption, Some(kms), "a key of KMS says how");
        assert_eq!(
            (s3.storage_class.as_deref(), s3.bucket_owner.as_deref()),
            (Some("STANDARD_IA"), Some("123456789012"))
        );
        assert_eq!(s3.tags, pairs(&[("team", "payments"), ("cost center", "a+b")]));
        assert_eq!(s3.metadata, pairs(&[("source", "lambda")]));
    }

    #[test]
    fn encryption_is_one_of_four() {
        for (sse, expected) in [
            ("", None),
            ("AES256", Some(Encryption::S3)),
            ("aws:kms", Some(Encryption::Kms { key_id: None, bucket_key: None })),
            ("aws:kms:dsse", Some(Encryption::KmsTwice { key_id: None })),
        ] {
            let (s3, errors) = s3(&[("LOGSPOOL_S3_SSE", sse)]);
            assert_eq!((s3.expect(sse).encryption, errors), (expected, String::new()));
        }
    }

    #[test]
    fn what_would_put_logs_elsewhere_or_show_them_to_others_costs_the_destination() {
        let table = [
            ("ENDPOINT", "s3.example.com", "LOGSPOOL_S3_ENDPOINT: a URL like https://s3.example.com is expected"),
            ("ENDPOINT", "https://user:secret@x/?y", "LOGSPOOL_DESTINATION: the endpoint is not of the form"),
            ("SSE", "kms", "LOGSPOOL_S3_SSE=\"kms\": one of aes256, aws:kms, aws:kms:dsse is expected"),
            ("KMS_KEY_ID", "a key", "LOGSPOOL_S3_KMS_KEY_ID=\"a key\": the id, the ARN or the alias"),
            ("BUCKET_OWNER", "me", "LOGSPOOL_S3_BUCKET_OWNER=\"me\": the 12 digits of an account are expected"),
            ("FIPS", "perhaps", "LOGSPOOL_S3_FIPS=\"perhaps\": true or false is expected"),
            ("PROXY", "https://user:secret@proxy:1", "LOGSPOOL_S3_PROXY: a proxy of the form http://"),
            (
                "ENDPOINT",
                "http://store.example.com",
                "LOGSPOOL_DESTINATION: the endpoint is plain http on another machine",
            ),
            ("ROLE_ARN", "logs", "LOGSPOOL_S3_ROLE_ARN=\"logs\": the ARN of a role like "),
            ("REGION", "no region", "LOGSPOOL_DESTINATION: `no region` is no name of a region"),
        ];
        for (name, value, message) in table {
            let (s3, errors) = s3(&[(&format!("LOGSPOOL_S3_{name}"), value)]);
            assert_eq!(s3, None, "{name}={value}");
            assert!(errors.starts_with(message), "{errors}");
            assert!(!errors.contains("secret"), "{errors}");
        }
        let (none, errors) = s3(&[("LOGSPOOL_S3_SSE", "AES256"), ("LOGSPOOL_S3_KMS_KEY_ID", "alias/x")]);
        assert!(none.is_none() && errors.contains("a key of KMS needs S3_SSE=aws:kms"), "{errors}");
        let (none, errors) = s3(&[("LOGSPOOL_S3_ENDPOINT", "https://x"), ("LOGSPOOL_S3_FIPS", "true")]);
        assert!(none.is_none() && errors.contains("FIPS and dual-stack choose an endpoint of S3"), "{errors}");
    }

    #[test]
    fn what_is_bad_beside_that_costs_itself() {
        let many: Vec<_> = (0..11).map(|number| format!("t{number}=x")).collect();
        let long = format!("a={}", "x".repeat(1024));
        let table = [
            ("TAGS", "a=b,c,a=d", "LOGSPOOL_S3_TAGS=\"c\": name=value is expected; using the others"),
            ("TAGS", "a=b,a=d", "LOGSPOOL_S3_TAGS=\"a=d\": one of this name was given before"),
            ("TAGS", "a=;", "LOGSPOOL_S3_TAGS=\"a=;\": a tag has letters"),
            ("TAGS", &many.join(","), "LOGSPOOL_S3_TAGS=\"t10=x\": at most 10 tags are allowed"),
            ("METADATA", "Upper=x", "LOGSPOOL_S3_METADATA=\"Upper=x\": a name has 1 to 64"),
            ("METADATA", "logspool-x=x", "LOGSPOOL_S3_METADATA=\"logspool-x=x\": a name has 1 to 64"),
            ("METADATA", "a=ü", "LOGSPOOL_S3_METADATA=\"a=ü\": a value has printable ASCII"),
            ("METADATA", &long, "LOGSPOOL_S3_METADATA"),
            ("STORAGE_CLASS", "cold!", "LOGSPOOL_S3_STORAGE_CLASS=\"cold!\": a storage class like STANDARD_IA"),
            ("BUCKET_KEY", "true", "LOGSPOOL_S3_BUCKET_KEY=\"true\": a bucket key needs S3_SSE=aws:kms"),
            (
                "CHECKSUM",
                "sha1",
                "LOGSPOOL_S3_CHECKSUM=\"sha1\": one of crc64nvme, crc32, md5, none is expected; using crc64nvme",
            ),
            ("IF_NONE_MATCH", "x", "LOGSPOOL_S3_IF_NONE_MATCH=\"x\": one of auto, true, false is expected; using auto"),
        ];
        for (name, value, message) in table {
            let (s3, errors) = s3(&[(&format!("LOGSPOOL_S3_{name}"), value)]);
            assert!(s3.is_some() && errors.starts_with(message), "{errors}");
            assert_eq!(errors.split(" | ").count(), 1 + usize::from(value == "a=b,c,a=d"), "{errors}");
        }
    }

    #[test]
    fn what_a_destination_says_of_itself_wins_and_nothing_takes_a_setting_away() {
        let own = "s3://my-logs?region=us-east-2&kms-key-id=&sse=&storage-class=bad!";
        let (config, errors) = read(&[
            ("LOGSPOOL_DESTINATION", own),
            ("LOGSPOOL_S3_REGION", "eu-west-1"),
            ("LOGSPOOL_S3_KMS_KEY_ID", "alias/logs"),
            ("LOGSPOOL_S3_BUCKET_OWNER", "123456789012"),
        ]);
        let Some(Delivery { destination: StoreSettings::S3(s3, _), .. }) = config.delivery else { panic!("a bucket") };
        assert_eq!((s3.region.as_str(), &s3.encryption), ("us-east-2", &None));
        assert_eq!(s3.bucket_owner.as_deref(), Some("123456789012"), "what it does not name holds for it, too");
        let message = "LOGSPOOL_DESTINATION: storage-class=\"bad!\": a storage class like STANDARD_IA is expected";
        assert_eq!(errors.to_string(), message);
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_it_is_allowed() {
        for near in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "http://169.254.1.2"] {
            assert_eq!(s3(&[("LOGSPOOL_S3_ENDPOINT", near)]).1, "", "{near}");
        }
        let far = ("LOGSPOOL_S3_ENDPOINT", "http://store.internal:9000");
        assert!(s3(&[far]).0.is_none());
        assert!(s3(&[far, ("LOGSPOOL_S3_ALLOW_HTTP", "true")]).0.is_some_and(|s3| s3.allow_http));
        assert!(s3(&[("LOGSPOOL_S3_ENDPOINT", "https://store.internal:9000")]).0.is_some());
    }

    #[test]
    fn proxies_are_of_the_setting_and_of_the_variables_that_all_know() {
        let (s3, errors) = s3(&[
            ("LOGSPOOL_S3_PROXY", "http://proxy:3128"),
            ("https_proxy", "http://other:3128"),
            ("NO_PROXY", ".internal"),
        ]);
        assert_eq!(errors, "");
        let proxies = s3.expect("a bucket").proxies;
        let shown = |proxy: Option<Proxy>| proxy.map(|proxy| proxy.to_string());
        assert_eq!(
            (shown(proxies.every), shown(proxies.https)),
            (Some("proxy:3128".into()), Some("other:3128".into()))
        );
        assert_eq!(proxies.except.as_deref(), Some(".internal"));
    }

    #[test]
    fn a_role_is_assumed_with_the_credentials_of_the_function() {
        let role = "arn:aws:iam::123456789012:role/team/logs";
        let pairs = [
            ("LOGSPOOL_DESTINATION", "s3://my-logs"),
            ("LOGSPOOL_S3_ROLE_ARN", role),
            ("LOGSPOOL_S3_EXTERNAL_ID", "x-1"),
        ];
        let (config, errors) = read(&pairs);
        assert_eq!(errors.to_string(), "");
        let Some(Delivery { destination: StoreSettings::S3(_, credentials), .. }) = config.delivery else {
            panic!("a bucket")
        };
        let CredentialSource::Role(settings, _) = credentials else { panic!("{credentials:?}") };
        assert_eq!((settings.role_arn.as_str(), settings.external_id.as_deref()), (role, Some("x-1")));
        let (config, errors) = read(&[&pairs[..], &[("AWS_ENDPOINT_URL_STS", "http://sts.example.com")]].concat());
        assert!(
            config.delivery.is_none() && errors.to_string().starts_with("AWS_ENDPOINT_URL_STS: plain http"),
            "{errors}"
        );
    }

    #[test]
    fn an_access_point_says_its_region_and_has_no_path_style() {
        let point = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/logs-ap/a";
        let (config, errors) = read(&[("LOGSPOOL_DESTINATION", point), ("AWS_REGION", "us-east-1")]);
        assert_eq!(errors.to_string(), "");
        assert!(config.delivery.is_some());
        let (config, errors) = read(&[("LOGSPOOL_DESTINATION", point), ("LOGSPOOL_S3_PATH_STYLE", "true")]);
        assert!(config.delivery.is_none());
        assert_eq!(
            errors.to_string(),
            "LOGSPOOL_DESTINATION: an access point has no path style: its name is in the host name"
        );
    }
}
