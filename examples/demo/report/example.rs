//! What lines look like in the bucket.

use console::truncate_str;

const EXAMPLE_LINES: usize = 3;
/// Some 140 of them are time, type, number and request; the words of the function come behind.
const EXAMPLE_CHARACTERS: usize = 225;

/// The first lines of an invocation, as they stand in the object.
pub fn render(text: &str, width: usize) -> String {
    beginning(text).into_iter().map(|line| cut(line, width)).collect()
}

/// From the beginning of an invocation on, if there is one: what comes before it belongs to another.
fn beginning(text: &str) -> Vec<&str> {
    let start = text.lines().position(|line| line.contains(r#""type":"platform.start""#));
    text.lines().skip(start.unwrap_or_default()).take(EXAMPLE_LINES).collect()
}

/// The beginning of a line, in as many rows as it takes.
fn cut(line: &str, width: usize) -> String {
    let mut rest = &*truncate_str(line, EXAMPLE_CHARACTERS, "…");
    let mut rows = String::new();
    while !rest.is_empty() {
        let row = match truncate_str(rest, width - 4, "").len() {
            0 => rest.len(),
            row => row,
        };
        let (row, further) = rest.split_at(row);
        rows += &format!("{}{row}\n", if rows.is_empty() { "  " } else { "    " });
        rest = further;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_begins_with_its_invocation() {
        let text = r#"{"type":"platform.report"}
{"type":"platform.start"}
{"type":"function"}
{"type":"function","message":"two"}
{"type":"function","message":"three"}
"#;
        assert_eq!(
            render(text, 80),
            "  {\"type\":\"platform.start\"}\n  {\"type\":\"function\"}\n  {\"type\":\"function\",\"message\":\"two\"}\n"
        );
        assert_eq!(beginning("one\ntwo\n"), ["one", "two"]);
        assert_eq!(render("", 80), "");
    }

    #[test]
    fn a_long_line_is_cut_and_its_rows_fit() {
        let rows = cut(&"größer ".repeat(100), 80);
        assert!(rows.lines().all(|row| row.chars().count() <= 80) && rows.ends_with("…\n"), "{rows}");
        assert_eq!(rows.lines().count(), 3, "{rows}");
    }
}
