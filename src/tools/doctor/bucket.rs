//! A destination in S3: the same requests that an uploader sends, one after the other.

use std::io;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::probe_object::ProbeObject;
use super::remedy::{self, Failed};
use super::report::{Check, Report};
use super::{LIMIT, clock};
use crate::deadline::{millis, now_ms};
use crate::telemetry::event::format_time;
use crate::upload::store::credentials::CredentialFacts;
use crate::upload::store::s3::{Checksum, Encryption, IfNoneMatch, Probe, Probed, Removed, S3Settings};
use crate::upload::store::witness::Answer;
use crate::upload::store::{AttemptError, AttemptErrorKind, PutOutcome};

const PUT: &str = "  put";
const CONDITION: &str = "  conditional put";

/// Looks at a bucket, for [`LIMIT`] at most.
pub(super) async fn check(probe: &Probe, report: &mut Report<'_>) -> io::Result<()> {
    let deadline = tokio::time::Instant::now() + LIMIT;
    let Some((facts, fetched)) = timeout_at(deadline, probe.credentials()).await.ok() else {
        return report.add(Check::bad("  credentials", late().to_string(), "See the endpoint that gives credentials."));
    };
    report.add(credentials(&facts, &fetched, now_ms()))?;
    if fetched.is_err() {
        return Ok(());
    }
    let object = ProbeObject::new();
    let (first, took) = put(probe, &object, deadline).await;
    report.add(stored(&first, probe.settings(), &object, took))?;
    let answer = first.seen.answer.as_ref();
    if let Some(answer) = answer {
        report.add(clock::check(answer))?;
    }
    if first.outcome != Ok(PutOutcome::Stored) {
        return Ok(());
    }
    if let Some(check) = region(probe.settings(), &probe.region()) {
        report.add(check)?;
    }
    report.add(options(probe.settings(), answer))?;
    let second = match probe.is_conditional() {
        true => Some(put(probe, &object, deadline).await.0),
        false => None,
    };
    report.add(condition(probe.settings(), second.as_ref(), probe.is_conditional()))?;
    let removed = timeout_at(deadline, probe.remove(object.key())).await.unwrap_or_else(|_| Err(late()));
    report.add(removal(&removed, &probe.settings().prefix.join(object.key())))
}

fn credentials(facts: &CredentialFacts, fetched: &Result<(), AttemptError>, now_ms: i64) -> Check {
    const NAME: &str = "  credentials";
    let end_ms = facts.ends.and_then(|ends| ends.duration_since(std::time::UNIX_EPOCH).ok()).map(millis);
    match (fetched, end_ms) {
        (Err(error), _) => Check::bad(NAME, error.to_string(), remedy::of_credentials(facts, error)),
        (Ok(()), _) if facts.lacks_token => Check::bad(
            NAME,
            format!("temporary keys without their token, from {}", facts.source),
            remedy::of_missing_token(),
        ),
        (Ok(()), Some(end_ms)) if end_ms <= now_ms => Check::note(
            NAME,
            format!("from {}, and ended already at {}", facts.source, format_time(end_ms)),
            "Whoever gives them gives old ones, or the clock of this machine is ahead.",
        ),
        (Ok(()), Some(end_ms)) => Check::ok(NAME, format!("from {}, good until {}", facts.source, format_time(end_ms))),
        (Ok(()), None) => Check::ok(NAME, format!("from {}", facts.source)),
    }
}

async fn put(probe: &Probe, object: &ProbeObject, deadline: tokio::time::Instant) -> (Probed, Duration) {
    let begun = Instant::now();
    let probed = match timeout_at(deadline, probe.put(&object.object())).await {
        Ok(probed) => probed,
        Err(_elapsed) => Probed { outcome: Err(late()), seen: probe.seen() },
    };
    (probed, begun.elapsed())
}

/// The doctor's own patience is at its end.
fn late() -> AttemptError {
    let message = format!("no answer within {LIMIT:?}");
    AttemptError { kind: AttemptErrorKind::Retry, code: None, status: None, message }
}

/// What the first put of a new key says.
fn stored(probed: &Probed, settings: &S3Settings, object: &ProbeObject, took: Duration) -> Check {
    match &probed.outcome {
        Ok(PutOutcome::Stored) if took > settings.request_timeout / 2 => Check::note(
            PUT,
            format!("stored, but only after {} ms", took.as_millis()),
            "An upload has LOGSPOOL_REQUEST_TIMEOUT, and a shutdown two seconds. A bucket nearer by, a gateway \
             endpoint or more memory (it brings a share of the network) make it faster.",
        ),
        Ok(PutOutcome::Stored) => Check::ok(PUT, format!("stored {} in {} ms", object.key(), took.as_millis())),
        // Nobody else has this key: a store that says so would make us forget logs that it never got.
        Ok(PutOutcome::AlreadyThere | PutOutcome::Unconfirmed) => Check::bad(
            PUT,
            "the store answers 412 to a new key, as if it were there",
            "Uploads would count as delivered that are not: set LOGSPOOL_S3_IF_NONE_MATCH=false, and tell whoever \
             runs the store.",
        ),
        Err(error) => Check::bad(PUT, error.to_string(), Failed { error, seen: &probed.seen, settings }.remedy()),
    }
}

