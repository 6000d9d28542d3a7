//! The plan as a person reads it: the function, a table, and what is said about it.

use std::io::{self, Write};

use super::prices;
use super::report::{Costs, MONTH_DAYS, Plan};
use super::scenario::Scenario;
use super::words::{dollars, figure, kilobytes, settings, span, volume};
use crate::tools::table::Table;

/// What is left out, a line each.
const LEFT_OUT: [&str; 5] = [
    "bursts and nights: invocations are alike and evenly spread; failed ones, which ship at once, are not counted",
    "environments that idle and are ended before --life, mostly after minutes: each leaves one object more",
    "KMS, retries, reading, what carries data to S3 (free with a gateway endpoint), the start of the extension",
    "CPU that compression and uploads take from a handler that runs",
    "what each record costs on top: some 26 bytes in CloudWatch; time, type and number in a line of ours",
];

impl Plan {
    pub(super) fn write_table(&self, scenario: &Scenario, out: &mut dyn Write) -> io::Result<()> {
        write_scenario(scenario, out)?;
        writeln!(out)?;
        self.table(scenario.retention_days).write("", out)?;
        writeln!(out)?;
        said("held", &[&self.held()], out)?;
        let native = kilobytes(self.cheaper_than_native_delivery_from_bytes);
        let cloudwatch = kilobytes(self.cheaper_than_cloudwatch_from_bytes);
        let here = kilobytes(self.raw_bytes_per_object);
        let break_even = format!(
            "from {native} raw per object upwards a PUT is cheaper than native delivery, from {cloudwatch} than CloudWatch; here {here}"
        );
        said("break-even", &[&break_even], out)?;
        let advice: Vec<&str> = self.advice.lines().collect();
        said("object size", &advice, out)?;
        writeln!(out)?;
        said("prices", &prices::SOURCE, out)?;
        said("left out", &LEFT_OUT, out)
    }

    fn table(&self, retention_days: f64) -> Table<5> {
        let mut table = Table::new(["", ">a day", ">a month", ">CloudWatch", ">native delivery to S3"]);
        let none = String::new;
        let month = |per_day: f64| per_day * MONTH_DAYS;
        let raw = self.raw_bytes_per_day;
        table.row(["raw logs".into(), volume(raw), volume(month(raw)), none(), none()]);
        let objects = self.objects_per_day;
        let decimals = usize::from(objects < 10.0);
        table.row(["objects".into(), figure(objects, decimals), figure(month(objects), 0), none(), none()]);
        table.row(["raw in an object".into(), kilobytes(self.raw_bytes_per_object), none(), none(), none()]);
        let mut dollars_of = |name: String, part: fn(&Costs) -> f64, others: bool| {
            let ours = part(&self.logspool_dollars_per_month);
            let other = |costs: &Costs| if others { dollars(part(costs)) } else { none() };
            table.row([
                name,
                dollars(ours / MONTH_DAYS),
                dollars(ours),
                other(&self.cloudwatch_dollars_per_month),
                other(&self.native_delivery_dollars_per_month),
            ]);
        };
        dollars_of("PUTs; ingestion; delivery".into(), |costs| costs.writing, true);
        dollars_of(format!("storage of {retention_days} days"), |costs| costs.storage, true);
        dollars_of("time held, billed".into(), |costs| costs.held_time, false);
        dollars_of("total".into(), |costs| costs.total, true);
        table
    }

    fn held(&self) -> String {
        if self.held_ms <= 0.0 {
            return "nobody: uploads happen while handlers run".into();
        }
        let (median, ms, share) = (self.held_ms_median, self.held_ms, self.held_invocations_share);
        let share = figure(share * 100.0, if share < 0.1 { 2 } else { 0 });
        format!(
            "{share} % of the invocations for {ms} ms after the function has finished, median {median} ms; no response waits"
        )
    }
}

/// Some lines under one name.
fn said(name: &str, lines: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        writeln!(out, "{:14}{line}", if index == 0 { name } else { "" })?;
    }
    Ok(())
}

fn write_scenario(scenario: &Scenario, out: &mut dyn Write) -> io::Result<()> {
    let Scenario { traffic, rules, .. } = scenario;
    writeln!(
        out,
        "function      {} invocations a day, {} raw bytes and {} each, {} MB, {}",
        figure(traffic.invocations_per_day, 0),
        figure(traffic.bytes_per_invocation, 0),
        span(traffic.duration_ms),
        scenario.memory_mb,
        scenario.architecture.name()
    )?;
    writeln!(
        out,
        "environments  {} at a time, one invocation each every {}, alive for {}",
        figure(scenario.environments, 0),
        span(traffic.gap_ms),
        span(traffic.life_ms)
    )?;
    writeln!(out, "settings      {}", settings(rules).join(" "))?;
    writeln!(out, "compression   {} : 1, {}", traffic.compression_ratio, scenario.ratio_source)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{options, told};

    #[test]
    fn a_person_reads_what_is_wrong_and_what_helps() {
        let text = told(&options(86_400, 1_000), &[("DRAIN", "end")]);
        for line in [
            "function      86,400 invocations a day, 1,000 raw bytes and 100 ms each, 512 MB, x86_64\n",
            "environments  1 at a time, one invocation each every 1 s, alive for 2 h\n",
            "settings      SEAL_AGE=1m SEAL_SIZE=4MiB SEAL_INVOCATIONS=1 DRAIN=end\n",
            "held          100 % of the invocations for 175 ms after the function has finished, median 175 ms;",
            "break-even    from 20 KB raw per object upwards a PUT is cheaper than native delivery, from 10 KB than CloudWatch; here 1 KB\n",
            "object size   below the target of 500 KB raw in an object:\n",
            "LOGSPOOL_SEAL_AGE=10m LOGSPOOL_SEAL_INVOCATIONS=off LOGSPOOL_DRAIN=adaptive makes 533 KB per object; \
             at most 10 min of lines are then on the disk alone\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing:\n{text}");
        }
        let rows: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        // 86,400 * 30 * 0.000005; 2.592 GB at 0.50 and at 0.25.
        for row in ["raw in an object 1 KB", "PUTs; ingestion; delivery $0.4320 $12.96 $1.30 $0.6480"] {
            assert!(rows.iter().any(|line| line == row), "{row:?} is missing:\n{text}");
        }
        let text = told(&options(1_440, 2_000), &[]);
        assert!(
            text.contains("no setting reaches it: an object ends with the hour and with its environment\n"),
            "{text}"
        );
        assert!(text.contains("makes 80 KB per object"), "{text}");
        let text = told(&options(12, 2_000), &[]);
        assert!(
            text.contains(
                "no setting reaches it: invocations of one environment are 2 h apart, so each is an object\n"
            )
        );
        assert!(text.contains("0.02 MB"), "{text}");
        let text = told(&options(86_400, 10_000), &[]);
        assert!(text.contains("object size   the target of 500 KB raw in an object is reached\n"), "{text}");
        assert!(told(&options(86_400, 10_000), &[("DRAIN", "background")]).contains("for 50 ms after"));
    }
}
