//! What must not be. The demo ends with 0 only if nothing of it is.

use sandbox::Shutdown;
use sandbox::oracle::Verdict;

use super::account::Account;
use super::text::counted;

/// Everything that speaks against a run, in words for people.
pub fn of(verdict: &Verdict, account: &Account, spools_left: usize, shutdown: &Shutdown) -> Vec<String> {
    let mut findings: Vec<_> = verdict.holds().err().into_iter().collect();
    let mut must = |holds: bool, finding: String| {
        if !holds {
            findings.push(finding);
        }
    };
    // The oracle excuses what is declared lost. Here there is no reason to lose anything.
    let told = verdict.silently_lost() > 0;
    must(account.lost == 0 || told, format!("{} acknowledged and not delivered.", counted(account.lost, "line")));
    must(verdict.pending == 0, format!("{} on their way after SHUTDOWN.", counted(verdict.pending, "line")));
    must(account.balances(), format!("The account does not balance: {}.", account.equation()));
    must(account.delivered > 0, "Nothing was delivered at all.".to_owned());
    for spool in &verdict.spools {
        must(spool.ended, format!("The life {} has no end in the bucket.", spool.id));
    }
    let left = counted(spools_left, "spool");
    must(spools_left == 0, format!("{left} left in /tmp after SHUTDOWN, with lines that are not delivered."));
    must(!shutdown.killed_at_deadline, "The extension had to be killed at the deadline of SHUTDOWN.".to_owned());
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use sandbox::oracle::SpoolSummary;

    /// A clean run, and the one thing in which a case differs from it.
    struct Run {
        verdict: Verdict,
        account: Account,
        spools_left: usize,
        shutdown: Shutdown,
    }

    fn findings_after(change: impl FnOnce(&mut Run)) -> Vec<String> {
        let spools = vec![SpoolSummary { id: "01M83JJT8M80A5G1MBCCH995BQ".into(), numbers: 11, ended: true }];
        let mut run = Run {
            verdict: Verdict { emitted: 10, acknowledged: 10, delivered: 10, spools, ..Verdict::default() },
            account: Account { function_lines: 10, acknowledged: 10, delivered: 10, ..Account::default() },
            spools_left: 0,
            shutdown: Shutdown { exited: None, killed_at_deadline: false, took: Duration::ZERO },
        };
        change(&mut run);
        of(&run.verdict, &run.account, run.spools_left, &run.shutdown)
    }

    #[test]
    fn a_clean_run_has_none() {
        assert_eq!(findings_after(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told() {
        type Change = fn(&mut Run);
        let cases: [(&str, Change); 8] = [
            ("more than once", |run| run.verdict.doubled.push("a line".into())),
            ("numbers are missing", |run| run.verdict.gaps.push("a gap".into())),
            ("1 line acknowledged and not delivered", |run| run.account.lost = 1),
            ("2 lines on their way", |run| run.verdict.pending = 2),
            ("10 emitted ≠ 9 delivered", |run| run.account.delivered = 9),
            ("01M83JJT8M80A5G1MBCCH995BQ has no end", |run| run.verdict.spools[0].ended = false),
            ("3 spools left", |run| run.spools_left = 3),
            ("killed at the deadline", |run| run.shutdown.killed_at_deadline = true),
        ];
        for (told, change) in cases {
            let findings = findings_after(change);
            assert!(findings.len() == 1 && findings[0].contains(told), "{told}: {findings:?}");
        }
    }

    #[test]
    fn a_run_without_any_delivery_proves_nothing() {
        let findings = findings_after(|run| run.account = Account::default());
        assert_eq!(findings, ["Nothing was delivered at all."]);
    }
}
