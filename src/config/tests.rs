use std::collections::BTreeMap;

use super::*;

pub(super) fn read(pairs: &[(&str, &str)]) -> (Config, ConfigErrors) {
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::read(&vars)
}

#[test]
fn defaults_are_read_without_an_error() {
    let (config, errors) = read(&[]);
    assert_eq!(errors.to_string(), "");
    assert!(config.enabled && !config.strict && config.delivery.is_none());
    assert_eq!(config.seal, SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 4 << 20 });
    assert_eq!(config.drain.strategy, DrainStrategy::Adaptive);
    assert_eq!(config.compression, Compression::default());
    assert_eq!(config.buffering, Buffering { max_items: 10_000, max_bytes: 1 << 20, timeout_ms: 25 });
    assert_eq!(config.spool_root, PathBuf::from("/tmp/.logspool"));
}

#[test]
fn all_bad_settings_are_named_in_one_message_with_value_rule_and_fallback() {
    let (config, errors) = read(&[
        ("LOGSPOOL_SEAL_AGE", "soon"),
        ("LOGSPOOL_DESTINATION", "ftp://x"),
        ("LOGSPOOL_SEAL_AGES", "1s"),
        ("LOGSPOOL_COMPRESSION_LEVEL", "20"),
    ]);
    let message = errors.to_string();
    for part in [
        "LOGSPOOL_SEAL_AGE=\"soon\": a duration like 250ms, 30s or 5m is expected; using 60s",
        "LOGSPOOL_DESTINATION=\"ftp://x\": s3://bucket/prefix or file:///path is expected",
        "LOGSPOOL_SEAL_AGES: there is no such setting in this version",
        "LOGSPOOL_COMPRESSION_LEVEL=\"20\": it must be between 1 and 19; using 1",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert!(!message.contains('\n'));
    assert_eq!(config.seal.age, Duration::from_secs(60));
    assert!(config.delivery.is_none());
}

#[test]
fn a_bad_setting_of_every_kind_falls_back_to_its_default() {
    let (defaults, _) = read(&[]);
    for setting in settings::ALL {
        // No rule accepts this, but some settings take any text.
        let destination = ("LOGSPOOL_DESTINATION", "s3://my-logs");
        let (config, errors) = read(&[destination, (setting.variable, "::no value:")]);
        let free_text = ["DROP", "REDACT", "KEY", "S3_EXTERNAL_ID"].contains(&setting.name());
        assert_eq!(errors.is_empty(), free_text, "{}", setting.name());
        assert_eq!(config.seal, defaults.seal);
        assert_eq!(config.listener.body_bytes_max, defaults.listener.body_bytes_max);
    }
}

#[test]
fn a_bucket_is_reached_with_the_variables_of_the_function() {
    let (config, errors) = read(&[
        ("LOGSPOOL_DESTINATION", "s3://my-logs/team"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
        ("AWS_LAMBDA_FUNCTION_NAME", "orders"),
    ]);
    assert_eq!(errors.to_string(), "");
    let Some(Delivery { destination: StoreSettings::S3(s3, _), .. }) = config.delivery else { panic!("a bucket") };
    assert_eq!((s3.prefix.below(s3.bucket.name()).as_str(), s3.region.as_str()), ("my-logs/team", "eu-central-1"));
    assert!(s3.path_style, "an endpoint of one's own rarely has host names for buckets");
}

#[test]
fn schedules_that_contradict_themselves_are_refused_together() {
    let (_, errors) = read(&[("LOGSPOOL_RETRY_BASE", "30s"), ("LOGSPOOL_RETRY_MAX", "1s")]);
    assert!(errors.to_string().contains("LOGSPOOL_RETRY_BASE and LOGSPOOL_RETRY_MAX"), "{errors}");
}

#[test]
fn an_empty_variable_counts_as_none() {
    let (_, errors) = read(&[("LOGSPOOL_SEAL_AGE", ""), ("LOGSPOOL_DESTINATION", " ")]);
    assert!(errors.is_empty());
}

#[test]
fn only_managed_instances_run_many_invocations_at_a_time() {
    for (kind, concurrency) in [
        ("lambda-managed-instances", Concurrency::Many),
        ("on-demand", Concurrency::One),
        ("provisioned-concurrency", Concurrency::One),
        ("snap-start", Concurrency::One),
        ("", Concurrency::One),
    ] {
        assert_eq!(read(&[("AWS_LAMBDA_INITIALIZATION_TYPE", kind)]).0.concurrency, concurrency, "{kind}");
    }
    assert_eq!(read(&[]).0.concurrency, Concurrency::One);
}

#[test]
fn metrics_are_off_and_told_once_a_minute_when_on() {
    let emf = |pairs: &[(&str, &str)]| {
        let (config, errors) = read(pairs);
        assert_eq!(config.filter.own_metrics, config.emf.is_some(), "what is written comes back");
        (config.emf.map(|interval| interval.as_secs()), errors.to_string())
    };
    assert_eq!(emf(&[]), (None, String::new()));
    assert_eq!(emf(&[("LOGSPOOL_EMF", "true")]), (Some(60), String::new()));
    assert_eq!(emf(&[("LOGSPOOL_EMF_INTERVAL", "5m")]), (None, String::new()));
    for (interval, secs) in [("1s", 1), ("1h", 3_600)] {
        assert_eq!(emf(&[("LOGSPOOL_EMF", "true"), ("LOGSPOOL_EMF_INTERVAL", interval)]), (Some(secs), String::new()));
    }
    for interval in ["999ms", "61m"] {
        let (secs, errors) = emf(&[("LOGSPOOL_EMF", "true"), ("LOGSPOOL_EMF_INTERVAL", interval)]);
        let rule = "it must be between 1s and 60m; using 60s";
        assert_eq!((secs, errors), (Some(60), format!("LOGSPOOL_EMF_INTERVAL={interval:?}: {rule}")));
    }
}
