//! An invocation as whoever reads the bucket sees it.

use console::truncate_str;
use serde_json::Value;

use super::object::Object;
use super::text::count;

/// From the beginning and the end of an invocation that has said more than fits.
const LINES_FIRST: usize = 4;
const LINES_LAST: usize = 4;
/// Some 140 of them are time, type, number and request; the words of the function come behind.
const LINE_CHARACTERS: usize = 225;
/// Of a line that is far longer both ends are of interest.
const ENDS_FROM: usize = 10_000;
const END_CHARACTERS: usize = 40;
const OWN_TYPE: &str = r#""type":"logspool."#;

/// The lines of a request, in the order of their numbers, from whichever objects they are in.
pub fn lines_of(objects: &[Object], request_id: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for object in objects {
        for line in object.text.lines() {
            // Most lines are somebody else's, and some are long.
            let told = line.contains(request_id).then(|| serde_json::from_str::<Value>(line).ok()).flatten();
            if let Some(told) = told.filter(|told| told["requestId"] == request_id) {
                lines.push((object.life().to_owned(), told["seq"].as_u64(), line.to_owned()));
            }
        }
    }
    lines.sort();
    lines.into_iter().map(|(.., line)| line).collect()
}

/// Some of the lines, as they stand in the objects.
pub fn render(lines: &[String], width: usize) -> String {
    let hidden = lines.len().saturating_sub(LINES_FIRST + LINES_LAST);
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if hidden == 0 || at < LINES_FIRST || at >= LINES_FIRST + hidden {
            text += &rows(&shortened(line), width);
        } else if at == LINES_FIRST {
            text += &format!("  … {} more lines …\n", count(hidden));
        }
    }
    text
}

/// What the extension itself has written is shown whole: nobody has seen it before.
fn shortened(line: &str) -> String {
    let characters = line.chars().count();
    if line.contains(OWN_TYPE) && characters < ENDS_FROM {
        return line.to_owned();
    }
    if characters < ENDS_FROM {
        return truncate_str(line, LINE_CHARACTERS, "…").into_owned();
    }
    let beginning: String = line.chars().take(LINE_CHARACTERS - END_CHARACTERS).collect();
    let end: String = line.chars().skip(characters - END_CHARACTERS).collect();
    format!("{beginning}… {} more characters …{end}", count(characters - LINE_CHARACTERS))
}

/// A line in as many rows as it takes.
fn rows(line: &str, width: usize) -> String {
    let (mut rest, mut rows) = (line, String::new());
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

    fn line(seq: u32, request_id: &str) -> String {
        format!(r#"{{"type":"function","seq":{seq},"requestId":"{request_id}","message":"of a"}}"#)
    }

    #[test]
    fn the_lines_of_a_request_stand_in_order_whichever_object_has_them() {
        let object = |text: String| Object { text, ..Object::default() };
        let objects = [object(line(12, "a") + "\n"), object(format!("{}\n{}\n", line(2, "a"), line(3, "b")))];
        assert_eq!(lines_of(&objects, "a"), [line(2, "a"), line(12, "a")]);
        assert_eq!(lines_of(&objects, "c"), Vec::<String>::new());
    }

    #[test]
    fn of_many_lines_the_first_and_the_last_are_shown() {
        let lines: Vec<_> = (0..20).map(|seq| line(seq, "a")).collect();
        let text = render(&lines, 100);
        assert_eq!(text.lines().count(), LINES_FIRST + 1 + LINES_LAST, "{text}");
        assert!(text.contains("  … 12 more lines …\n") && text.contains("\"seq\":3,") && !text.contains("\"seq\":4,"));
        assert_eq!(render(&[], 80), "");
        assert_eq!(render(&lines[..8], 100).lines().count(), 8);
    }

    #[test]
    fn a_long_line_is_cut_and_its_rows_fit() {
        let text = rows(&shortened(&"größer ".repeat(100)), 80);
        assert!(text.lines().all(|row| row.chars().count() <= 80) && text.ends_with("…\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        let long = format!("{}{}", "x".repeat(20_000), "y".repeat(END_CHARACTERS));
        assert!(shortened(&long).ends_with(&format!("… 19,815 more characters …{}", "y".repeat(END_CHARACTERS))));
    }
}
