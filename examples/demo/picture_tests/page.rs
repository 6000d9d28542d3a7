//! What is written: true to its figures, harmless, and in need of nothing.

use super::fixture::{HOSTILE, event, everything, picture};
use crate::picture::escape::escaped;
use crate::picture::event::{Event, What};
use crate::picture::html::OBJECT_ROWS_MAX;
use crate::picture::tally::Tally;
use crate::picture::{Ending, Picture, Stored};

const NAMESPACE: &str = "xmlns=\"http://www.w3.org/2000/svg\"";

fn both(picture: &Picture) -> [String; 2] {
    [picture.page(), picture.drawing()]
}

#[test]
fn a_page_loads_nothing() {
    for text in both(&picture(everything())) {
        // What a request id says is text, whatever it says.
        let own = text.replacen(NAMESPACE, "", 1).replace(&escaped(HOSTILE), "");
        for word in ["http:", "https:", "//", "src=", "href=", "@import", "url(", "<link", "<iframe", "<object"] {
            let comment = own.matches("// ").count();
            let found = own.matches(word).count() - if word == "//" { comment } else { 0 };
            assert_eq!(found, 0, "{word}");
        }
    }
    assert!(picture(everything()).page().contains("default-src 'none'"));
}

#[test]
fn text_from_outside_is_text() {
    let mut hostile = picture(everything());
    hostile.title = HOSTILE.into();
    hostile.objects[0].key = HOSTILE.into();
    hostile.objects[0].seal = HOSTILE.into();
    if let Some(lines) = &mut hostile.lines {
        lines.equation = HOSTILE.into();
    }
    for text in both(&hostile) {
        assert!(text.contains("&lt;/title&gt;&lt;script&gt;document.body.dataset.hit=1"), "it is shown");
        assert!(!text.contains("<script>document.body") && !text.contains("<img"), "and does nothing");
    }
    assert_eq!(escaped("a<b>&\"'\u{0}\u{1b}\n"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}\n");
}

#[test]
fn the_same_events_give_the_same_bytes() {
    assert_eq!(both(&picture(everything())), both(&picture(everything())));
}

/// The text of the figure with this name: its number, then what belongs to it.
fn figure(page: &str, name: &str) -> (String, String) {
    let (_, rest) = page.split_once(&format!("<dt>{name}</dt><dd><b>")).unwrap_or_else(|| panic!("no figure {name:?}"));
    let (number, rest) = rest.split_once("</b><span>").unwrap();
    (number.to_owned(), rest.split_once("</span>").unwrap().0.to_owned())
}

#[test]
fn the_summary_has_the_figures_of_the_verdict_and_of_the_events() {
    let page = picture(everything()).page();
    let numbers = |name| figure(&page, name);
    assert_eq!(numbers("lines logged"), ("13,023".into(), "12,345 of the function, 678 of the platform".into()));
    assert_eq!(numbers("delivered"), ("13,001".into(), "12,999 acknowledged".into()));
    assert_eq!((numbers("lost").0, numbers("duplicates").0), ("7".into(), "8".into()));
    assert_eq!(numbers("objects"), ("1".into(), "for 2 invocations".into()));
    assert_eq!(numbers("stored"), ("2.3 KiB".into(), "10 KiB of lines, 4.3x".into()));
    assert_eq!(numbers("upload attempts"), ("4".into(), "2 failed, 1 already there".into()));
    assert_eq!(numbers("S3 down"), ("600 ms".into(), "spool at most 4.0 KiB".into()));
    assert_eq!(numbers("kills"), ("1".into(), "2 lives".into()));
    assert_eq!(numbers("next held").0, "35 ms");
    assert!(page.contains("13,023 emitted = 13,001 delivered + 22 never handed over"));
    assert!(page.contains("<li>7 lines acknowledged and not delivered.</li>"));
    assert!(page.contains("<td class=\"n\">160 ms</td>"), "the object was there when its attempt ended");
}

#[test]
fn a_run_that_was_interrupted_claims_nothing() {
    let cut = Picture { ending: Ending::Interrupted, lines: None, ..picture(everything()) };
    let page = cut.page();
    assert!(page.contains("nothing was judged") && !page.contains("Nothing lost"));
    assert!(!page.contains("<dt>lost</dt>") && page.contains("<dt>upload attempts</dt>"));
    let nothing = Picture { objects: Vec::new(), events: Vec::new(), ..cut };
    assert!(nothing.page().contains("Nothing was observed.") && nothing.page().contains("No object is in the bucket."));
}

#[test]
fn a_clean_run_is_told_as_one() {
    let clean = Picture { ending: Ending::Clean, ..picture(everything()) };
    assert!(clean.page().contains("Nothing lost, nothing doubled") && clean.drawing().contains("Nothing lost"));
}

#[test]
fn a_mark_tells_its_figures() {
    let page = picture(everything()).page();
    for told in [
        "<title>handler\nfrom: 50 ms\nto: 130 ms\ntook: 80 ms\nrequest: 6f1c-one</title>",
        "<title>segment sealed\nat: 140 ms\nby: invocation\nnumbers: 0..=41 (42 records)\nsize: 2.3 KiB</title>",
        "<title>attempt failed\nat: 310 ms\nerror: connection refused</title>",
        "status: 412\nkey: function=demo/",
        "<title>telemetry body acknowledged\nfrom: 90 ms\nto: 92 ms\ntook: 2.0 ms\nevents: 40\nsize: 8.8 KiB</title>",
        "<title>SIGKILL\nat: 690 ms</title>",
        "<title>bytes in segment files\nfrom: 100 ms\nto: 950 ms\ntook: 850 ms\nsize: 4.0 KiB</title>",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

#[test]
fn a_page_is_bounded_however_long_the_run() {
    let append = |number: u64| event(number, number, What::Append { events: 2, bytes: 100, acknowledged: true });
    let events: Vec<Event> = (0..100_000).map(append).collect();
    let mut long = picture(events);
    let object = long.objects[0].clone();
    long.objects = vec![object; 5_000];
    let page = long.page();
    assert!(page.len() < 500_000, "{}", page.len());
    assert_eq!(page.matches("<tr><td class=\"key\">").count(), OBJECT_ROWS_MAX);
    assert!(page.contains(&format!("… and 4,{} more", 1_000 - OBJECT_ROWS_MAX)), "what is left out is counted");
    assert!(page.contains("520 marks stand for several events each"), "what is merged is told");
    assert_eq!(Tally::of(&long.events), Tally::default());
}

#[test]
fn an_object_that_nobody_saw_coming_is_told_as_such() {
    let stranger = Stored { key: "elsewhere".into(), ..Stored::default() };
    let page = Picture { objects: vec![stranger], ..picture(everything()) }.page();
    assert!(page.contains("not seen"));
}
