//! What a folder's name says of the time of its objects: pure.

use time::{Date, Month, PrimitiveDateTime, Time};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// From a moment up to another one, in milliseconds since 1970 UTC; the second one is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from_ms: i64,
    /// The first moment behind it.
    pub until_ms: i64,
}

impl Span {
    /// All time.
    pub const ALL: Self = Self { from_ms: i64::MIN, until_ms: i64::MAX };

    /// Whether the two have a moment in common.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.from_ms < other.until_ms && other.from_ms < self.until_ms
    }

    /// Whether all of the other one lies in it.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.from_ms <= other.from_ms && other.until_ms <= self.until_ms
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn holds(self, ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&ms)
    }

    /// It, and `ms` more at both of its ends.
    #[must_use]
    pub fn widened(self, ms: i64) -> Self {
        Self { from_ms: self.from_ms.saturating_sub(ms), until_ms: self.until_ms.saturating_add(ms) }
    }
}

/// The UTC hours that a folder is for, as far as the names of its parts tell: `dt=2026-11-26/hour=05`, `date=…`, `year=…/month=…/day=…`, or a date
/// alone. What tells nothing is for all time, so that nothing is left out by mistake: a bare `05` may be anything.
#[must_use]
pub fn span_of(folder: &str) -> Span {
    let (mut date, mut year, mut month, mut day, mut hour) = (None, None, None, None, None);
    for part in folder.split('/') {
        match part.split_once('=') {
            Some(("dt" | "date", value)) => date = parse_date(value).or(date),
            Some(("year", value)) => year = number::<i32>(value, 4),
            Some(("month", value)) => month = number::<u8>(value, 2).and_then(|month| Month::try_from(month).ok()),
            Some(("day", value)) => day = number::<u8>(value, 2),
            Some(("hour", value)) => hour = number::<u8>(value, 2).filter(|hour| *hour < 24),
            Some(_) => {}
            None => date = parse_date(part).or(date),
        }
    }
    let begin = |date: Date| ms(PrimitiveDateTime::new(date, Time::MIDNIGHT));
    let of_parts = || Date::from_calendar_date(year?, month?, day?).ok();
    match (date.or_else(of_parts), hour) {
        (Some(date), Some(hour)) => {
            let from_ms = begin(date) + i64::from(hour) * HOUR_MS;
            Span { from_ms, until_ms: from_ms + HOUR_MS }
        }
        (Some(date), None) => Span { from_ms: begin(date), until_ms: begin(date) + DAY_MS },
        (None, _) => month_of(year, month).unwrap_or(Span::ALL),
    }
}

/// A month of a year, or all of the year.
fn month_of(year: Option<i32>, month: Option<Month>) -> Option<Span> {
    let year = year?;
    let first =
        |year, month| Some(ms(PrimitiveDateTime::new(Date::from_calendar_date(year, month, 1).ok()?, Time::MIDNIGHT)));
    let (from_ms, until_ms) = match month {
        None => (first(year, Month::January)?, first(year + 1, Month::January)?),
        Some(Month::December) => (first(year, Month::December)?, first(year + 1, Month::January)?),
        Some(month) => (first(year, month)?, first(year, month.next())?),
    };
    Some(Span { from_ms, until_ms })
}

fn parse_date(text: &str) -> Option<Date> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let month = Month::try_from(number::<u8>(month, 2)?).ok()?;
    Date::from_calendar_date(number(year, 4)?, month, number(day, 2)?).ok()
}

fn number<T: std::str::FromStr>(text: &str, digits: usize) -> Option<T> {
    (text.len() == digits && text.bytes().all(|digit| digit.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn ms(time: PrimitiveDateTime) -> i64 {
    time.assume_utc().unix_timestamp() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_795_694_400_000; // 2026-11-26T12:00:00Z

    #[test]
    fn names_of_folders_tell_their_hours() {
        let day = Span { from_ms: NOON - 12 * HOUR_MS, until_ms: NOON + 12 * HOUR_MS };
        let hour = Span { from_ms: NOON, until_ms: NOON + HOUR_MS };
        let table = [
            ("function=f/dt=2026-11-26/hour=12/", hour),
            ("dt=2026-11-26/function=f/hour=12", hour),
            ("2026-11-26/", day),
            ("a/date=2026-11-26", day),
            ("year=2026/month=11/day=26/hour=12/", hour),
            ("year=2026/month=11/day=26/", day),
            // A version may look like an hour.
            ("f/2026-11-26/12/", day),
            ("dt=2026-11-26/hour=24", day),
            ("dt=2026-11-31/hour=12", Span::ALL),
            ("dt=26-11-26/", Span::ALL),
            ("hour=12/", Span::ALL),
            ("function=f/", Span::ALL),
            ("", Span::ALL),
        ];
        for (folder, span) in table {
            assert_eq!(span_of(folder), span, "{folder}");
        }
        let month = span_of("year=2026/month=12/");
        assert_eq!((month.until_ms - month.from_ms) / DAY_MS, 31);
        assert!(month.holds(NOON + 20 * DAY_MS) && !month.holds(NOON));
        let year = span_of("year=2024");
        assert_eq!((year.until_ms - year.from_ms) / DAY_MS, 366);
    }

    #[test]
    fn spans_meet_where_they_share_a_moment() {
        let span = |from_ms, until_ms| Span { from_ms, until_ms };
        assert!(span(0, 10).meets(span(9, 20)) && !span(0, 10).meets(span(10, 20)) && span(5, 6).meets(Span::ALL));
        assert!(span(0, 10).covers(span(0, 10)) && Span::ALL.covers(Span::ALL));
        assert!(!span(0, 10).covers(span(0, 11)) && !span(0, 10).covers(span(-1, 5)));
        assert_eq!(span(0, 10).widened(5), span(-5, 15));
        assert_eq!(Span::ALL.widened(5), Span::ALL);
    }
}
