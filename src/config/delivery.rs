//! The settings of where objects go, what they are called there, and when a failed upload is tried again.

use std::path::PathBuf;
use std::time::Duration;

use super::destination::{self, Destination};
use super::s3::Unusable;
use super::value::{self, Rule};
use super::{ConfigError, FunctionFacts, Over, Reader, Setting, settings, unless};
use crate::upload::object_key::template::KeyTemplate;
use crate::upload::object_key::{KeyFacts, ObjectKeys};
use crate::upload::retry::RetryPolicy;
use crate::upload::store::credentials::assume_role::{CAN_ASSUME_ROLES, RoleSettings, session_name};
use crate::upload::store::credentials::{self, CredentialSource, CredentialValues};
use crate::upload::store::s3::{S3Settings, is_open_to_others};

/// Each fallback gets half of the time that is left at SHUTDOWN: the fifth would have some 30 ms.
const FALLBACKS_MAX: usize = 4;
/// Stands for the account when a template is checked: the platform tells it later, and all have as many digits.
const SOME_ACCOUNT: &str = "123456789012";

/// Where objects go, with everything that is needed to get there.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A bucket.
    S3(Box<S3Settings>, CredentialSource),
    /// A directory.
    File(PathBuf),
}

/// Everything that is needed to deliver.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where objects go.
    pub destination: StoreSettings,
    /// Where they go if they cannot go there, in order.
    pub fallbacks: Vec<StoreSettings>,
    /// Behind those comes the log of the function.
    pub has_log: bool,
    /// What went to that log counts as delivered.
    pub trusts_log: bool,
    /// How they are called.
    pub key: KeyTemplate,
    /// When a failed upload is tried again.
    pub retry: RetryPolicy,
    /// The longest that an upload may take.
    pub request_timeout: Duration,
}

impl Delivery {
    /// How the objects of a function are called, when the platform has told its account.
    #[must_use]
    pub fn keys(&self, function: &FunctionFacts, account: Option<&str>) -> ObjectKeys {
        let facts = |account| key_facts(function, account);
        ObjectKeys::try_new(&self.key, &facts(account.unwrap_or_default()))
            // An account of more than the usual digits would not fit.
            .or_else(|_| ObjectKeys::try_new(&self.key, &facts("")))
            .expect("the template was checked with this function")
    }
}

fn key_facts<'a>(function: &'a FunctionFacts, account: &'a str) -> KeyFacts<'a> {
    KeyFacts {
        function: &function.name,
        version: &function.version,
        region: function.region.as_deref().unwrap_or_default(),
        account,
    }
}

