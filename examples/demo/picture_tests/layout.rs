//! Where marks stand, and that none is missing.

use std::time::Duration;

use super::fixture::{event, everything};
use crate::picture::event::{Event, What};
use crate::picture::facts::{Facts, Kind, Lane};
use crate::picture::layout::{FLAGS_MAX, Flag, LANE_MARKS_MAX, Layout, Mark, PLOT_WIDTH, TOP};

fn all(layout: &Layout) -> impl Iterator<Item = &Mark> {
    layout.marks.iter().chain(layout.flags.iter().map(|flag| &flag.mark))
}

/// What must hold of every layout of these events.
fn check(events: &[Event]) -> Layout {
    let layout = Layout::of(events);
    let drawn: usize = all(&layout).map(|mark| mark.facts.count).sum();
    assert_eq!(drawn, events.len(), "every event has a mark or is counted in one");
    for kind in Kind::ALL {
        let of_kind = events.iter().map(Facts::of).filter(|facts| facts.kind == kind).count();
        let drawn: usize = all(&layout).filter(|mark| mark.facts.kind == kind).map(|mark| mark.facts.count).sum();
        assert_eq!(drawn, of_kind, "{kind:?}");
    }
    for mark in all(&layout) {
        assert!(mark.x >= 0.0 && mark.width > 0.0 && mark.x + mark.width <= PLOT_WIDTH + 0.001, "{mark:?}");
        assert!((0.0..=1.0).contains(&mark.height), "{mark:?}");
    }
    for lane in Lane::ALL {
        let places: Vec<_> =
            layout.marks.iter().filter(|mark| mark.facts.kind.lane() == Some(lane)).map(|mark| mark.x).collect();
        assert!(places.is_sorted(), "{lane:?}: later is never further left: {places:?}");
    }
    let mut edge = TOP;
    for row in &layout.rows {
        assert!(row.y >= edge, "rows lie below each other: {row:?}");
        edge = row.y + row.height;
    }
    assert!(layout.bottom() >= edge && layout.height() > layout.bottom());
    assert!(layout.ticks.windows(2).all(|pair| pair[0].x < pair[1].x && pair[0].label != pair[1].label));
    assert!((1..=11).contains(&layout.ticks.len()), "{:?}", layout.ticks);
    layout
}

fn append(at_us: u64) -> Event {
    let at = Duration::from_micros(at_us);
    let end = at + Duration::from_micros(300);
    Event { begin: at, end, what: What::Append { events: 1, bytes: 100, acknowledged: true } }
}

#[test]
fn a_run_with_everything_has_a_mark_for_each() {
    let layout = check(&everything());
    assert_eq!(layout.kinds(), Kind::ALL, "and a legend for each kind");
    assert!(all(&layout).all(|mark| mark.facts.count == 1), "none is merged");
    let of = |kind| all(&layout).find(|mark| mark.facts.kind == kind).unwrap();
    assert!(of(Kind::Killed).x < of(Kind::Born).x && of(Kind::Born).x < of(Kind::Adopted).x);
    // 300 of 1,200 ms.
    assert!(
        (of(Kind::Outage).x - PLOT_WIDTH / 4.0).abs() < 0.01
            && (of(Kind::Outage).width - PLOT_WIDTH / 2.0).abs() < 0.01
    );
}

#[test]
fn nothing_at_all_is_an_empty_picture() {
    let layout = check(&[]);
    assert_eq!((layout.marks.len(), layout.flags.len(), layout.rows.len()), (0, 0, Lane::ALL.len()));
}

#[test]
fn an_outage_without_length_is_seen() {
    for at in [0, 500, 1_000] {
        let layout = check(&[event(at, at, What::Outage), event(0, 1_000, What::Frozen)]);
        assert!(layout.flags[0].mark.width >= 1.0, "{:?}", layout.flags);
    }
    check(&[event(0, 0, What::Outage)]);
}

#[test]
fn a_hundred_thousand_appends_are_a_bounded_number_of_marks_and_all_counted() {
    let layout = check(&(0..100_000).map(|number| append(number * 731)).collect::<Vec<_>>());
    assert!(layout.marks.len() <= LANE_MARKS_MAX, "{}", layout.marks.len());
    assert_eq!(layout.marks.iter().map(|mark| mark.facts.bytes).sum::<u64>(), 10_000_000);
}

#[test]
fn as_many_as_a_lane_takes_are_not_merged() {
    let of =
        |many: usize| Layout::of(&(0..many as u64).map(|number| append(number % 7)).collect::<Vec<_>>()).marks.len();
    assert_eq!(of(LANE_MARKS_MAX), LANE_MARKS_MAX);
    assert!(of(LANE_MARKS_MAX + 1) <= 7);
}

#[test]
fn what_failed_is_never_merged_with_what_went_well() {
    let call = |number: u64| {
        let error = number.is_multiple_of(3).then(|| "an error".to_owned());
        event(number, number + 1, What::Invocation { request_id: number.to_string(), error })
    };
    let layout = check(&(0..2_000).map(call).collect::<Vec<_>>());
    assert!(layout.marks.len() <= 2 * LANE_MARKS_MAX);
    assert!(layout.kinds().contains(&Kind::CallFailed));
}

#[test]
fn a_function_that_kills_the_extension_each_time_has_few_lines_through_the_picture() {
    let kills: Vec<_> = (0..5_000).map(|number| event(number * 10, number * 10, What::Killed)).collect();
    let layout = check(&kills);
    assert!(layout.flags.len() <= FLAGS_MAX);
    words_can_be_read(&layout);
}

/// No word lies over another one, no line goes through one.
fn words_can_be_read(layout: &Layout) {
    // Letters are hardly narrower than this.
    let width = |flag: &Flag| flag.word.len() as f64 * 6.0;
    let told: Vec<_> = layout.flags.iter().filter(|flag| !flag.word.is_empty()).collect();
    assert!(!told.is_empty());
    for (index, one) in told.iter().enumerate() {
        let ((left, base), right) = (one.word_at, one.word_at.0 + width(one));
        for other in &told[index + 1..] {
            let (begin, end) = (other.word_at.0, other.word_at.0 + width(other));
            assert!((base - other.word_at.1).abs() > 1.0 || end < left || right < begin, "{one:?} {other:?}");
        }
        let lines = layout.flags.iter().filter(|flag| flag.mark.facts.kind != Kind::Outage);
        for line in lines.filter(|line| line.word_at.1 <= base) {
            assert!(line.mark.x < left || right < line.mark.x, "{one:?} {line:?}");
        }
    }
}

#[test]
fn words_at_lines_that_stand_close_can_be_read() {
    for apart in [0, 1, 3, 10, 40, 100] {
        let birth = |number: u64| event(500 + number * apart, 500 + number * apart, What::Born { number: 2 });
        let events: Vec<_> = (0..6).map(birth).chain([event(0, 1_500, What::Outage)]).collect();
        words_can_be_read(&check(&events));
    }
    words_can_be_read(&check(&everything()));
}

#[test]
fn the_most_in_the_spool_survives_merging() {
    let sample = |number: u64| event(number, number + 1, What::Spooled(if number == 777 { 9_999 } else { 10 }));
    let layout = check(&(0..3_000).map(sample).collect::<Vec<_>>());
    assert_eq!(layout.spool_bytes_max, 9_999);
}
