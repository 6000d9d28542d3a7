//! What the picture shows of the report: the same figures, none of its own.

use super::account::Account;
use super::object::Object;
use crate::picture::event::Event;
use crate::picture::{Ending, Lines, Picture, Stored};
use crate::session::Unfinished;

/// Of a run that was brought to its end.
pub(super) fn finished(
    title: String,
    findings: &[String],
    account: &Account,
    objects: &[Object],
    events: Vec<Event>,
) -> Picture {
    Picture {
        title,
        ending: if findings.is_empty() { Ending::Clean } else { Ending::Findings(findings.to_vec()) },
        lines: Some(lines(account)),
        objects: objects.iter().map(stored).collect(),
        events,
    }
}

/// Of a run that was not.
pub fn interrupted(seen: &Unfinished) -> Picture {
    Picture {
        title: "A run that was interrupted".to_owned(),
        ending: Ending::Interrupted,
        lines: None,
        objects: seen.objects.iter().map(|object| stored(&Object::new(object))).collect(),
        events: seen.observed.events(),
    }
}

fn lines(account: &Account) -> Lines {
    Lines {
        function: account.function_lines,
        platform: account.platform_events,
        acknowledged: account.acknowledged,
        delivered: account.delivered,
        lost: account.lost,
        doubled: account.doubled,
        equation: account.equation(),
    }
}

fn stored(object: &Object) -> Stored {
    Stored {
        key: object.key.clone(),
        lines: object.lines(),
        raw_bytes: object.raw_bytes(),
        stored_bytes: object.stored_bytes,
        seal: object.seal.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_figures_of_the_terminal() {
        let account = Account {
            function_lines: 7_001,
            platform_events: 302,
            acknowledged: 7_203,
            never_handed_over: 95,
            delivered: 7_208,
            lost: 4,
            doubled: 5,
            ..Account::default()
        };
        let object = Object {
            key: "hour=06/a.ndjson.zst".into(),
            stored_bytes: 612,
            seal: "error".into(),
            text: "one line\n".repeat(131),
        };
        let terminal = account.render(120);
        let page = finished("A run".into(), &["Four are lost.".into()], &account, &[object], Vec::new()).page();
        for (name, row, number) in [
            ("lines logged", "emitted", "7,303"),
            ("delivered", "delivered", "7,208"),
            ("lost", "lost", "4"),
            ("duplicates", "doubled", "5"),
        ] {
            assert!(page.contains(&format!("<dt>{name}</dt><dd><b>{number}</b>")), "{name}");
            let told = terminal.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
            assert_eq!(told.split_whitespace().nth(1), Some(number), "{terminal}");
        }
        for told in [
            account.equation().as_str(),
            "7,001 of the function, 302 of the platform",
            "7,203 acknowledged",
            "Four are lost.",
            "hour=06/<wbr>a.ndjson.zst",
            "<td class=\"n\">131</td><td class=\"n\">1.2 KiB</td><td class=\"n\">612 B</td>",
            "<td>error</td>",
        ] {
            assert!(page.contains(told), "{told}");
        }
    }
}
