//! What the extension says of its own decisions, in its log at DEBUG.

use std::time::Duration;

/// What was decided for an invocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    NextAtOnce,
    /// Held until the function has finished and its lines are delivered.
    Drain,
    /// Held for an upload that no handler is long enough for.
    Starved,
    /// Held for the last words of a failure.
    Failure,
}

pub struct Decision {
    pub request_id: String,
    pub plan: Plan,
    /// The store was taken to be down.
    pub in_outage: bool,
}

impl Decision {
    pub fn holds(&self) -> bool {
        self.plan != Plan::NextAtOnce
    }
}

/// One life, from its log.
#[derive(Default)]
pub struct Diary {
    pub decisions: Vec<Decision>,
    /// The schedule: how long the store was left alone after each failure. Those before SHUTDOWN.
    pub waits: Vec<Duration>,
    summary: String,
}

impl Diary {
    pub fn read(output: &[String]) -> Self {
        let (mut diary, mut in_outage, mut is_ending) = (Self::default(), false, false);
        for line in output {
            if line.contains("An invocation has begun.") {
                let request_id = word(line, "request").to_owned();
                diary.decisions.push(Decision { request_id, plan: plan(line), in_outage });
            } else if line.contains("The store is asked again later.") && !is_ending {
                in_outage = word(line, "outage") == "true";
                diary.waits.push(Duration::from_millis(number(line, "in_ms")));
            } else if line.contains("A segment was delivered.") {
                in_outage = false;
            } else if line.contains("The environment ends.") {
                is_ending = true;
            } else if line.contains(" Ended: ") {
                diary.summary.clone_from(line);
            }
        }
        diary
    }

    /// A number of the summary line.
    pub fn summary(&self, field: &str) -> u64 {
        number(&self.summary, field)
    }

    pub fn holds(&self) -> usize {
        self.decisions.iter().filter(|decision| decision.holds()).count()
    }
}

fn plan(line: &str) -> Plan {
    match word(line, "plan") {
        "NextAtOnce" => Plan::NextAtOnce,
        "DrainAtEnd" => Plan::Drain,
        "FinishOne" if line.contains("is_starved: true") => Plan::Starved,
        "FinishOne" => Plan::Failure,
        other => panic!("an unknown plan: {other}"),
    }
}

fn number(line: &str, field: &str) -> u64 {
    word(line, field).parse().unwrap_or_else(|_| panic!("{field} is no number in {line:?}"))
}

fn word<'a>(line: &'a str, field: &str) -> &'a str {
    let found = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{field} is not in {line:?}"))
}
