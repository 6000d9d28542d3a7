//! The settings of how lines are written.

use super::value::Rule;
use super::{ConfigError, Reader, Setting, settings, value};
use crate::intake::{Field, LineSettings};
use crate::upload::object_key::LineFormat;

/// Labels are columns for the readers of the objects, and of those nobody wants many.
const LABELS_MAX: usize = 16;
/// Longest name of a label: as long as what the databases that read objects take for a column.
const LABEL_NAME_BYTES_MAX: usize = 63;
/// Longest object that the labels may make. It stands in every line, and a body has up to 10,000 of them, so this is as much
/// as a body of the default size may grow by within memory that an extension can take: 5 MB.
const LABELS_BYTES_MAX: usize = 512;

impl Reader<'_> {
    pub(super) fn lines(&mut self) -> LineSettings {
        let formats = [("json", LineFormat::Json), ("text", LineFormat::Text), ("raw", LineFormat::Raw)];
        let format = self.required(&settings::FORMAT, |text| value::word(&formats, text));
        let mut lines = LineSettings { format, ..LineSettings::default() };
        for (setting, add) in [(&settings::FIELDS, add_field as Add), (&settings::LABELS, add_label)] {
            let Some(text) = self.given(setting.variable) else { continue };
            if format != LineFormat::Json {
                // A setting that does nothing would be taken for one that works.
                self.refused(setting, text, "only lines of FORMAT=json have a place for them".into(), "none");
                continue;
            }
            for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                if let Err(rule) = add(&mut lines, item) {
                    self.refused(setting, item.to_owned(), rule, "the others");
                }
            }
        }
        lines
    }

    fn refused(&mut self, setting: &Setting, value: String, rule: Rule, instead: &str) {
        let variable = self.shown(setting);
        self.errors.push(ConfigError { variable, value: Some(value), rule, instead: Some(instead.into()) });
    }
}

type Add = fn(&mut LineSettings, &str) -> Result<(), Rule>;

fn add_field(lines: &mut LineSettings, name: &str) -> Result<(), Rule> {
    let Some((_, field)) = Field::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        return Err(format!("a list of {} is expected", Field::ALL.map(|(name, _)| name).join(", ")));
    };
    if !lines.fields.contains(&field) {
        lines.fields.push(field);
    }
    Ok(())
}