impl Reader<'_> {
    pub(super) fn delivery(&mut self, function: &FunctionFacts) -> Option<Delivery> {
        let retry = self.retry();
        let request_timeout = self.request_timeout();
        let trusts_log = self.required(&settings::FALLBACK_STDOUT_TRUSTED, value::switch);
        let key = self.key(function)?;
        let (fallbacks, has_log) = self.fallbacks(function);
        let destination = self.optional(&settings::DESTINATION, primary)?;
        let shown = self.shown(&settings::DESTINATION);
        let destination = self.store(destination, &shown, function).ok().flatten()?;
        Some(Delivery { destination, fallbacks, has_log, trusts_log, key, retry, request_timeout })
    }

    /// A template that does not fit this function falls back like any other bad setting; a function of such a name that even
    /// the default does not fit it is none of Lambda's.
    fn key(&mut self, function: &FunctionFacts) -> Option<KeyTemplate> {
        let fitting = |text: &str| -> Result<KeyTemplate, Rule> {
            let template = KeyTemplate::parse(text).map_err(|error| error.to_string())?;
            let facts = key_facts(function, SOME_ACCOUNT);
            ObjectKeys::try_new(&template, &facts).map_err(|error| error.to_string())?;
            Ok(template)
        };
        let default = settings::KEY.default.expect("it has a default");
        match fitting(default) {
            Ok(template) => Some(self.read(&settings::KEY, Some(default), &fitting).unwrap_or(template)),
            Err(rule) => {
                self.refuse("AWS_LAMBDA_FUNCTION_NAME", rule);
                None
            }
        }
    }

    /// The stores, and whether the log of the function is behind them.
    fn fallbacks(&mut self, function: &FunctionFacts) -> (Vec<StoreSettings>, bool) {
        let text = self.given(settings::FALLBACK.variable).unwrap_or_default();
        let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        let ships_extension = self
            .given(settings::TYPES.variable)
            .is_some_and(|types| types.split(',').any(|word| word.trim() == "extension"));
        let (mut stores, mut has_log) = (Vec::new(), false);
        for (index, item) in items.iter().enumerate() {
            let is_last = index + 1 == items.len();
            let destination = destination::parse(item).and_then(|destination| match destination {
                Destination::Stdout if ships_extension => {
                    Err("stdout: cannot be had with TYPES=extension: what is written there would come back as a record"
                        .into())
                }
                Destination::Stdout if !is_last => Err("stdout: must be the last one".into()),
                _ if index >= FALLBACKS_MAX => Err(format!("at most {FALLBACKS_MAX} are allowed")),
                destination => Ok(destination),
            });
            let shown = self.shown(&settings::FALLBACK);
            match destination {
                Ok(destination) => match self.store(destination, &shown, function) {
                    Ok(Some(store)) => stores.push(store),
                    Ok(None) => has_log = true,
                    Err(Unusable) => {}
                },
                Err(rule) => {
                    let (value, instead) = (Some((*item).to_owned()), Some("the others".into()));
                    self.note(ConfigError { variable: shown, value, rule, instead });
                }
            }
        }
        (stores, has_log)
    }

    /// `None` is the log of the function, which has no settings.
    fn store(
        &mut self,
        destination: Destination,
        shown: &str,
        function: &FunctionFacts,
    ) -> Result<Option<StoreSettings>, Unusable> {
        let (bucket, prefix, options) = match destination {
            Destination::File(path) => return Ok(Some(StoreSettings::File(path))),
            Destination::Stdout => return Ok(None),
            Destination::S3 { bucket, prefix, options } => (bucket, prefix, options),
        };
        // What a destination says of itself stands over everything else.
        let of_option = |variable: &str| destination::shown_option(shown, variable);
        let vars = Over { over: &options, under: self.vars, shown: &of_option };
        let mut reader = Reader { vars: &vars, errors: std::mem::take(&mut self.errors) };
        let read = reader.s3(bucket, prefix).and_then(|s3| {
            let role = reader.role(&s3, function)?;
            let credentials = reader.credentials();
            Ok((s3, role.into_iter().fold(credentials, CredentialSource::with_role)))
        });
        self.errors = reader.errors;
        let (s3, credentials) = read?;
        match s3.check() {
            Ok(()) => Ok(Some(StoreSettings::S3(Box::new(s3), credentials))),
            Err(error) => {
                self.refuse(shown, error.to_string());
                Err(Unusable)
            }
        }
    }

    fn credentials(&self) -> CredentialSource {
        CredentialSource::choose(CredentialValues {
            access_key_id: self.given(credentials::ACCESS_KEY_ID),
            secret_access_key: self.given(credentials::SECRET_ACCESS_KEY),
            session_token: self.given(credentials::SESSION_TOKEN),
            container_full_uri: self.given(credentials::CONTAINER_FULL_URI),
            container_relative_uri: self.given(credentials::CONTAINER_RELATIVE_URI),
            container_token: self.given(credentials::CONTAINER_TOKEN),
            container_token_file: self.given(credentials::CONTAINER_TOKEN_FILE),
        })
    }

    /// A role that cannot be assumed must not be left out: the function's own has other rights, in another account.
    fn role(&mut self, s3: &S3Settings, function: &FunctionFacts) -> Result<Option<RoleSettings>, Unusable> {
        let Some(role_arn) = self.needed(&settings::S3_ROLE_ARN, role)? else { return Ok(None) };
        let external_id = self.needed(&settings::S3_EXTERNAL_ID, external_id)?;
        let endpoint = self.given(STS_ENDPOINT);
        if endpoint.as_deref().is_some_and(|endpoint| !s3.allow_http && is_open_to_others(endpoint)) {
            self.refuse(STS_ENDPOINT, "plain http is for this machine and link-local addresses".into());
            return Err(Unusable);
        }
        let (session_name, region) = (session_name(&function.name), s3.first_region().to_owned());
        Ok(Some(RoleSettings { role_arn, external_id, session_name, region, endpoint }))
    }

    fn retry(&mut self) -> RetryPolicy {
        let base = self.required(&settings::RETRY_BASE, value::duration);
        let max = self.required(&settings::RETRY_MAX, value::duration);
        let attempts = self.required(&settings::RETRY_ATTEMPTS, |text| {
            unless("unlimited", text, |text| {
                let number = value::within(value::number(text)?, 1, u64::from(u32::MAX), |bound| bound.to_string())?;
                u32::try_from(number).map_err(|error| error.to_string())
            })
        });
        RetryPolicy::try_new(base, max, attempts).unwrap_or_else(|error| {
            let names = format!("{} and {}", self.shown(&settings::RETRY_BASE), self.shown(&settings::RETRY_MAX));
            self.refuse(&names, format!("{error}; using the defaults"));
            RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), attempts)
                .expect("the defaults make a schedule")
        })
    }

    pub(super) fn request_timeout(&mut self) -> Duration {
        self.required(&settings::REQUEST_TIMEOUT, |text| {
            let (least, most) = (Duration::from_millis(10), Duration::from_secs(900));
            value::within(value::duration(text)?, least, most, value::show_duration)
        })
    }

    /// Notes a bad setting. What several destinations share is told once.
    pub(super) fn note(&mut self, mut error: ConfigError) {
        if let Some((place, _)) = error.value.as_deref().and_then(|value| value.split_once('?')) {
            // The options of a destination may hold a password.
            if place.starts_with("s3://") {
                error.value = Some(format!("{place}?…"));
            }
        }
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// The standard variable of AWS for another endpoint of STS.
const STS_ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";

/// `arn:aws:iam::123456789012:role/path/name`
fn role(text: &str) -> Result<String, Rule> {
    if !CAN_ASSUME_ROLES {
        return Err("this build cannot assume a role: it was made without the feature assume-role".into());
    }
    let fields: Vec<_> = text.splitn(6, ':').collect();
    let is_role = matches!(fields[..], ["arn", _, "iam", "", account, role]
        if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && role.starts_with("role/"));
    if is_role {
        Ok(text.into())
    } else {
        Err("the ARN of a role like arn:aws:iam::123456789012:role/logs is expected".into())
    }
}

/// AWS STS API Reference, "AssumeRole".
fn external_id(text: &str) -> Result<String, Rule> {
    let is_id = (2..=1224).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte));
    if is_id { Ok(text.into()) } else { Err("2 to 1224 letters, digits and _ + = , . @ : / - are expected".into()) }
}

