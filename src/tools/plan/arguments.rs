//! The figures that a person gives, by the rules of the settings: pure.

use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt as _};

use super::prices::Architecture;
use super::{
    BYTES_MAX, DURATION_MAX, ENVIRONMENTS_MAX, GAP_MAX, INVOCATIONS_MAX, LIFE_MAX, MEMORY_MB, Options,
    RETENTION_DAYS_MAX,
};
use crate::config::value;
use crate::tools::usage::Usage;

/// `None`: help is asked for.
pub(in super::super) fn options(words: &mut lexopt::Parser) -> Result<Option<Options>, Usage> {
    let (mut invocations_per_day, mut bytes_per_invocation, mut memory_mb) = (None, None, None);
    let mut options = Options::new(0, 0, 0);
    while let Some(word) = words.next()? {
        let Long(name) = word else {
            match word {
                Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        };
        let name = name.to_owned();
        let mut reader = Reader { words, name: &name };
        match name.as_str() {
            "invocations-per-day" => invocations_per_day = Some(reader.number(1, INVOCATIONS_MAX)?),
            "bytes-per-invocation" => bytes_per_invocation = Some(reader.size(1, BYTES_MAX)?),
            "memory" => memory_mb = Some(reader.number(MEMORY_MB.0, MEMORY_MB.1)?),
            "gap" => options.gap = Some(reader.time(GAP_MAX)?),
            "environments" => options.environments = Some(reader.number(1, ENVIRONMENTS_MAX)?),
            "duration" => options.duration = reader.time(DURATION_MAX)?,
            "life" => options.life = reader.time(LIFE_MAX)?,
            "compression-ratio" => options.compression_ratio = Some(reader.ratio()?),
            "retention-days" => options.retention_days = reader.number(1, RETENTION_DAYS_MAX)?,
            "architecture" => {
                options.architecture = reader.read(|text| value::word(&Architecture::ALL, text))?;
            }
            "json" => options.is_json = true,
            "help" => return Ok(None),
            _ => return Err(Long(&name).unexpected().into()),
        }
    }
    let missing = |name: &str| Usage::Command(format!("plan: --{name} is missing"));
    options.invocations_per_day = invocations_per_day.ok_or_else(|| missing("invocations-per-day"))?;
    options.bytes_per_invocation = bytes_per_invocation.ok_or_else(|| missing("bytes-per-invocation"))?;
    options.memory_mb = memory_mb.ok_or_else(|| missing("memory"))?;
    Ok(Some(options))
}

/// Reads the value of an option, by the rules of the settings.
struct Reader<'a> {
    words: &'a mut lexopt::Parser,
    name: &'a str,
}

impl Reader<'_> {
    fn read<T>(&mut self, read: impl Fn(&str) -> Result<T, value::Rule>) -> Result<T, Usage> {
        let text = self.words.value()?.string()?;
        read(&text).map_err(|rule| Usage::Value(format!("--{} {text:?}: {rule}", self.name)))
    }

    fn number(&mut self, least: u64, most: u64) -> Result<u64, Usage> {
        self.read(|text| value::within(value::number(text)?, least, most, |bound| bound.to_string()))
    }

    fn size(&mut self, least: u64, most: u64) -> Result<u64, Usage> {
        self.read(|text| value::within(value::size(text)?, least, most, value::show_size))
    }

    fn time(&mut self, most: Duration) -> Result<Duration, Usage> {
        let least = Duration::from_millis(1);
        self.read(|text| value::within(value::duration(text)?, least, most, value::show_duration))
    }

    fn ratio(&mut self) -> Result<f64, Usage> {
        self.read(|text| {
            let ratio = text.parse().map_err(|_| "a number like 6.4 is expected".to_owned())?;
            value::within(ratio, 0.1, 1_000.0, |bound| bound.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        options(&mut lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn figures_are_understood_or_refused_with_the_rule() {
        for (wrong, why) in [
            ("", "plan: --invocations-per-day is missing"),
            ("--invocations-per-day 1 --memory 128", "plan: --bytes-per-invocation is missing"),
            ("--invocations-per-day 1 --bytes-per-invocation 1", "plan: --memory is missing"),
            ("--invocations-per-day 0", "--invocations-per-day \"0\": it must be between 1 and 1000000000000"),
            ("--bytes-per-invocation many", "--bytes-per-invocation \"many\": a size like 4MiB"),
            ("--memory 64", "--memory \"64\": it must be between 128 and 10240"),
            ("--gap 5", "--gap \"5\": a duration like 250ms"),
            ("--gap 25h", "--gap \"25h\": it must be between 1ms and 1440m"),
            ("--environments 0", "--environments \"0\""),
            ("--duration 16m", "--duration \"16m\": it must be between 1ms and 15m"),
            ("--life 0s", "--life \"0s\""),
            ("--compression-ratio half", "--compression-ratio \"half\": a number like 6.4 is expected"),
            ("--compression-ratio NaN", "it must be between 0.1 and 1000"),
            ("--retention-days 0", "--retention-days \"0\""),
            ("--architecture mips", "--architecture \"mips\": one of x86_64, arm64 is expected"),
            ("--memory", "--memory"),
            ("--sometimes 1", "--sometimes"),
            ("12", "12"),
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_plan_needs_three_figures_and_takes_the_rest_as_usual() {
        let seconds = Duration::from_secs;
        let usual = Options {
            invocations_per_day: 1_000,
            bytes_per_invocation: 2_000,
            memory_mb: 512,
            gap: None,
            environments: None,
            duration: Duration::from_millis(100),
            life: seconds(7_200),
            compression_ratio: None,
            retention_days: 30,
            architecture: Architecture::X86_64,
            is_json: false,
        };
        let needed = "--invocations-per-day 1000 --bytes-per-invocation 2KB --memory 512";
        assert_eq!(parse(needed), Ok(Some(usual.clone())));
        let all = Options {
            gap: Some(seconds(30)),
            environments: Some(3),
            duration: seconds(2),
            life: seconds(3_600),
            compression_ratio: Some(7.5),
            retention_days: 90,
            architecture: Architecture::Arm64,
            is_json: true,
            ..usual
        };
        let options = "--gap 30s --environments 3 --duration 2s --life 1h --compression-ratio 7.5 --retention-days=90 \
                       --architecture arm64 --json";
        assert_eq!(parse(&format!("{needed} {options}")), Ok(Some(all)));
        assert_eq!(parse("--memory 512 -h"), Ok(None));
    }
}
