//! What happens in a run, in which order: decided before it begins.

use std::ops::Range;

use sandbox::Work;

use crate::arguments::Arguments;
use crate::stage::BUFFER_BYTES;

/// How long the handler that is killed goes on, so that there is a middle to be killed in.
const KILLED_SLEEP_MS: u64 = 400;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// From here on S3 refuses connections.
    OutageBegins,
    /// From here on S3 works again.
    OutageEnds,
    /// Nobody invokes the function for so many milliseconds: the environment is frozen.
    Idle(u64),
    /// The function is invoked.
    Invoke(Work),
    /// The function is invoked, and meanwhile the extension is killed.
    InvokeAndKill(Work),
}

/// The steps of a run. The same arguments give the same steps.
pub fn steps(arguments: &Arguments) -> Vec<Step> {
    let outage = if arguments.outage { middle_third(arguments.invocations) } else { 0..0 };
    let killed = arguments.kill.then(|| killed(arguments));
    let mut steps = Vec::new();
    for number in 0..arguments.invocations {
        if number == outage.start && !outage.is_empty() {
            steps.push(Step::OutageBegins);
        }
        if number > 0 && arguments.report.is_some() {
            steps.push(Step::Idle(idle_ms(number)));
        }
        let work = if number + 1 == arguments.invocations { last_work() } else { work(number) };
        steps.push(if Some(number) == killed {
            Step::InvokeAndKill(Work { sleep_ms: KILLED_SLEEP_MS, ..work })
        } else {
            Step::Invoke(work)
        });
        if number + 1 == outage.end && !outage.is_empty() {
            steps.push(Step::OutageEnds);
        }
    }
    steps
}

fn middle_third(invocations: u32) -> Range<u32> {
    let third = invocations / 3;
    third..invocations - third
}

/// In the middle of the outage: the spool then holds what S3 has not, and never the last invocation.
fn killed(arguments: &Arguments) -> u32 {
    let span = if arguments.outage { middle_third(arguments.invocations) } else { 0..arguments.invocations };
    (span.start + span.end - 1) / 2
}

/// Handlers differ: mostly short ones with few lines, now and then a long one; some of them log JSON.
fn work(number: u32) -> Work {
    let mut rng = fastrand::Rng::with_seed(u64::from(number));
    let lines = if rng.u8(..4) == 0 { rng.u32(80..=200) } else { rng.u32(5..=60) };
    Work {
        lines,
        line_bytes: rng.usize(90..=260),
        json: rng.u8(..3) == 0,
        stderr: rng.u8(..6) == 0,
        sleep_ms: rng.u64(5..=80),
        ..Work::default()
    }
}

/// Back to back a run is the shortest; for a picture of it there is time between invocations, as in life, so that freezes are seen.
fn idle_ms(number: u32) -> u64 {
    fastrand::Rng::with_seed(u64::from(number) << 32).u64(10..=70)
}

/// The one that is shown in the end: few lines, and one that the platform has to cut.
fn last_work() -> Work {
    Work {
        lines: 3,
        line_bytes: 120,
        large_line_bytes: Some(BUFFER_BYTES + BUFFER_BYTES / 2),
        sleep_ms: 60,
        ..Work::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter a step.
    fn shown(invocations: u32, outage: bool, kill: bool) -> String {
        let letter = |step: &Step| match step {
            Step::OutageBegins => '(',
            Step::OutageEnds => ')',
            Step::Idle(_) => '_',
            Step::Invoke(_) => '.',
            Step::InvokeAndKill(_) => 'X',
        };
        steps(&Arguments { invocations, outage, kill, ..Arguments::default() }).iter().map(letter).collect()
    }

    #[test]
    fn faults_strike_in_the_middle() {
        assert_eq!(shown(4, false, false), "....");
        assert_eq!(shown(9, true, false), "...(...)...");
        assert_eq!(shown(9, true, true), "...(.X.)...");
        assert_eq!(shown(5, false, true), "..X..");
    }

    #[test]
    fn a_run_that_is_drawn_has_time_between_its_invocations() {
        let drawn = Arguments { invocations: 6, report: Some("run.html".into()), outage: true, ..Arguments::default() };
        let quiet = Arguments { report: None, outage: true, invocations: 6, ..Arguments::default() };
        let (idle, busy): (Vec<_>, Vec<_>) = steps(&drawn).into_iter().partition(|step| matches!(step, Step::Idle(_)));
        assert_eq!((idle.len(), busy), (5, steps(&quiet)), "and is the same otherwise");
        assert!(idle.iter().all(|step| matches!(step, Step::Idle(10..=70))), "{idle:?}");
    }

    #[test]
    fn even_the_shortest_run_has_somebody_who_is_reborn() {
        assert_eq!(shown(2, false, true), "X.");
        assert_eq!(shown(3, true, true), ".(X).");
        for invocations in 3..100 {
            let steps = shown(invocations, true, true);
            let (before, after) = steps.split_once('X').expect("somebody is killed");
            assert!(before.contains('(') && after.contains(')') && after.contains('.'), "{steps}");
        }
    }

    #[test]
    fn handlers_stay_within_their_bounds() {
        for number in 0..1_000 {
            let work = work(number);
            assert!((5..=200).contains(&work.lines) && work.sleep_ms <= 80, "{work:?}");
        }
    }
}
