use spool::{LossCause, Losses, SpoolId};

use super::*;

const FORMATS: [LineFormat; 3] = [LineFormat::Json, LineFormat::Text, LineFormat::Raw];

fn style(format: LineFormat) -> LineStyle {
    LineStyle::new(&LineSettings { format, ..LineSettings::default() }, &FieldFacts::default())
}

fn head(request_id: Option<&str>) -> Head<'_> {
    Head { seq: 7, request_id, tenant_id: None, trace_id: None, now_ms: 0 }
}

fn written_with(style: &LineStyle, element: &str, head: &Head<'_>) -> String {
    let mut out = Vec::new();
    event(
        &mut out,
        style,
        &RawEvent::parse(element.as_bytes()).expect("an event"),
        *head,
        &Attributor::default(),
        &mut None,
    );
    String::from_utf8(out).expect("UTF-8")
}

fn written(element: &str) -> String {
    written_with(&LineStyle::default(), element, &head(Some("r\"1")))
}

/// A record of that type in the formats `text` and `raw`, without the time and the request of the former.
fn plain(kind: &str, record: &str) -> String {
    let element = format!(r#"{{"time":"t","type":"{kind}","record":{record}}}"#);
    let text = written_with(&style(LineFormat::Text), &element, &head(Some("r")));
    let raw = written_with(&style(LineFormat::Raw), &element, &head(Some("r")));
    assert_eq!(text.strip_prefix("t\tr\t"), Some(raw.as_str()), "raw is the last column of text");
    raw
}

#[test]
fn every_kind_of_record_has_a_column_of_its_own() {
    for (record, column) in [
        (r#""a \u00e9\n""#, r#""message":"a \u00e9\n""#),
        (r#"{"b": 1, "a":[2]}"#, r#""record":{"b": 1, "a":[2]}"#),
        ("17", r#""value":17"#),
        ("null", r#""value":null"#),
        ("[1,2]", r#""value":[1,2]"#),
    ] {
        let line = written(&format!(r#"{{"time":"t","type":"function","record":{record}}}"#));
        assert_eq!(
            line,
            format!("{{\"time\":\"t\",\"type\":\"function\",\"seq\":7,\"requestId\":\"r\\\"1\",{column}}}\n")
        );
    }
}

#[test]
fn what_is_said_stands_for_itself_in_one_line_of_text() {
    for (record, message) in [
        (r#""hello world""#, "hello world"),
        (r#""""#, ""),
        (r#""a\tb \u00e9\ud83d\ude00 \u001b[1m \"q\" \/""#, "a\tb \u{e9}\u{1f600} \u{1b}[1m \"q\" /"),
        (r#""Traceback:\n  File \"a\"\r\n\rx""#, r#"Traceback:\n  File "a"\r\n\rx"#),
        (r#""one end is left out\n""#, "one end is left out"),
        (r#""one end is left out\r\n""#, "one end is left out"),
        (r#""one of two\n\n""#, r"one of two\n"),
        (r#""no end: \\n""#, r"no end: \n"),
        (r#""C:\\new {\"a\":\"x\\\"y\"}""#, r#"C:\new {"a":"x\"y"}"#),
        (r#""nul \u0000 half \ud800 end""#, "nul \\0 half \u{fffd} end"),
        (r#"{"b": 1, "a":"x\ny"}"#, r#"{"b": 1, "a":"x\ny"}"#),
        ("{\r\n\"b\":\n1}", "{  \"b\": 1}"),
        ("17", "17"),
        ("null", "null"),
        ("[1,\n2]", "[1, 2]"),
    ] {
        for kind in ["function", "extension"] {
            assert_eq!(plain(kind, record), format!("{message}\n"), "{kind} {record}");
        }
    }
}

#[test]
fn other_records_stand_behind_their_type_as_json() {
    for kind in ["platform.report", "platform.fault", "logspool.unparsed", "new"] {
        for record in [r#"{"requestId":"a"}"#, r#""RequestId: a\n""#, "17"] {
            assert_eq!(plain(kind, record), format!("{kind} {record}\n"));
        }
    }
    assert_eq!(plain("odd \\n\\u0000type", "1"), "odd___type 1\n");
    let without_record = r#"{"time":"t","type":"platform.x","more":1}"#;
    assert_eq!(written_with(&style(LineFormat::Raw), without_record, &head(None)), "platform.x\n");
}

#[test]
fn text_has_three_columns_whatever_stands_in_them() {
    for (element, request_id, line) in [
        (r#"{"time":"t","type":"function","record":"x\ty"}"#, Some("r"), "t\tr\tx\ty\n"),
        (r#"{"type":"function","record":"x"}"#, None, "1970-01-01T00:00:00.000Z\t-\tx\n"),
        (r#"{"time":"","type":"function","record":"x"}"#, Some(""), "-\t-\tx\n"),
        (
            "{\"time\":{\"a\":\n \"b\"},\"type\":\"function\",\"record\":\"x\"}",
            Some("a\tb\nc d"),
            "{\"a\":__\"b\"}\ta_b_c_d\tx\n",
        ),
    ] {
        assert_eq!(written_with(&style(LineFormat::Text), element, &head(request_id)), line);
    }
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    let line = written("{\"time\":\"t\",\"type\":\"x\",\"record\":{\r\n\"a\":\n1}}");
    assert!(line.ends_with("\"record\":{  \"a\": 1}}\n"), "{line}");
}

#[test]
fn unknown_members_are_kept_apart_and_a_missing_time_is_ours() {
    let line = written(r#"{"type":"x","seq":9,"more":{"k":1}}"#);
    let expected =
        r#"{"time":"1970-01-01T00:00:00.000Z","type":"x","seq":7,"requestId":"r\"1","extra":{"seq":9,"more":{"k":1}}}"#;
    assert_eq!(line.trim_end(), expected);
}

#[test]
fn unparsed_bytes_come_back_whatever_they_are_in_every_format() {
    for format in FORMATS {
        for bytes in [b"{\"a\":\n".as_slice(), b"\xff\x00[", b""] {
            let mut out = Vec::new();
            unparsed(&mut out, &style(format), bytes, &head(None));
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            let line = String::from_utf8(out).expect("UTF-8");
            let record = match format {
                LineFormat::Json => line.as_str(),
                LineFormat::Text => {
                    line.strip_prefix("1970-01-01T00:00:00.000Z\t-\tlogspool.unparsed ").expect("three columns")
                }
                LineFormat::Raw => line.strip_prefix("logspool.unparsed ").expect("its type"),
            };
            let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
            let message = record.as_str().or_else(|| record["message"].as_str()).expect("a string");
            let back = match record.get("encoding") {
                Some(_) => STANDARD.decode(message).expect("base64"),
                None => message.as_bytes().to_vec(),
            };
            assert_eq!(back, bytes);
        }
    }
}

#[test]
fn our_own_lines_have_the_same_record_in_every_format() {
    for (format, before, behind) in [
        (
            LineFormat::Json,
            r#"{"time":"1970-01-01T00:00:00.000Z","type":"logspool.truncated","seq":7,"requestId":"r","record":"#,
            "}\n",
        ),
        (LineFormat::Text, "1970-01-01T00:00:00.000Z\tr\tlogspool.truncated ", "\n"),
        (LineFormat::Raw, "logspool.truncated ", "\n"),
    ] {
        let mut out = Vec::new();
        truncated(&mut out, &style(format), 99, &head(Some("r")));
        assert_eq!(String::from_utf8_lossy(&out), format!("{before}{{\"bytes\":99}}{behind}"));
    }
}

#[test]
fn the_end_tells_losses_by_cause_in_every_format() {
    let mut losses = Losses::default();
    let mut lines = Vec::new();
    for format in FORMATS {
        end(&mut lines, format, u64::MAX, &losses, true);
    }
    losses.add(LossCause::Quota, 3, 10);
    losses.add(LossCause::Platform, 1, 0);
    for format in FORMATS {
        end(&mut lines, format, 0, &losses, false);
    }
    let unknown = r#""seq":18446744073709551615,"losses":{},"unknownTail":true}"#;
    let lost = r#""seq":0,"losses":{"quota":{"records":3,"bytes":10},"platform":{"records":1,"bytes":0}}}"#;
    let of = |rest: &str| {
        format!("{{\"type\":\"logspool.end\",{rest}\n-\t-\tlogspool.end {{{rest}\nlogspool.end {{{rest}\n")
    };
    assert_eq!(String::from_utf8_lossy(&lines), of(unknown) + &of(lost));
}

const FACTS: FieldFacts<'_> = FieldFacts {
    function: Some("or\"ders"),
    version: Some("$LATEST"),
    region: Some("eu-central-1"),
    account: Some("123456789012"),
    memory_mb: Some(512),
};

fn settings(fields: &[Field]) -> LineSettings {
    let labels = vec![("team".to_owned(), "a\"b".to_owned()), ("env".to_owned(), String::new())];
    LineSettings { format: LineFormat::Json, fields: fields.to_vec(), labels }
}

const EVENT: &str = r#"{"time":"t","type":"function","record":"x","more":1}"#;

#[test]
fn extra_members_stand_behind_the_request_in_an_order_of_their_own() {
    let mut fields = Field::ALL.map(|(_, field)| field);
    fields.reverse();
    let mut style = LineStyle::new(&settings(&fields), &FACTS);
    let of_request = Head { tenant_id: Some("blue"), trace_id: Some("1-2"), ..head(Some("r")) };
    for id in [SpoolId::new(0, 1), SpoolId::new(0, 1), SpoolId::new(0, 2)] {
        style.enter(id);
        let expected = format!(
            "{{\"time\":\"t\",\"type\":\"function\",\"seq\":7,\"requestId\":\"r\",\"tenantId\":\"blue\",\
             \"function\":\"or\\\"ders\",\"version\":\"$LATEST\",\"region\":\"eu-central-1\",\"account\":\"123456789012\",\
             \"spool\":\"{id}\",\"memory\":512,\"architecture\":\"{}\",\"traceId\":\"1-2\",\
             \"labels\":{{\"team\":\"a\\\"b\",\"env\":\"\"}},\"message\":\"x\",\"extra\":{{\"more\":1}}}}\n",
            if cfg!(target_arch = "aarch64") { "arm64" } else { std::env::consts::ARCH },
        );
        assert_eq!(written_with(&style, EVENT, &of_request), expected);
    }
}

#[test]
fn what_is_not_known_or_not_asked_for_is_not_there() {
    let of_request = Head { trace_id: Some("1-2"), ..head(None) };
    let all = Field::ALL.map(|(_, field)| field);
    let unknown = LineStyle::new(&settings(&all[..6]), &FieldFacts::default());
    let expected =
        r#"{"time":"t","type":"function","seq":7,"labels":{"team":"a\"b","env":""},"message":"x","extra":{"more":1}}"#;
    assert_eq!(written_with(&unknown, EVENT, &of_request).trim_end(), expected);
    let nothing = LineSettings { labels: Vec::new(), ..settings(&[]) };
    let mut nothing = LineStyle::new(&nothing, &FACTS);
    nothing.enter(SpoolId::new(0, 1));
    let expected = r#"{"time":"t","type":"function","seq":7,"message":"x","extra":{"more":1}}"#;
    assert_eq!(written_with(&nothing, EVENT, &of_request).trim_end(), expected);
}

#[test]
fn every_line_of_this_life_but_the_end_has_the_extra_members() {
    let style = LineStyle::new(&settings(&[Field::Memory]), &FACTS);
    let mut out = Vec::new();
    unparsed(&mut out, &style, b"\xff", &head(None));
    unparsed(&mut out, &style, b"x", &head(None));
    truncated(&mut out, &style, 1, &head(None));
    let members = r#""seq":7,"memory":512,"labels":{"team":"a\"b","env":""},"#;
    assert_eq!(String::from_utf8_lossy(&out).matches(members).count(), 3);
}