/// The log of a function is no place for all of its logs twice.
fn primary(text: &str) -> Result<Destination, Rule> {
    match destination::parse(text)? {
        Destination::Stdout => Err("stdout: can be a FALLBACK only".into()),
        destination => Ok(destination),
    }
}

impl Setting {
    /// Whether a value may hold a password, so that no message may show it.
    pub(super) fn may_hold_secrets(&self) -> bool {
        [settings::S3_ENDPOINT.variable, settings::S3_PROXY.variable, settings::S3_EXTERNAL_ID.variable]
            .contains(&self.variable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    fn fallbacks(pairs: &[(&str, &str)]) -> (Vec<String>, String) {
        let destination = [("LOGSPOOL_DESTINATION", "s3://my-logs/a")];
        let (config, errors) = read(&[&destination[..], pairs].concat());
        let delivery = config.delivery.expect("a destination");
        let shown = |store: &StoreSettings| match store {
            StoreSettings::S3(s3, _) => format!("{} {}", s3.prefix.below(s3.bucket.name()), s3.region),
            StoreSettings::File(path) => path.display().to_string(),
        };
        let log = delivery.has_log.then(|| "stdout".to_owned());
        (delivery.fallbacks.iter().map(shown).chain(log).collect(), errors.to_string())
    }

    #[test]
    fn fallbacks_are_destinations_in_order() {
        let list = "s3://other/b?region=us-east-2, file:///mnt/logs ,stdout:";
        let (stores, errors) = fallbacks(&[("LOGSPOOL_FALLBACK", list), ("AWS_REGION", "eu-west-1")]);
        assert_eq!(stores, ["other/b us-east-2", "/mnt/logs", "stdout"]);
        assert_eq!(errors, "");
        assert_eq!(fallbacks(&[]), (Vec::new(), String::new()));
    }

    #[test]
    fn a_bad_fallback_costs_itself() {
        let table = [
            ("stdout:,file:///a", "LOGSPOOL_FALLBACK=\"stdout:\": stdout: must be the last one; using the others", 1),
            ("ftp://x,file:///a", "LOGSPOOL_FALLBACK=\"ftp://x\": s3://bucket/prefix or file:///path is expected", 1),
            ("s3://other?sse=x,file:///a", "LOGSPOOL_FALLBACK: sse=\"x\": one of aes256, ", 1),
            (
                "file:///1,file:///2,file:///3,file:///4,file:///5",
                "LOGSPOOL_FALLBACK=\"file:///5\": at most 4 are allowed",
                4,
            ),
        ];
        for (list, message, left) in table {
            let (stores, errors) = fallbacks(&[("LOGSPOOL_FALLBACK", list)]);
            assert!(errors.starts_with(message) && !errors.contains(" | "), "{errors}");
            assert_eq!(stores.len(), left, "{list}");
        }
        let extension = [("LOGSPOOL_FALLBACK", "stdout:"), ("LOGSPOOL_TYPES", "function, extension")];
        let (stores, errors) = fallbacks(&extension);
        assert!(stores.is_empty() && errors.contains("stdout: cannot be had with TYPES=extension"), "{errors}");
    }

    #[test]
    fn options_of_a_destination_are_not_shown() {
        let (_, errors) = fallbacks(&[("LOGSPOOL_FALLBACK", "s3://other/a?colour=red&endpoint=https://me:secret@x")]);
        assert!(errors.starts_with("LOGSPOOL_FALLBACK=\"s3://other/a?…\": behind ? the settings S3_… are"), "{errors}");
        let (_, errors) = fallbacks(&[("LOGSPOOL_FALLBACK", "s3://other/a?endpoint=https://me:secret@x")]);
        assert!(errors.contains("the endpoint is not of the form") && !errors.contains("secret"), "{errors}");
        let (_, errors) = read(&[("LOGSPOOL_DESTINATION", "s3://Other?endpoint=https://me:secret@x")]);
        assert!(!errors.to_string().contains("secret"), "{errors}");
    }

    #[test]
    fn what_is_wrong_with_all_destinations_is_told_once() {
        let (_, errors) = fallbacks(&[("LOGSPOOL_FALLBACK", "s3://other"), ("LOGSPOOL_S3_TAGS", "x")]);
        assert_eq!(errors, "LOGSPOOL_S3_TAGS=\"x\": name=value is expected; using the others");
    }

    #[test]
    fn the_log_of_the_function_is_no_destination() {
        let (config, errors) = read(&[("LOGSPOOL_DESTINATION", "stdout:")]);
        assert!(config.delivery.is_none());
        assert_eq!(errors.to_string(), "LOGSPOOL_DESTINATION=\"stdout:\": stdout: can be a FALLBACK only");
    }

    #[test]
    fn a_template_of_keys_is_checked_with_the_function_that_it_is_for() {
        let with = |key: &str| {
            let name = ("AWS_LAMBDA_FUNCTION_NAME", "orders");
            let (config, errors) = read(&[("LOGSPOOL_DESTINATION", "file:///a"), ("LOGSPOOL_KEY", key), name]);
            (config.delivery.expect("a destination"), config.function, errors.to_string())
        };
        let (delivery, function, errors) = with("{account}/{function}/{date}");
        assert_eq!(errors, "");
        let dropped = crate::upload::object_key::DroppedFacts {
            spool_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            first: 0,
            last: 0,
            cause: "quota",
        };
        let key = |account| delivery.keys(&function, account).dropped(&dropped);
        assert!(key(Some("123456789012")).starts_with("123456789012/orders/2016-07-30/"));
        assert!(key(None).starts_with("unknown/orders/"));
        let (delivery, _, errors) = with("{function}/{uuid}");
        assert_eq!(delivery.key, KeyTemplate::default());
        assert!(errors.starts_with("LOGSPOOL_KEY=\"{function}/{uuid}\": {uuid} depends on chance: "), "{errors}");
        assert!(errors.ends_with("; using function={function}/dt={date}/hour={hour}"), "{errors}");
        let (delivery, _, errors) = with(&"{account}".repeat(40));
        assert_eq!(delivery.key, KeyTemplate::default());
        assert!(errors.contains("it makes a folder of 480 bytes: at most 398 are allowed"), "{errors}");
    }
}
