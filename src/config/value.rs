//! How a value is written: sizes, durations, switches, words.

use std::time::Duration;

/// A rule that a text breaks, as the end of a sentence that begins with the setting and its value.
pub(crate) type Rule = String;

/// `true`, `1`, `yes`, `on` and their opposites.
pub(super) fn switch(text: &str) -> Result<bool, Rule> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false is expected".into()),
    }
}

/// A whole number.
pub(crate) fn number(text: &str) -> Result<u64, Rule> {
    text.parse().map_err(|_| "a whole number is expected".into())
}

/// `4MiB`, `512KiB`, `1GiB`, `5MB`, `1000` (bytes).
pub(crate) fn size(text: &str) -> Result<u64, Rule> {
    let rule = || "a size like 4MiB, 512KiB or 1000 (bytes) is expected".to_owned();
    let (number, unit) = split_unit(text).ok_or_else(rule)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(rule()),
    };
    number.checked_mul(factor).ok_or_else(rule)
}

/// `250ms`, `30s`, `5m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, Rule> {
    let rule = || "a duration like 250ms, 30s or 5m is expected".to_owned();
    let (number, unit) = split_unit(text).ok_or_else(rule)?;
    let unit_ms = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(rule()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(rule)
}

/// One of some words.
pub(crate) fn word<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, Rule> {
    let lower = text.to_ascii_lowercase();
    words.iter().find(|(word, _)| *word == lower).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        format!("one of {} is expected", words.join(", "))
    })
}

/// A value between two bounds, both allowed; `show` writes a bound as the setting does.
pub(crate) fn within<T: PartialOrd + Copy>(value: T, least: T, most: T, show: impl Fn(T) -> String) -> Result<T, Rule> {
    if least <= value && value <= most {
        Ok(value)
    } else {
        Err(format!("it must be between {} and {}", show(least), show(most)))
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

/// Writes a size as the setting does.
pub(crate) fn show_size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// Writes a duration as the setting does.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        _ if ms >= 60_000 && ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms >= 1_000 && ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        for (text, bytes) in
            [("4MiB", 4 << 20), ("512 KiB", 512 << 10), ("1000", 1_000), ("5MB", 5_000_000), ("1g", 1 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_rule() {
        for text in ["", "MiB", "-1", "1.5MiB", "4 bananas", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for text in ["", "30", "s", "-1s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(word(&[("end", 1), ("background", 2)], "fast"), Err("one of end, background is expected".into()));
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for bytes in [0, 1_000, 4 << 20, 3 << 10] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        for ms in [0, 250, 30_000, 60_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(value)), Ok(value));
        }
    }
}
