//! Moments and spans of time as a person writes them: pure.

use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};

use crate::config::value;

/// A moment, in milliseconds since 1970 UTC: `2026-11-26T05:00:00Z`, `2026-11-26`, or so long ago: `90m`, `24h`, `7d`.
pub(super) fn moment(text: &str, now_ms: i64) -> Result<i64, String> {
    if let Some(ms) = rfc3339(text) {
        return Ok(ms);
    }
    let format = time::macros::format_description!("[year]-[month]-[day]");
    if let Ok(date) = Date::parse(text, &format) {
        return Ok(PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc().unix_timestamp() * 1_000);
    }
    let ago = duration(text).map_err(|_| {
        format!("{text:?} is no moment: 2026-11-26T05:00:00Z, 2026-11-26 or, so long ago, 90m, 24h, 7d is expected")
    })?;
    Ok(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

/// `2026-11-26T05:00:00.123Z`, as lines have it, in milliseconds since 1970 UTC.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// `30s`, `90m`, `24h`, `7d`, as in the settings.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    value::duration(text).map_err(|rule| format!("{text:?} is no duration: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_694_400_123; // 2026-11-26T12:00:00.123Z

    #[test]
    fn moments_are_dates_times_or_ages() {
        let table = [
            ("2026-11-26T12:00:00Z", NOW - 123),
            ("2026-11-26T13:00:00.123+01:00", NOW),
            ("2026-11-26", NOW - 123 - 12 * 3_600_000),
            ("90m", NOW - 90 * 60_000),
            ("7d", NOW - 7 * 86_400_000),
            ("0s", NOW),
        ];
        for (text, ms) in table {
            assert_eq!(moment(text, NOW), Ok(ms), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "2026-11-26 12:00", "12", "h", "-1h", "99999999999999999999d"] {
            assert!(moment(text, NOW).is_err(), "{text}");
        }
        let error = moment("yesterday", NOW).expect_err("none");
        assert!(error.starts_with("\"yesterday\" is no moment: "), "{error}");
    }
}
