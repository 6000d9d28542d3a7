//! What became of the lines: every one that was emitted is accounted for.

use sandbox::oracle::Verdict;
use sandbox::{Category, Fate, Ledger};

use super::text::{count, hanging};

/// Room for the longest name of a row.
const NAME_WIDTH: usize = 18;

/// The fate of all lines, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub(super) function_lines: usize,
    pub(super) platform_events: usize,
    pub(super) acknowledged: usize,
    pub(super) in_doubt: usize,
    pub(super) never_handed_over: usize,
    pub(super) dropped: usize,
    pub(super) delivered: usize,
    pub(super) lost: usize,
    pub(super) doubled: usize,
}

impl Account {
    /// From what was said and what the oracle found.
    pub fn new(ledger: &Ledger, verdict: &Verdict) -> Self {
        let emitted = |category| {
            let addressed = ledger.entries().iter().filter(|entry| entry.fate != Fate::NotSubscribed);
            addressed.filter(|entry| entry.event.category == category).count()
        };
        Self {
            function_lines: emitted(Category::Function),
            platform_events: emitted(Category::Platform),
            acknowledged: verdict.acknowledged,
            in_doubt: verdict.in_doubt,
            never_handed_over: verdict.never_handed_over,
            dropped: verdict.dropped,
            delivered: verdict.delivered,
            lost: verdict.lost.len(),
            doubled: verdict.doubled.len(),
        }
    }

    fn emitted(&self) -> usize {
        self.function_lines + self.platform_events
    }

    /// A body that was stored and not answered is delivered, one that was not stored is not: both is right.
    fn in_doubt_delivered(&self) -> usize {
        self.delivered.saturating_sub(self.acknowledged).min(self.in_doubt)
    }

    /// What can only be where it is, and is nobody's loss.
    fn explained(&self) -> usize {
        self.delivered + self.never_handed_over + self.dropped + (self.in_doubt - self.in_doubt_delivered())
    }

    /// Whether what went in is what came out.
    pub fn balances(&self) -> bool {
        self.emitted() == self.explained()
    }

    /// The equation of all lines; with `≠` if it does not hold.
    pub fn equation(&self) -> String {
        let sign = if self.balances() { '=' } else { '≠' };
        let mut equation = format!("{} emitted {sign} {} delivered", count(self.emitted()), count(self.delivered));
        equation += &format!(" + {} never handed over", count(self.never_handed_over));
        if self.dropped > 0 {
            equation += &format!(" + {} dropped", count(self.dropped));
        }
        if self.in_doubt > self.in_doubt_delivered() {
            equation += &format!(" + {} in doubt", count(self.in_doubt - self.in_doubt_delivered()));
        }
        equation
    }

    /// One paragraph a count.
    pub fn render(&self, width: usize) -> String {
        let count_width = count(self.emitted().max(self.delivered)).len();
        let paragraph = |(name, number, meaning): (&str, usize, String)| {
            let head = format!("  {name:NAME_WIDTH$}{:>count_width$}   ", count(number));
            hanging(&head, &meaning, width)
        };
        self.rows().into_iter().map(paragraph).collect()
    }

    fn rows(&self) -> Vec<(&'static str, usize, String)> {
        let (function, platform) = (count(self.function_lines), count(self.platform_events));
        let mut rows = vec![
            ("emitted", self.emitted(), format!("{function} lines of the function, {platform} events of the platform")),
            (
                "acknowledged",
                self.acknowledged,
                "answered 200: from then on they survive SIGKILL, in the spool on disk".into(),
            ),
        ];
        if self.in_doubt > 0 {
            let delivered = count(self.in_doubt_delivered());
            let meaning = format!(
                "under way to the extension when it was killed, never answered; {delivered} of them are delivered"
            );
            rows.push(("in doubt", self.in_doubt, meaning));
        }
        let meaning = match self.never_handed_over {
            0 => "nothing was left with the platform",
            _ => {
                "still with the platform when the extension was killed, or said before it was reborn: no extension ever saw them"
            }
        };
        rows.push(("never handed over", self.never_handed_over, meaning.into()));
        if self.dropped > 0 {
            let meaning =
                "given up by the platform, as it says in a line: one body was still under way when the next was due";
            rows.push(("dropped", self.dropped, meaning.into()));
        }
        rows.extend([
            ("delivered", self.delivered, "read back from the objects, with a decoder that is not ours".into()),
            ("lost", self.lost, "acknowledged, but in no object".into()),
            ("doubled", self.doubled, "in the objects more often than emitted".into()),
        ]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Account {
        Account {
            function_lines: 1_000,
            platform_events: 20,
            acknowledged: 1_020,
            delivered: 1_020,
            ..Account::default()
        }
    }

    #[test]
    fn a_quiet_run_balances() {
        assert_eq!(quiet().equation(), "1,020 emitted = 1,020 delivered + 0 never handed over");
    }

    #[test]
    fn what_is_in_doubt_may_be_delivered_or_not() {
        let killed = Account { acknowledged: 900, in_doubt: 100, never_handed_over: 20, ..quiet() };
        let stored = Account { delivered: 1_000, ..killed.clone() };
        assert_eq!(stored.equation(), "1,020 emitted = 1,000 delivered + 20 never handed over");
        let not_stored = Account { delivered: 900, ..killed };
        assert_eq!(not_stored.equation(), "1,020 emitted = 900 delivered + 20 never handed over + 100 in doubt");
    }

    #[test]
    fn a_missing_line_breaks_the_equation() {
        let missing = Account { delivered: 1_019, lost: 1, ..quiet() };
        assert!(!missing.balances());
        assert_eq!(missing.equation(), "1,020 emitted ≠ 1,019 delivered + 0 never handed over");
        assert!(!Account { delivered: 1_021, doubled: 1, ..quiet() }.balances());
    }

    #[test]
    fn no_line_of_the_account_is_wider_than_asked_for() {
        let killed = Account { acknowledged: 900, in_doubt: 100, never_handed_over: 20, dropped: 3, ..quiet() };
        for width in [60, 80, 120] {
            assert!(killed.render(width).lines().all(|line| line.chars().count() <= width), "{}", killed.render(width));
        }
    }
}
