//! The settings that keep records from the disk.

use super::{ConfigError, Reader, Setting, settings, unless, value};
use crate::intake::filter::{Filter, Level, Patterns, Sample};

/// Between two patterns: no pattern needs it, since `;{2}` means the same.
pub(super) const PATTERN_SEPARATOR: &str = ";;";

impl Reader<'_> {
    pub(super) fn filter(&mut self) -> Filter {
        Filter {
            level: self.required(&settings::LEVEL, |text| unless("all", text, |text| value::word(&Level::ALL, text))),
            drop: self.patterns(&settings::DROP),
            sample: self.required(&settings::SAMPLE, share),
            redact: self.patterns(&settings::REDACT),
            own_metrics: self.required(&settings::EMF, value::switch),
        }
    }

    /// A pattern that cannot be used costs itself only, so each is an error of its own.
    fn patterns(&mut self, setting: &Setting) -> Patterns {
        let Some(text) = self.given(setting.variable) else { return Patterns::default() };
        let texts = text.split(PATTERN_SEPARATOR).map(str::trim).filter(|text| !text.is_empty());
        let (patterns, refused) = Patterns::compile(texts);
        let variable = self.shown(setting);
        self.errors.extend(refused.into_iter().map(|refused| ConfigError {
            variable: variable.clone(),
            value: Some(refused.pattern),
            rule: refused.reason,
            instead: Some("the others".into()),
        }));
        patterns
    }
}

/// `None` for all.
fn share(text: &str) -> Result<Option<Sample>, String> {
    let share: f64 = text.parse().map_err(|_| "a number from 0 to 1 is expected, like 0.1".to_owned())?;
    let share = value::within(share, 0.0, 1.0, |bound| bound.to_string())?;
    Ok((share < 1.0).then(|| Sample::new(share)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn without_a_setting_nothing_is_kept_out() {
        for (level, sample) in [("all", "1"), ("ALL", "1.0"), ("", "")] {
            let (config, errors) = read(&[("LOGSPOOL_LEVEL", level), ("LOGSPOOL_SAMPLE", sample)]);
            assert_eq!(errors.to_string(), "");
            assert_eq!((config.filter.level, config.filter.sample), (None, None));
        }
    }

    #[test]
    fn every_rule_is_read() {
        let (config, errors) = read(&[
            ("LOGSPOOL_LEVEL", "Warn"),
            ("LOGSPOOL_SAMPLE", "0.25"),
            ("LOGSPOOL_DROP", "^GET /health ;; a{1,3};b ;;"),
            ("LOGSPOOL_REDACT", r"(?i)token=\S+"),
        ]);
        assert_eq!(errors.to_string(), "");
        let filter = config.filter;
        assert_eq!((filter.level, filter.sample), (Some(Level::Warn), Some(Sample::new(0.25))));
        assert_eq!(format!("{:?}", filter.drop), format!("{:?}", Patterns::compile(["^GET /health", "a{1,3};b"]).0));
        assert_eq!(filter.redacted_json(r#""TOKEN=x y""#), r#""*** y""#);
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_named_once_and_the_others_work() {
        let (config, errors) = read(&[("LOGSPOOL_REDACT", "secret;;(a;;token;;(?=b)")]);
        let expected = "LOGSPOOL_REDACT=\"(a\": unclosed group; using the others | \
            LOGSPOOL_REDACT=\"(?=b)\": look-around, including look-ahead and look-behind, is not supported; using the others";
        assert_eq!(errors.to_string(), expected);
        assert_eq!(config.filter.redacted_json(r#""secret token b""#), r#""*** *** b""#);
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for text in ["0", "0.0", "1e-3", ".5"] {
            let (config, errors) = read(&[("LOGSPOOL_SAMPLE", text)]);
            assert!(errors.is_empty() && config.filter.sample.is_some(), "{text}");
        }
        for text in ["10%", "1.1", "-0.1", "nan", "inf", "half"] {
            let (config, errors) = read(&[("LOGSPOOL_SAMPLE", text)]);
            assert!(errors.to_string().ends_with("; using 1"), "{errors}");
            assert_eq!(config.filter.sample, None, "{text}");
        }
    }
}
