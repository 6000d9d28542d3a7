//! What the intake asks the allocator for does not grow with the number of records: a body costs a few allocations, a record
//! none. Counts, no times.

#[path = "../spool/benches/spool/allocations.rs"]
mod allocations;
#[path = "../benches/intake/bodies.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod bodies;
#[path = "../benches/intake/subject.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod subject;

use bodies::{Kind, Shape, start};
use logspool::intake::{Field, LineSettings};
use subject::{NOW_MS, Setup, body, intake};

/// What a body may cost however many records it has: what is in force behind it is copied, its entry written.
const OF_A_BODY_MAX: u64 = 8;
/// The same if invocations are summed up: those that are open, and what is known of this one.
const OF_A_SUMMED_UP_BODY_MAX: u64 = 16;
const BODIES: usize = 4;

/// Allocations of the costliest body, after others of the same shape; and how many records it has at least.
fn costliest(setup: &Setup, bodies: &[(Vec<u8>, u64)]) -> (u64, u64) {
    let root = tempfile::tempdir().expect("tempdir");
    let (intake, _spool) = intake(root.path(), setup);
    intake.store(&body(&start()), NOW_MS);
    // Everything has its final size behind these.
    for (bytes, _) in bodies.iter().chain(bodies) {
        intake.store(&body(bytes), NOW_MS);
    }
    let stored = intake.totals().records;
    let costs = bodies.iter().map(|(bytes, _)| {
        let body = body(bytes);
        let before = allocations::count();
        intake.store(&body, NOW_MS);
        allocations::count() - before
    });
    let costliest = costs.max().expect("bodies");
    let expected: u64 = bodies.iter().map(|(_, records)| records).sum();
    assert_eq!(intake.totals().records - stored, expected, "every record has become a line");
    (costliest, bodies.iter().map(|(_, records)| *records).min().expect("bodies"))
}

fn every_field() -> LineSettings {
    let fields = Field::ALL.iter().map(|(_, field)| *field).collect();
    LineSettings { fields, labels: vec![("team".into(), "orders".into())], ..LineSettings::default() }
}

/// Records that say themselves whom they belong to, of two requests in turns, as where several run at once; some stand
/// in a way of their own.
fn interleaved(records: u64) -> Vec<(Vec<u8>, u64)> {
    let event = |number: u64| {
        let (id, level) = (number % 2, if number.is_multiple_of(3) { "INFO" } else { "DEBUG" });
        let record = format!(r#"{{"requestId":"request-{id}","level":"{level}","n":{number}}}"#);
        match number % 10 {
            0 => format!(r#"{{"type":"function","record":{record}}}"#),
            1 => format!(r#"{{ "time":"2026-09-21T13:46:40.000Z","type":"function","record":{record}}}"#),
            _ => {
                let deep = record.replace('}', r#","deep":[{"a":{"b":null}}]}"#);
                format!(r#"{{"time":"2026-09-21T13:46:40.000Z","type":"function","record":{deep}}}"#)
            }
        }
    };
    let events: Vec<_> = (0..records).map(event).collect();
    vec![(format!("[{}]", events.join(",")).into_bytes(), records)]
}

/// One test, since others at the same time would be counted, too.
#[test]
fn a_record_costs_no_allocation() {
    for (fields, sums_up) in [(LineSettings::default(), false), (every_field(), false), (every_field(), true)] {
        let setup = Setup { lines: fields, sums_up, ..Setup::default() };
        let of_a_body_max = if sums_up { OF_A_SUMMED_UP_BODY_MAX } else { OF_A_BODY_MAX };
        let mut stories = vec![(String::from("interleaved"), interleaved(1_000))];
        for kind in Kind::ALL {
            for record_bytes in [20, 200] {
                let shape = Shape { kind, record_bytes, body_bytes: 300_000 };
                stories.push((format!("{} of {record_bytes}", kind.name()), bodies::bodies(7, BODIES, shape)));
            }
        }
        for (name, bodies) in stories {
            let (costliest, records) = costliest(&setup, &bodies);
            assert!(
                costliest <= of_a_body_max && records > 20 * of_a_body_max,
                "{name}, {setup:?}: {costliest} allocations for {records} records"
            );
        }
    }
}