/// Whether the bucket is where the settings say.
fn region(settings: &S3Settings, told: &str) -> Option<Check> {
    let first = settings.first_region();
    (told != first).then(|| {
        Check::note(
            "  region",
            format!("the bucket is in {told}, not in {first}"),
            format!("Each new environment asks {first} first: set LOGSPOOL_S3_REGION={told}."),
        )
    })
}

/// What is in force for an object, as far as the store confirms it.
fn options(settings: &S3Settings, answer: Option<&Answer>) -> Check {
    const NAME: &str = "  options";
    let told = |name: &str| answer.and_then(|answer| answer.header(name));
    let mut words = Vec::new();
    let checked = |is_told: bool| if is_told { "checked by the store" } else { "sent" };
    words.push(match settings.checksum {
        Checksum::Crc64Nvme => format!("CRC-64/NVME {}", checked(told("x-amz-checksum-crc64nvme").is_some())),
        Checksum::Crc32 => format!("CRC-32 {}", checked(told("x-amz-checksum-crc32").is_some())),
        Checksum::Md5 => "MD5 sent".to_owned(),
        Checksum::None => "no checksum".to_owned(),
    });
    let told_encryption = told("x-amz-server-side-encryption");
    words.push(match (told_encryption, told("x-amz-server-side-encryption-aws-kms-key-id")) {
        (Some(how), Some(key)) => format!("encrypted: {how} with {key}"),
        (Some(how), None) => format!("encrypted: {how}"),
        (None, _) => "encryption not told".to_owned(),
    });
    let more = [
        settings.storage_class.as_ref().map(|class| format!("class {class}")),
        (!settings.tags.is_empty()).then(|| format!("{} tags", settings.tags.len())),
        settings.bucket_owner.as_ref().map(|owner| format!("owner {owner}")),
    ];
    words.extend(more.into_iter().flatten());
    let seen = words.join(", ");
    let asked = settings.encryption.as_ref().map(|encryption| match encryption {
        Encryption::S3 => "AES256",
        Encryption::Kms { .. } => "aws:kms",
        Encryption::KmsTwice { .. } => "aws:kms:dsse",
    });
    match asked {
        Some(asked) if told_encryption != Some(asked) => Check::note(
            NAME,
            format!("{seen}; asked for {asked}"),
            "The store took the object without saying that it is encrypted as asked: find out whether it is.",
        ),
        _ => Check::ok(NAME, seen),
    }
}

/// What the second put of the same key says; there is none if the store refused the condition before.
fn condition(settings: &S3Settings, second: Option<&Probed>, is_conditional: bool) -> Check {
    let plain = "A plain put writes the same bytes under the same key, so nothing is wrong; set \
        LOGSPOOL_S3_IF_NONE_MATCH=false to save each new environment a request.";
    match second.map(|second| (&second.outcome, second)) {
        None if settings.if_none_match == IfNoneMatch::Never => {
            Check::ok(CONDITION, "off: LOGSPOOL_S3_IF_NONE_MATCH is false")
        }
        None => Check::note(CONDITION, "the store does not know If-None-Match; plain puts are used", plain),
        Some(_) if !is_conditional => Check::note(
            CONDITION,
            "the store does not know If-None-Match for a key that is there; plain puts are used",
            plain,
        ),
        Some((Ok(PutOutcome::AlreadyThere), _)) => Check::ok(CONDITION, "the same key again: 412, it is there already"),
        Some((Ok(_), _)) => Check::note(CONDITION, "the store ignores If-None-Match and writes again", plain),
        Some((Err(error), second)) => {
            Check::bad(CONDITION, error.to_string(), Failed { error, seen: &second.seen, settings }.remedy())
        }
    }
}

