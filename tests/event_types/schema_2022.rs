//! The schemas of 2022. That of 2022-07-01 knows records of functions and extensions as strings only, also where the log format
//! is JSON; since 2022-12-13 they are objects then.

use crate::table::{INIT, MESSAGE, RECORD, Row, row};

const FIRST: Option<&str> = Some("6f7f0961f83442118a7af6fe80b88d56");
const LOGGED: Option<&str> = Some("79b4f56e-95b1-4643-9700-2807f4e68189");

#[rustfmt::skip]
pub const OF_DECEMBER: &[Row] = &[
    row("initStart", INIT, RECORD, r#"{"time":"2022-10-12T00:00:15.064Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"python:3.12.v1","runtimeVersionArn":"arn","functionName":"myFunction","functionVersion":"$LATEST"}}"#),
    row("initRuntimeDone", INIT, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.initRuntimeDone","record":{"initializationType":"provisioned-concurrency","phase":"init","status":"failure","errorType":"Sandbox.Failure"}}"#),
    row("initReport", INIT, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","metrics":{"durationMs":125.33}}}"#),
    row("restoreStart", INIT, RECORD, r#"{"time":"2022-10-12T00:00:15.064Z","type":"platform.restoreStart","record":{"runtimeVersion":"java:21.v7","runtimeVersionArn":"arn","functionName":"myFunction","functionVersion":"3"}}"#),
    row("restoreRuntimeDone", INIT, RECORD, r#"{"time":"2022-10-12T00:00:15.064Z","type":"platform.restoreRuntimeDone","record":{"status":"success","spans":[]}}"#),
    row("restoreReport", INIT, RECORD, r#"{"time":"2022-10-12T00:00:15.064Z","type":"platform.restoreReport","record":{"status":"success","metrics":{"durationMs":15.19}}}"#),
    row("extension", INIT, RECORD, r#"{"time":"2022-10-12T00:02:15.000Z","type":"platform.extension","record":{"name":"my-telemetry-extension","state":"Ready","events":["INVOKE","SHUTDOWN"]}}"#),
    row("telemetrySubscription", INIT, RECORD, r#"{"time":"2022-10-12T00:02:35.000Z","type":"platform.telemetrySubscription","record":{"name":"my-telemetry-extension","state":"Subscribed","types":["platform","function"]}}"#),
    row("start", FIRST, RECORD, r#"{"time":"2022-10-12T00:00:00.000Z","type":"platform.start","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","version":"$LATEST","tracing":{"spanId":"54565fb41ac79632","type":"X-Amzn-Trace-Id","value":"Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1"}}}"#),
    row("function text", FIRST, MESSAGE, r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":"[INFO] Hello world, I am a function!"}"#),
    row("function object", LOGGED, RECORD, r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":{"timestamp":"2022-10-12T00:03:50.000Z","level":"INFO","requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","message":"Hello world, I am a function!"}}"#),
    row("extension text", FIRST, MESSAGE, r#"{"time":"2022-10-12T00:03:50.000Z","type":"extension","record":"[INFO] Hello world, I am an extension!"}"#),
    row("extension object", LOGGED, RECORD, r#"{"time":"2022-10-12T00:03:50.000Z","type":"extension","record":{"timestamp":"2022-10-12T00:03:50.000Z","level":"INFO","requestId":"79b4f56e-95b1-4643-9700-2807f4e68189","message":"Hello world, I am an extension!"}}"#),
    row("runtimeDone", FIRST, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.runtimeDone","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","status":"success","tracing":{"spanId":"54565fb41ac79632","type":"X-Amzn-Trace-Id","value":"Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1"},"spans":[{"name":"runtimeOverhead","start":"2022-08-02T12:01:23.521Z","durationMs":80.0}],"metrics":{"durationMs":140.0,"producedBytes":16}}}"#),
    row("logsDropped", FIRST, RECORD, r#"{"time":"2022-10-12T00:02:35.000Z","type":"platform.logsDropped","record":{"droppedBytes":12345,"droppedRecords":123,"reason":"Some logs were dropped because the downstream consumer is slower than the logs production rate"}}"#),
    row("report", FIRST, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","metrics":{"billedDurationMs":694,"durationMs":693.92,"initDurationMs":397.68,"maxMemoryUsedMB":84,"memorySizeMB":128}}}"#),
];

#[rustfmt::skip]
pub const OF_JULY: &[Row] = &[
    row("initStart", INIT, RECORD, r#"{"time":"2022-10-12T00:00:15.064Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"}}"#),
    row("function text in Init", INIT, MESSAGE, r#"{"time":"2022-10-12T00:00:15.070Z","type":"function","record":"loading"}"#),
    row("initRuntimeDone", INIT, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.initRuntimeDone","record":{"initializationType":"on-demand","status":"success"}}"#),
    row("initReport", INIT, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.initReport","record":{"initializationType":"on-demand","metrics":{"durationMs":125.33}}}"#),
    row("extension", INIT, RECORD, r#"{"time":"2022-10-12T00:02:15.000Z","type":"platform.extension","record":{"name":"my-telemetry-extension","state":"Ready","events":["INVOKE","SHUTDOWN"]}}"#),
    row("telemetrySubscription", INIT, RECORD, r#"{"time":"2022-10-12T00:02:35.000Z","type":"platform.telemetrySubscription","record":{"name":"my-telemetry-extension","state":"Subscribed","types":["platform","function"]}}"#),
    row("start", FIRST, RECORD, r#"{"time":"2022-10-12T00:00:00.000Z","type":"platform.start","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","version":"$LATEST"}}"#),
    row("function text", FIRST, MESSAGE, r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":"[INFO] Hello world, I am a function!\n"}"#),
    row("function text that is JSON", FIRST, MESSAGE, r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":"{\"level\":\"INFO\",\"requestId\":\"79b4f56e-95b1-4643-9700-2807f4e68189\",\"message\":\"in a text\"}"}"#),
    row("extension text", FIRST, MESSAGE, r#"{"time":"2022-10-12T00:03:50.000Z","type":"extension","record":"[INFO] Hello world, I am an extension!"}"#),
    row("runtimeDone", FIRST, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.runtimeDone","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","status":"success","metrics":{"durationMs":140.0,"producedBytes":16}}}"#),
    row("logsDropped", FIRST, RECORD, r#"{"time":"2022-10-12T00:02:35.000Z","type":"platform.logsDropped","record":{"droppedBytes":12345,"droppedRecords":123,"reason":"Consumer seems to have fallen behind as it has not acknowledged receipt of logs."}}"#),
    row("report", FIRST, RECORD, r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{"requestId":"6f7f0961f83442118a7af6fe80b88d56","metrics":{"billedDurationMs":694,"durationMs":693.92,"maxMemoryUsedMB":84,"memorySizeMB":128}}}"#),
];
