//! Lines of our own metrics, when they come back as records of an extension.
//!
//! What an extension writes to its standard output is telemetry as well. With `extension` among the streams that are shipped, each line
//! would be stored and uploaded, which is what the next line tells of: for ever, at the price of a PUT a minute.

use serde::Deserialize;

use crate::metrics::NAMESPACE;

/// What every line in the format has, whoever wrote it: cheap to miss.
const MARK: &str = "\"CloudWatchMetrics\"";

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_aws")]
    aws: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "CloudWatchMetrics")]
    directives: Vec<Directive>,
}

#[derive(Deserialize)]
struct Directive {
    #[serde(rename = "Namespace")]
    namespace: String,
}

/// Whether a record is a line of our metrics: a text, or the object that a platform with JSON logs makes of it.
pub(super) fn are_in(record: &str) -> bool {
    if !record.contains(MARK) {
        return false;
    }
    let line: Result<Line, _> = serde_json::from_str(record);
    let is_ours = |line: Line| line.aws.directives.iter().any(|directive| directive.namespace == NAMESPACE);
    line.is_ok_and(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::a_line;

    #[test]
    fn our_lines_are_known_however_the_platform_writes_them() {
        let line = a_line();
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        for record in [line.clone(), format!("{line}\n"), object.to_string(), format!("{object:#}")] {
            assert!(are_in(&record), "{record}");
        }
    }

    #[test]
    fn lines_of_others_are_none_of_ours() {
        let line = a_line();
        for record in [
            "",
            "no line",
            MARK,
            NAMESPACE,
            &line[1..],
            &line[..line.len() - 1],
            &format!("INFO {line}"),
            &line.replace("\"logspool\"", "\"orders\""),
            r#"{"message":"\"CloudWatchMetrics\" of logspool"}"#,
            r#"{"_aws":{"CloudWatchMetrics":[{"Namespace":"logspool/orders"}]}}"#,
        ] {
            assert!(!are_in(record), "{record}");
        }
    }
}
