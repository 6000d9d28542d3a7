//! What the extension cost: start-up, time for which the environment was kept, memory.

use std::time::Duration;

use sandbox::Outcome;

use super::text::{bytes, count, duration, hanging};
use crate::session::{Seen, Session};

/// As wide as the names of the account, so that both columns of numbers begin at the same place.
const NAME_WIDTH: usize = 18;

/// The costs of a run.
#[derive(Debug)]
pub struct Costs {
    start_ups: Vec<Duration>,
    held: Held,
    held_in_outage: Option<Held>,
    held_by_own_count: Option<usize>,
    peak_rss_kib: u64,
}

impl Costs {
    /// What the sandbox measured.
    pub fn new(session: &Session) -> Self {
        let held = |in_outage: bool| Held::of(session.invocations.iter().filter(|seen| seen.in_outage == in_outage));
        Self {
            start_ups: session.start_ups.clone(),
            held: held(false),
            held_in_outage: session.invocations.iter().any(|seen| seen.in_outage).then(|| held(true)),
            held_by_own_count: held_by_own_count(&session.extension_output),
            peak_rss_kib: session.peak_rss_kib,
        }
    }

    /// One paragraph a cost.
    pub fn render(&self, width: usize) -> String {
        let row = |name: &str, text: &str| hanging(&format!("  {name:NAME_WIDTH$}"), text, width);
        let peak = usize::try_from(self.peak_rss_kib.saturating_mul(1024)).unwrap_or(usize::MAX);
        let held = match &self.held_in_outage {
            None => row("held `next`", &self.held.shown()),
            Some(in_outage) => {
                let (up, down) = (self.held.shown(), in_outage.shown());
                row("held `next`", &format!("{up}, while S3 worked")) + &row("", &format!("{down}, while it was down"))
            }
        };
        [
            row("start-up", &self.start_up()),
            held,
            row("", &self.held_meaning()),
            row("peak memory", &format!("{} of the extension's process", bytes(peak))),
        ]
        .concat()
    }

    fn held_meaning(&self) -> String {
        let mut text =
            "for so long the environment was kept after its function had finished; the platform itself waits \
                        25 ms of it before it hands telemetry over"
                .to_owned();
        if let Some(own) = self.held_by_own_count {
            text += &format!("; by the extension's own count {} in its last life", count(own));
        }
        text
    }

    fn start_up(&self) -> String {
        let shown: Vec<_> = self.start_ups.iter().map(|start_up| duration(*start_up)).collect();
        let (first, reborn) = match shown.split_first() {
            Some((first, reborn)) => (first.as_str(), reborn),
            None => ("unknown", &[][..]),
        };
        let mut text = format!("{first} from the start of the process to its first `next`");
        match reborn {
            [] => {}
            [once] => text += &format!("; {once} when it was reborn"),
            _ => text += &format!("; reborn {} times, at last in {}", count(reborn.len()), reborn[reborn.len() - 1]),
        }
        text
    }
}

/// From the summary line at the end of a life. One that was killed had no time for it.
fn held_by_own_count(output: &[String]) -> Option<usize> {
    let summary = output.iter().rfind(|line| line.ends_with("Ended: Shutdown."))?;
    summary.split_whitespace().find_map(|word| word.strip_prefix("held=")?.parse().ok())
}

/// For how long the extension kept the environment, in sorted order.
#[derive(Debug)]
struct Held {
    times: Vec<Duration>,
    invocations: usize,
}

impl Held {
    /// Where the environment was reset there was no extension that could have held it.
    fn of<'a>(seen: impl Iterator<Item = &'a Seen>) -> Self {
        Self::new(
            seen.map(|seen| &seen.invocation).filter(|it| it.outcome == Outcome::Success).map(|it| it.extension_held),
        )
    }

    fn new(held: impl Iterator<Item = Duration>) -> Self {
        let all: Vec<_> = held.collect();
        let invocations = all.len();
        let mut times: Vec<_> = all.into_iter().filter(|held| !held.is_zero()).collect();
        times.sort_unstable();
        Self { times, invocations }
    }

    fn shown(&self) -> String {
        let invocations = count(self.invocations);
        let Some(longest) = self.times.last() else { return format!("none of {invocations} invocations") };
        let median = self.times[self.times.len() / 2];
        let times = count(self.times.len());
        format!("{times} of {invocations} invocations: median {}, longest {}", duration(median), duration(*longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_invocations_are_told_from_the_others() {
        let held = |ms: &[u64]| Held::new(ms.iter().map(|ms| Duration::from_millis(*ms))).shown();
        assert_eq!(held(&[30, 0, 90, 40]), "3 of 4 invocations: median 40 ms, longest 90 ms");
        assert_eq!(held(&[0, 0]), "none of 2 invocations");
        assert_eq!(held(&[]), "none of 0 invocations");
    }

    #[test]
    fn the_last_life_tells_its_own_count() {
        let summary = "logspool INFO records=9 held=4 Ended: Shutdown.";
        let output = ["logspool INFO a=1 Ready.", summary, "logspool INFO held=9 Something else."].map(str::to_owned);
        assert_eq!(held_by_own_count(&output), Some(4));
        assert_eq!(held_by_own_count(&output[..1]), None);
    }

    #[test]
    fn every_life_has_a_start_up() {
        let start_up = |ms: &[u64]| {
            let start_ups = ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
            let held = Held::new(std::iter::empty());
            Costs { start_ups, held, held_in_outage: None, held_by_own_count: None, peak_rss_kib: 0 }.start_up()
        };
        assert_eq!(start_up(&[12]), "12 ms from the start of the process to its first `next`");
        assert!(start_up(&[12, 17]).ends_with("; 17 ms when it was reborn"));
        assert!(start_up(&[12, 17, 15]).ends_with("; reborn 2 times, at last in 15 ms"));
    }
}
