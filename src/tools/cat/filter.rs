//! Which lines are shown: pure.

use regex::bytes::Regex;

use super::super::look_error::LookError;
use super::line::Said;
use crate::archive::partition::Span;

/// What a line must be to be shown.
pub(super) struct Filter {
    request: Option<String>,
    span: Span,
    grep: Option<Regex>,
}

impl Filter {
    pub(super) fn new(request: Option<String>, span: Span, grep: Option<&str>) -> Result<Self, LookError> {
        let grep = grep.map(Regex::new).transpose().map_err(|error| LookError::Pattern(error.to_string()))?;
        Ok(Self { request, span, grep })
    }

    /// Whether a line of `raw` cannot be judged by what is asked for.
    pub(super) fn asks_more_than_raw_says(&self) -> bool {
        self.request.is_some() || self.span != Span::ALL
    }

    /// `time_ms` is where the line stands, `folder` the hours that its object's folder is for: all that there is to judge a line of `raw` by.
    pub(super) fn passes(&self, line: &[u8], said: &Said<'_>, time_ms: i64, folder: Span) -> bool {
        let is_in_time = if said.is_raw { folder.meets(self.span) } else { self.span.holds(time_ms) };
        is_in_time
            && self.request.as_ref().is_none_or(|request| said.request_id.as_deref() == Some(request))
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_passes_what_all_filters_let_pass() {
        let span = Span { from_ms: 10, until_ms: 20 };
        let (request, raw) =
            (Said { request_id: Some("r".into()), ..Said::default() }, Said { is_raw: true, ..Said::default() });
        let folder = Span { from_ms: 0, until_ms: 11 };
        // Request, span and pattern that are asked for; what the line says; its time; whether it passes.
        let table = [
            (None, Span::ALL, None, &request, 0, true),
            (Some("r"), span, Some("l.ne"), &request, 10, true),
            (Some("r"), Span::ALL, None, &Said::default(), 0, false),
            // Exactly: no beginning of it, no other case.
            (Some("rr"), Span::ALL, None, &request, 0, false),
            (Some("R"), Span::ALL, None, &request, 0, false),
            (None, span, None, &request, 9, false),
            (None, span, None, &request, 20, false),
            (None, Span::ALL, Some("^a"), &request, 0, true),
            (None, Span::ALL, Some("none"), &request, 0, false),
            (None, Span::ALL, Some("(?i)LINE"), &request, 0, true),
            (Some("r"), Span::ALL, None, &raw, 0, false),
            (None, span, None, &raw, 0, true),
            (None, Span { from_ms: 11, until_ms: 20 }, None, &raw, 15, false),
            (None, Span::ALL, Some("line$"), &raw, 0, true),
        ];
        for (number, (request, span, grep, said, time_ms, passes)) in table.into_iter().enumerate() {
            let filter = Filter::new(request.map(str::to_owned), span, grep).expect("patterns");
            assert_eq!(filter.passes(b"a line", said, time_ms, folder), passes, "row {number}");
            assert_eq!(filter.asks_more_than_raw_says(), request.is_some() || span != Span::ALL, "row {number}");
        }
        // Lines are bytes.
        let filter = Filter::new(None, Span::ALL, Some("é|(?-u:\\xff)")).expect("a pattern");
        assert!(filter.passes(b"\xff", &request, 0, folder) && filter.passes("é".as_bytes(), &request, 0, folder));
        assert!(matches!(Filter::new(None, Span::ALL, Some("(")), Err(LookError::Pattern(_))));
    }
}
