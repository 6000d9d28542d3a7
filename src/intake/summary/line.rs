//! How the line of an invocation is written: as that of an event whose record is what is known of the invocation.

use super::Finished;
use crate::intake::line::{self, Head, LineStyle};
use crate::telemetry::json::Json;

/// Type of the line.
pub const INVOCATION: &str = "logspool.invocation";

/// Writes the line behind the event of that time, or without one.
pub fn write(out: &mut Vec<u8>, style: &LineStyle, finished: &Finished, time: Option<Json<'_>>, head: &Head<'_>) {
    // A time that is no string is none.
    let time = time.filter(|time| time.get().starts_with('"'));
    line::own(out, style, INVOCATION, time, head, |out| {
        serde_json::to_writer(out, &finished.invocation)
            .expect("its members are always JSON, and memory does not fail");
    });
}
