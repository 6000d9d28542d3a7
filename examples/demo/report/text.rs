//! Numbers, sizes, times and sentences as people read them.

use std::time::Duration;

use indicatif::HumanCount;

/// With thousands set apart: `12,345`.
pub fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// `1 object`, `2 objects`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// In at most seven characters: `612 B`, `9.8 KiB`, `34 KiB`, `1.2 MiB`.
pub fn bytes(bytes: usize) -> String {
    let mut tenths = bytes.saturating_mul(10);
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // Rounded, 999.95 is 1000.0: the next unit comes a little before it is full.
    while tenths >= 10_000
        && let Some(larger) = units.next()
    {
        tenths = tenths.saturating_add(512) / 1024;
        unit = larger;
    }
    match (unit, tenths) {
        ("B", _) | (_, 100..) => format!("{} {unit}", (tenths + 5) / 10),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

/// How many times smaller it has become: `4.6x`.
pub fn ratio(raw: usize, stored: usize) -> String {
    let tenths = raw.saturating_mul(10) / stored.max(1);
    format!("{}.{}x", tenths / 10, tenths % 10)
}

/// With as many digits as matter: `0.8 ms`, `34 ms`, `1.25 s`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// The lines of a paragraph, at most `width` characters each; only a longer word is longer.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && console::measure_text_width(&line) + 1 + console::measure_text_width(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A paragraph whose first line stands behind `head`, the others below it.
pub fn hanging(head: &str, text: &str, width: usize) -> String {
    let indent = console::measure_text_width(head);
    let lines = wrapped(text, width.saturating_sub(indent));
    let joined = lines.join(&format!("\n{:indent$}", ""));
    format!("{head}{joined}").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_apart_in_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!((counted(1, "object"), counted(0, "object")), ("1 object".into(), "0 objects".into()));
    }

    #[test]
    fn sizes_fit_their_column() {
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_023, "1.0 KiB"),
            (2_048, "2.0 KiB"),
            (10_188, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1 << 20, "1.0 MiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        for shift in 0..40 {
            for size in [(1_usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
                assert!(bytes(size).len() <= 7, "{size}: {}", bytes(size));
            }
        }
    }

    #[test]
    fn times_have_the_digits_that_matter() {
        for (micros, text) in
            [(0, "0.0 ms"), (840, "0.8 ms"), (34_600, "34 ms"), (999_999, "999 ms"), (1_254_000, "1.25 s")]
        {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn an_empty_object_has_a_ratio() {
        assert_eq!((ratio(460, 100), ratio(0, 0), ratio(99, 100)), ("4.6x".into(), "0.0x".into(), "0.9x".into()));
    }

    #[test]
    fn paragraphs_hang_below_their_beginning() {
        assert_eq!(hanging("head  ", "one two three four", 14), "head  one two\n      three\n      four\n");
        assert_eq!(hanging("head  ", "", 14), "head\n");
        assert_eq!(wrapped("endlessly long", 3), ["endlessly", "long"]);
    }
}