fn add_label(lines: &mut LineSettings, label: &str) -> Result<(), Rule> {
    let Some((name, value)) = label.split_once('=').map(|(name, value)| (name.trim(), value.trim())) else {
        return Err("name=value is expected".into());
    };
    let is_named = (1..=LABEL_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if !is_named {
        return Err(format!("a name has 1 to {LABEL_NAME_BYTES_MAX} letters, digits, dots, hyphens and underscores"));
    }
    if lines.labels.iter().any(|(known, _)| known == name) {
        return Err("a label of this name was given before".into());
    }
    if lines.labels.len() == LABELS_MAX {
        return Err(format!("at most {LABELS_MAX} labels are allowed"));
    }
    lines.labels.push((name.into(), value.into()));
    if lines.labels_object().len() > LABELS_BYTES_MAX {
        lines.labels.pop();
        return Err(format!("all labels together may take {LABELS_BYTES_MAX} bytes of a line"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> (LineSettings, String) {
        let (config, errors) = read(pairs);
        (config.lines, errors.to_string())
    }

    fn labels(text: &str) -> (Vec<(String, String)>, String) {
        let (lines, errors) = lines(&[("LOGSPOOL_LABELS", text)]);
        (lines.labels, errors)
    }

    #[test]
    fn formats_are_words_and_json_is_the_default() {
        for (text, format) in [("", LineFormat::Json), ("Text", LineFormat::Text), ("raw", LineFormat::Raw)] {
            let expected = LineSettings { format, ..LineSettings::default() };
            assert_eq!(lines(&[("LOGSPOOL_FORMAT", text)]), (expected, String::new()));
        }
        let (config, errors) = lines(&[("LOGSPOOL_FORMAT", "xml")]);
        assert_eq!(config.format, LineFormat::Json);
        assert_eq!(errors, "LOGSPOOL_FORMAT=\"xml\": one of json, text, raw is expected; using json");
    }

    #[test]
    fn every_field_has_a_name_and_unknown_ones_cost_themselves() {
        let names = Field::ALL.map(|(name, _)| name).join(" , ");
        let (config, errors) = lines(&[("LOGSPOOL_FIELDS", &names)]);
        assert_eq!((config.fields, errors), (Field::ALL.map(|(_, field)| field).to_vec(), String::new()));
        let (config, errors) = lines(&[("LOGSPOOL_FIELDS", "spool,host,TRACEID,spool,,pid")]);
        assert_eq!(config.fields, [Field::Spool, Field::TraceId]);
        let rule = "a list of function, version, region, account, spool, memory, architecture, traceId is expected";
        let of = |name: &str| format!("LOGSPOOL_FIELDS={name:?}: {rule}; using the others");
        assert_eq!(errors, format!("{} | {}", of("host"), of("pid")));
    }

    #[test]
    fn labels_are_read_in_their_order() {
        let (labels, errors) = labels(" team = a b, env=prod=eu,empty=,x.y-z_0=\u{e9}\"");
        assert_eq!(errors, "");
        let expected = [("team", "a b"), ("env", "prod=eu"), ("empty", ""), ("x.y-z_0", "\u{e9}\"")];
        assert_eq!(labels, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_label_that_cannot_be_used_costs_itself() {
        let long = "x".repeat(LABEL_NAME_BYTES_MAX + 1);
        for (label, rule) in [
            ("team", "name=value is expected"),
            ("=a", "a name has 1 to 63 letters"),
            ("a b=c", "a name has 1 to 63 letters"),
            ("\u{e9}=c", "a name has 1 to 63 letters"),
            (&format!("{long}=c"), "a name has 1 to 63 letters"),
            ("ok=again", "a label of this name was given before"),
        ] {
            let (labels, errors) = labels(&format!("ok=1,{label},last=2"));
            assert!(errors.starts_with(&format!("LOGSPOOL_LABELS={label:?}: {rule}")), "{errors}");
            assert!(errors.ends_with("; using the others") && !errors.contains(" | "), "{errors}");
            assert_eq!(labels.len(), 2, "{label}");
        }
        let longest = format!("{}=c", &long[1..]);
        assert_eq!(labels(&longest).1, "");
    }

    #[test]
    fn labels_have_a_greatest_number_and_length() {
        let many = |count: usize| (0..count).map(|n| format!("n{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(labels(&many(LABELS_MAX)).1, "");
        let (kept, errors) = labels(&many(LABELS_MAX + 1));
        assert_eq!(errors, "LOGSPOOL_LABELS=\"n16=v\": at most 16 labels are allowed; using the others");
        assert_eq!(kept.len(), LABELS_MAX);
        // `{"a":"…"}` has eight bytes beside the value.
        let of = |length: usize| format!("a={},b=c", "x".repeat(length));
        assert_eq!(labels(&of(LABELS_BYTES_MAX - 8 - 8)).1, "");
        let (kept, errors) = labels(&of(LABELS_BYTES_MAX - 8 - 7));
        assert_eq!(
            errors,
            "LOGSPOOL_LABELS=\"b=c\": all labels together may take 512 bytes of a line; using the others"
        );
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn what_other_formats_have_no_place_for_is_refused() {
        for name in ["LOGSPOOL_FIELDS", "LOGSPOOL_LABELS"] {
            let (config, errors) = lines(&[("LOGSPOOL_FORMAT", "text"), (name, "spool")]);
            assert_eq!(
                errors,
                format!("{name}=\"spool\": only lines of FORMAT=json have a place for them; using none")
            );
            assert_eq!(config, LineSettings { format: LineFormat::Text, ..LineSettings::default() });
        }
    }
}
