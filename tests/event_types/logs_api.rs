//! The old Logs API (schemas 2020-08-15 and 2021-03-18): nobody subscribes to it, but emulators hand such events over.

use crate::table::{MESSAGE, RECORD, Row, row};

const FIRST: Option<&str> = Some("6f7f0961f83442118a7af6fe80b88d56");
const SECOND: Option<&str> = Some("d783b35e-a91d-4251-af17-035953428a2c");
/// There is no event by which Init could be told.
const NOBODY: Option<&str> = None;

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("function text before anything else", NOBODY, MESSAGE, r#"{"time":"2020-08-20T12:31:32.100Z","type":"function","record":"loading"}"#),
    row("logsSubscription", NOBODY, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.logsSubscription","record":{"name":"Foo.bar","state":"Subscribed","types":["function","platform"]}}"#),
    row("extension", NOBODY, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.extension","record":{"name":"Foo.bar","state":"Ready","events":["INVOKE","SHUTDOWN"]}}"#),
    row("start", FIRST, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.start","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56"}}"#),
    row("function text", FIRST, MESSAGE, r#"{"time":"2020-08-20T12:31:32.123Z","type":"function","record":"ERROR encountered. Stack trace: ..."}"#),
    row("extension text", FIRST, MESSAGE, r#"{"time":"2020-08-20T12:31:32.123Z","type":"extension","record":"ERROR encountered. Stack trace: ..."}"#),
    row("runtimeDone", FIRST, RECORD, r#"{"time":"2021-02-04T20:00:05.123Z","type":"platform.runtimeDone","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","status":"success"}}"#),
    row("end", FIRST, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.end","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56"}}"#),
    row("report", FIRST, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.report","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","metrics":{"durationMs":101.51,"billedDurationMs":300,"memorySizeMB":512,"maxMemoryUsedMB":33,"initDurationMs":116.67}}}"#),
    row("start of the next one", SECOND, RECORD, r#"{"time":"2020-08-20T12:31:33.123Z","type":"platform.start","record":{"requestId":"d783b35e-a91d-4251-af17-035953428a2c","version":"$LATEST"}}"#),
    row("end of the one before", FIRST, RECORD, r#"{"time":"2020-08-20T12:31:33.123Z","type":"platform.end","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56"}}"#),
    row("fault", SECOND, MESSAGE, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.fault","record":"RequestId: d783b35e-a91d-4251-af17-035953428a2c Process exited before completing request"}"#),
    row("runtimeDone of a failure", SECOND, RECORD, r#"{"time":"2021-02-04T20:00:05.123Z","type":"platform.runtimeDone","record":{"requestId":"d783b35e-a91d-4251-af17-035953428a2c","status":"failure"}}"#),
    row("logsDropped", SECOND, RECORD, r#"{"time":"2020-08-20T12:31:32.123Z","type":"platform.logsDropped","record":{"reason":"Consumer seems to have fallen behind as it has not acknowledged receipt of logs.","droppedRecords":123,"droppedBytes":12345}}"#),
];
