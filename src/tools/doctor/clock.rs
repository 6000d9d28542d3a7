//! Whether our clock agrees with the store's: pure.

use super::report::Check;
use crate::upload::store::witness::Answer;

/// From here on somebody should look: signatures still hold, and a clock that runs away goes on running.
const NOTE_MS: u64 = 60_000;
/// From here on it is a finding. S3 refuses requests that are 15 minutes off (`RequestTimeTooSkewed`).
const BAD_MS: u64 = 5 * 60_000;
/// The store tells whole seconds, cut off: on average half of one is missing.
const CUT_OFF_MS: i64 = 500;

/// By how much our clock is ahead of the store's, in milliseconds, as far as an answer tells; and by how much that
/// may be wrong.
fn ahead(answer: &Answer) -> Option<(i64, i64)> {
    let theirs = answer.date_ms?.saturating_add(CUT_OFF_MS);
    let took = answer.received_ms.saturating_sub(answer.asked_ms).max(0);
    let ours = answer.asked_ms.saturating_add(took / 2);
    Some((ours.saturating_sub(theirs), CUT_OFF_MS.saturating_add(took / 2)))
}

/// What an answer says of our clock.
pub(super) fn check(answer: &Answer) -> Check {
    const NAME: &str = "  clock";
    let Some((ahead, unsure)) = ahead(answer) else {
        return Check::ok(NAME, "the store does not tell its time");
    };
    let apart = ahead.unsigned_abs();
    if apart <= unsure.unsigned_abs() {
        return Check::ok(NAME, format!("agrees with the store's, as far as seconds tell (±{} ms)", unsure));
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let seen = format!("{} s {direction} the store's clock", apart.div_ceil(1_000));
    let remedy = "Set the clock of this machine (NTP): S3 refuses requests from 15 minutes on. Lambda sets its own \
        clocks; there, start a new environment.";
    match apart {
        BAD_MS.. => Check::bad(NAME, seen, remedy),
        NOTE_MS.. => Check::note(NAME, seen, remedy),
        _ => Check::ok(NAME, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    const T: i64 = 1_790_000_000_000;

    fn answer(date_ms: Option<i64>, asked_ms: i64, received_ms: i64) -> Answer {
        Answer::for_tests(date_ms, asked_ms, received_ms)
    }

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let off = |ms: i64| answer(Some(T), T + CUT_OFF_MS + ms, T + CUT_OFF_MS + ms);
        let table = [
            (0, Verdict::Ok, "agrees with"),
            (500, Verdict::Ok, "agrees with"),
            (-501, Verdict::Ok, "1 s behind"),
            (59_999, Verdict::Ok, "60 s ahead of"),
            (60_000, Verdict::Note, "60 s ahead of"),
            (-299_999, Verdict::Note, "300 s behind"),
            (300_000, Verdict::Bad, "300 s ahead of"),
            (-86_400_000, Verdict::Bad, "86400 s behind"),
        ];
        for (ms, verdict, seen) in table {
            let check = check(&off(ms));
            assert_eq!(check.verdict, verdict, "{ms}");
            assert!(check.seen.starts_with(seen), "{ms}: {}", check.seen);
            assert_eq!(check.remedy.is_some(), verdict != Verdict::Ok, "{ms}");
        }
    }

    #[test]
    fn the_time_that_an_answer_took_is_no_skew() {
        // The store told its time somewhere between the two of ours: with 20 s between them, 9 s say nothing.
        let check = check(&answer(Some(T), T - 1_000, T + 19_000));
        assert!(check.seen.starts_with("agrees with"), "{}", check.seen);
    }

    #[test]
    fn without_a_date_nothing_is_claimed() {
        let check = check(&answer(None, T, T));
        assert_eq!((check.verdict, check.seen.as_str()), (Verdict::Ok, "the store does not tell its time"));
        assert_eq!(super::check(&answer(Some(i64::MIN), T, i64::MAX)).verdict, Verdict::Bad, "no number overflows");
    }
}
