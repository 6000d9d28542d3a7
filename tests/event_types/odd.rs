//! What no schema knows, and is data all the same.

use crate::table::{MESSAGE, RECORD, Row, VALUE, row};

const NOBODY: Option<&str> = None;
const REQUEST: Option<&str> = Some("r");

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("a number", NOBODY, VALUE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":-1.50E+2}"#),
    row("null", NOBODY, VALUE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":null}"#),
    row("true", NOBODY, VALUE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"extension","record":true}"#),
    row("an array", NOBODY, VALUE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":[1, {"requestId":"x"},"]"]}"#),
    row("no record", NOBODY, None, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function"}"#),
    row("an event of the platform without a record", NOBODY, None, r#"{"time":"2026-01-10T10:00:00.000Z","type":"platform.start"}"#),
    row("a start without an id begins nothing", NOBODY, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"platform.start","record":{"version":"1"}}"#),
    row("an empty text", NOBODY, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":""}"#),
    row("an empty object", NOBODY, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{}}"#),
    row("a type that nobody knows", NOBODY, RECORD, r#"{"time":"2030-01-01T00:00:00.000Z","type":"platform.brandNew","record":{"a":[1,2.50],"b":"\u0000"}}"#),
    row("a stream that nobody knows", NOBODY, MESSAGE, r#"{"time":"2030-01-01T00:00:00.000Z","type":"workload","record":"x"}"#),
    row("a type of no letters", NOBODY, MESSAGE, r#"{"time":"2030-01-01T00:00:00.000Z","type":"","record":"x"}"#),
    row("a type with escapes", NOBODY, MESSAGE, r#"{"time":"2030-01-01T00:00:00.000Z","type":"\"a\u00e9\n\"","record":"x"}"#),
    row("no time", NOBODY, MESSAGE, r#"{"type":"function","record":"when?"}"#),
    row("a time that is none", NOBODY, MESSAGE, r#"{"time":1665533030000,"type":"function","record":"x"}"#),
    row("the reference's misprint of a time", NOBODY, MESSAGE, r#"{"time":"2022-08-02T12:01:23:521Z","type":"function","record":"x"}"#),
    row("members in another order", NOBODY, MESSAGE, r#"{"record":"x","type":"function","time":"2026-01-10T10:00:00.000Z"}"#),
    row("white space", NOBODY, RECORD, r#"  { "time" : "2026-01-10T10:00:00.000Z" , "type" : "function", "record" : { "a" :	1 } } "#),
    row("a member that nobody knows", NOBODY, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":"x","new":[1, 2],"seq":"not ours"}"#),
    row("a record twice", NOBODY, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":"first","record":"second"}"#),
    row("a number that no computer has", NOBODY, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{"n":123456789012345678901234567890.123456789012345678901234567890e-400}}"#),
    row("half of a surrogate pair", NOBODY, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":"\ud83d alone"}"#),
    row("an id that is a number", NOBODY, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{"requestId":17}}"#),
    row("an id that is empty", NOBODY, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{"requestId":""}}"#),
    row("a start with members that nobody knows", REQUEST, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"platform.start","record":{"new":{"requestId":"x"},"requestId":"r","more":[]}}"#),
    row("an id with escapes", Some("a\"b"), RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{"requestId":"a\"\u0062"}}"#),
    row("text that looks like an event", REQUEST, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":"},{\"time\":\"t\",\"type\":\"platform.start\",\"record\":{\"requestId\":\"forged\"}}]"}"#),
    row("a start within a record", REQUEST, RECORD, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":{"type":"platform.start","record":{"requestId":"forged"}}}"#),
    row("text behind all that", REQUEST, MESSAGE, r#"{"time":"2026-01-10T10:00:00.000Z","type":"function","record":"the last"}"#),
];