/// The right to remove is none that the extension needs.
fn removal(removed: &Result<Removed, AttemptError>, key: &str) -> Check {
    const NAME: &str = "  clean up";
    Check::ok(
        NAME,
        match removed {
            Ok(Removed::Gone) => "the probe is removed".to_owned(),
            Ok(Removed::Hidden) => "the probe is removed; the bucket keeps it as an old version".to_owned(),
            Err(error) => {
                let why = error.code.clone().unwrap_or_else(|| error.to_string());
                format!("{key} stays ({why}); the extension needs no right to remove")
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use crate::upload::store::s3::Bucket;
    use crate::upload::store::witness::Seen;

    fn settings() -> S3Settings {
        S3Settings::new(Bucket::parse("my-logs").expect("a name").0, "eu-west-1")
    }

    fn probed(outcome: Result<PutOutcome, AttemptError>) -> Probed {
        Probed { outcome, seen: Seen::default() }
    }

    #[test]
    fn only_a_put_that_stores_something_new_is_well() {
        let object = ProbeObject::new();
        let verdict = |outcome, ms| stored(&probed(outcome), &settings(), &object, Duration::from_millis(ms)).verdict;
        assert_eq!(verdict(Ok(PutOutcome::Stored), 2_500), Verdict::Ok);
        assert_eq!(verdict(Ok(PutOutcome::Stored), 2_501), Verdict::Note);
        assert_eq!(verdict(Ok(PutOutcome::AlreadyThere), 1), Verdict::Bad, "412 to a new key");
        assert_eq!(verdict(Err(late()), 1), Verdict::Bad);
    }

    #[test]
    fn credentials_are_well_if_they_are_there_whole_and_last() {
        let facts = |ends_s: Option<u64>, lacks_token| CredentialFacts {
            source: "somewhere".to_owned(),
            ends: ends_s.map(|ends| std::time::UNIX_EPOCH + Duration::from_secs(ends)),
            lacks_token,
            role_arn: None,
        };
        let table = [
            (facts(None, false), Ok(()), Verdict::Ok, "from somewhere"),
            (facts(Some(1_001), false), Ok(()), Verdict::Ok, "from somewhere, good until 1970-01-01T00:16:41.000Z"),
            (
                facts(Some(1_000), false),
                Ok(()),
                Verdict::Note,
                "from somewhere, and ended already at 1970-01-01T00:16:40.000Z",
            ),
            (facts(None, true), Ok(()), Verdict::Bad, "temporary keys without their token, from somewhere"),
            (facts(None, false), Err(late()), Verdict::Bad, "no answer within 10s"),
        ];
        for (facts, fetched, verdict, seen) in table {
            let check = credentials(&facts, &fetched, 1_000_000);
            assert_eq!((check.verdict, check.seen.as_str()), (verdict, seen));
        }
    }

    #[test]
    fn a_second_put_tells_whether_conditions_are_known() {
        let never = S3Settings { if_none_match: IfNoneMatch::Never, ..settings() };
        let there = probed(Ok(PutOutcome::AlreadyThere));
        let again = probed(Ok(PutOutcome::Stored));
        let failed = probed(Err(late()));
        let table = [
            (&settings(), Some(&there), true, Verdict::Ok),
            (&settings(), Some(&again), true, Verdict::Note),
            (&settings(), Some(&again), false, Verdict::Note),
            (&settings(), Some(&failed), true, Verdict::Bad),
            (&settings(), None, false, Verdict::Note),
            (&never, None, false, Verdict::Ok),
        ];
        for (settings, second, is_conditional, verdict) in table {
            let check = condition(settings, second, is_conditional);
            assert_eq!(check.verdict, verdict, "{}", check.seen);
        }
    }

    #[test]
    fn a_bucket_elsewhere_is_noted_with_its_region() {
        assert_eq!(region(&settings(), "eu-west-1"), None);
        let check = region(&settings(), "us-east-2").expect("elsewhere");
        assert_eq!(check.verdict, Verdict::Note);
        assert!(check.remedy.is_some_and(|remedy| remedy.ends_with("set LOGSPOOL_S3_REGION=us-east-2.")));
    }

    #[test]
    fn options_are_told_as_the_store_confirms_them() {
        let kms = S3Settings { encryption: Some(Encryption::S3), ..settings() };
        let answer = |headers: &[(&'static str, &str)]| Answer::with_headers_for_tests(headers);
        let (none, aes) =
            (answer(&[]), answer(&[("x-amz-server-side-encryption", "AES256"), ("x-amz-checksum-crc64nvme", "x")]));
        let table = [
            (&settings(), None, Verdict::Ok, "CRC-64/NVME sent, encryption not told"),
            (&settings(), Some(&aes), Verdict::Ok, "CRC-64/NVME checked by the store, encrypted: AES256"),
            (&kms, Some(&aes), Verdict::Ok, "CRC-64/NVME checked by the store, encrypted: AES256"),
            (&kms, Some(&none), Verdict::Note, "CRC-64/NVME sent, encryption not told; asked for AES256"),
        ];
        for (settings, answer, verdict, seen) in table {
            let check = options(settings, answer);
            assert_eq!((check.verdict, check.seen.as_str()), (verdict, seen));
        }
    }

    #[test]
    fn a_probe_that_stays_is_no_finding() {
        let denied = AttemptError { code: Some("AccessDenied".to_owned()), ..late() };
        let check = removal(&Err(denied), "a/.logspool-doctor/.x");
        assert_eq!(check.verdict, Verdict::Ok);
        assert_eq!(check.seen, "a/.logspool-doctor/.x stays (AccessDenied); the extension needs no right to remove");
    }
}
