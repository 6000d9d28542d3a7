//! The picture of a run, held against the run: a real one, short, with an outage and a kill; and looked at by a browser, once
//! `tests/report/prepare` has found one. What needs no run is tested with the demo.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

#[path = "report/browser.rs"]
mod browser;
#[allow(dead_code, reason = "the demo uses all of it")]
#[path = "../examples/demo/picture/mod.rs"]
mod picture;
#[path = "report/short_run.rs"]
mod short_run;

/// What the picture knows of the demo, under the name that it has there.
mod report {
    #[allow(dead_code, reason = "the demo uses all of it")]
    #[path = "../../examples/demo/report/text.rs"]
    pub mod text;
}

#[path = "../examples/demo/picture_tests/fixture.rs"]
mod fixture;

use std::collections::BTreeSet;
use std::time::Duration;

use browser::Browser;
use picture::event::{Event, Outcome, What};
use picture::tally::Tally;
use sandbox::{Fate, Outcome as SandboxOutcome};
use short_run::{INVOCATIONS, ShortRun};

#[tokio::test]
async fn every_mark_of_a_real_run_is_what_the_sandbox_says_of_it() {
    let run = ShortRun::play().await;
    let events = run.observed.events();
    let tally = Tally::of(&events);
    assert_eq!((tally.invocations, tally.kills, tally.lives), (INVOCATIONS, 1, 2));
    assert!(!tally.outage.is_zero() && tally.spooled_max > 0);

    let acknowledged = events.iter().map(|event| match event.what {
        What::Append { events, acknowledged: true, .. } => events,
        _ => 0,
    });
    assert_eq!(acknowledged.sum::<usize>(), run.ledger.with_fate(Fate::Acknowledged).count());

    // A fault ends an invocation at once; nobody is held for an extension that is dead.
    let held = run.invocations.iter().filter(|it| it.outcome == SandboxOutcome::Success).map(|it| it.extension_held);
    let held: Duration = held.sum();
    assert!(held.abs_diff(tally.held) < Duration::from_millis(1), "{held:?} {:?}", tally.held);

    let key = |event: &Event, is_there: bool| match &event.what {
        What::Attempt { outcome, key, .. } => {
            key.clone().filter(|_| !is_there || matches!(outcome, Outcome::Stored | Outcome::AlreadyThere))
        }
        _ => None,
    };
    let keys = |is_there| events.iter().filter_map(|event| key(event, is_there)).collect::<BTreeSet<_>>();
    let stored: BTreeSet<_> = run.objects.iter().map(|object| object.key.clone()).collect();
    assert!(keys(true).is_subset(&stored), "what is drawn as stored is there");
    assert!(stored.is_subset(&keys(false)), "and an object is there because of an attempt that is drawn");
    assert!(tally.failed > 0, "the outage was felt");

    // Of its last life the extension has counted the attempts itself. One that a freeze interrupts may never reach the store, and
    // then nobody says a word of it.
    let born = events.iter().find(|event| matches!(event.what, What::Born { .. })).unwrap().begin;
    let last: Vec<_> = events.iter().filter(|event| event.begin >= born).cloned().collect();
    let interrupted = run.counted("interrupted");
    for (drawn, name) in [(Tally::of(&last).attempts, "attempts"), (Tally::of(&last).failed, "failed_attempts")] {
        let counted = run.counted(name);
        assert!(drawn.abs_diff(counted) <= interrupted, "{name}: {drawn} {counted} {:#?}", run.output);
    }

    // And what it has sealed has the numbers of an object's name.
    let range = |event: &Event| match event.what {
        What::Sealed { first, records, .. } => Some(format!("-{first:012}-{:012}-", first + records - 1)),
        _ => None,
    };
    let sealed: BTreeSet<_> = last.iter().filter_map(range).collect();
    let of_last_life = run.objects_of_last_life();
    assert!(!of_last_life.is_empty());
    for object in of_last_life {
        assert!(sealed.iter().any(|range| object.key.contains(range)), "{}: {sealed:?}", object.key);
    }
    assert_eq!(events.iter().filter(|event| matches!(event.what, What::Adopted { .. })).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event.what, What::Shutdown { .. })).count(), 1);
}

#[test]
fn a_browser_shows_the_page_without_a_word_and_tells_every_mark() {
    let Some(browser) = Browser::ready() else { return };
    let page = fixture::picture(fixture::everything()).page();
    let seen = browser.look(&page);
    assert_eq!(seen.complaints, Vec::<String>::new());
    assert_eq!(seen.marks, fixture::everything().len());
    assert_eq!(seen.untold, 0, "each mark shows its figures when it is focused");
    assert_eq!(seen.walked, 3, "arrows go from mark to mark in a lane");
    assert!(!seen.injected, "text from outside does nothing");
    // A picture compresses badly, an empty sheet well.
    let (page, blank) = (browser.screenshot(&page), browser.screenshot("<!doctype html>"));
    assert!(page.len() > 4 * blank.len(), "{} {}", page.len(), blank.len());
}

#[test]
fn a_browser_that_is_told_nothing_says_so() {
    let Some(browser) = Browser::ready() else { return };
    // Without its script a page has its marks and their titles, and no hover; and here is one that wants to load something. The
    // checks above can fail.
    let page = fixture::picture(fixture::everything()).page();
    let (before, rest) = page.split_once("<script>").unwrap();
    let image = "<img src=\"http://127.0.0.1:9/x.png\">";
    let seen = browser.look(&(before.to_owned() + image + rest.split_once("</script>").unwrap().1));
    assert_eq!((seen.marks, seen.untold), (fixture::everything().len(), fixture::everything().len()));
    assert!(!seen.complaints.is_empty(), "what a page wants to load is complained about");
}
