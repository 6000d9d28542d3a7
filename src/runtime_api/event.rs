//! The wire types of the Extensions API `2020-01-01` and of the subscription to the Telemetry API `2022-07-01`
//! (AWS Lambda Developer Guide, "Lambda Extensions API" and "Lambda Telemetry API reference").

use serde::{Deserialize, Serialize};

/// Which streams are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTypes {
    /// Events of the platform.
    pub platform: bool,
    /// What the function writes.
    pub function: bool,
    /// What extensions write, this one included.
    pub extension: bool,
}

/// An event that an extension can register for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// An invocation begins.
    Invoke,
    /// The environment ends.
    Shutdown,
}

/// The body of `POST /extension/register`.
#[derive(Debug, Serialize)]
pub(super) struct RegisterRequest<'a> {
    pub events: &'a [EventType],
}

/// The body of the answer, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RegisterAnswer {
    pub account_id: Option<String>,
}

/// What the platform told this process when it registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Its id.
    pub id: ExtensionId,
    /// The account of the function, if the platform tells.
    pub account_id: Option<String>,
    /// Whether INVOKE is among the events that will come.
    pub hears_of_invocations: bool,
}

/// The id that the platform gave this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionId(pub String);

/// Names an invocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub String);

/// What `GET /extension/event/next` returns. Fields that we do not need are not read: a change in them costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "eventType")]
pub enum NextEvent {
    /// An invocation begins.
    #[serde(rename = "INVOKE", rename_all = "camelCase")]
    Invoke {
        /// When the function's time is over, Unix time in milliseconds.
        #[serde(default)]
        deadline_ms: i64,
        /// The invocation.
        #[serde(default)]
        request_id: String,
    },
    /// The environment ends.
    #[serde(rename = "SHUTDOWN", rename_all = "camelCase")]
    Shutdown {
        /// When the process is killed, Unix time in milliseconds.
        #[serde(default)]
        deadline_ms: i64,
        /// Why; the guide prints capitals, the wire has lower case.
        #[serde(default)]
        shutdown_reason: String,
    },
    /// An event of a kind that we did not register for.
    #[serde(other)]
    Other,
}

/// How the platform batches telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buffering {
    /// Records a body, 1,000 to 10,000.
    pub max_items: u64,
    /// Bytes a body, 262,144 to 1,048,576.
    pub max_bytes: u64,
    /// Longest delay of a body in milliseconds, 25 to 30,000.
    pub timeout_ms: u64,
}

/// Schema versions, the newest first: an older platform refuses what it does not know.
pub const SCHEMA_VERSIONS: &[&str] = &["2025-01-29", "2022-12-13", "2022-07-01"];

/// Schema versions where many invocations run at a time: records of older ones do not say whom they belong to (AWS Lambda
/// Developer Guide, "Lambda Telemetry API": Lambda Managed Instances need 2025-01-29).
pub const SCHEMA_VERSIONS_OF_MANY: &[&str] = &["2025-01-29"];

/// The body of `PUT /telemetry`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscribeRequest<'a> {
    pub schema_version: &'a str,
    pub types: Vec<&'static str>,
    pub buffering: Buffering,
    pub destination: SubscribeDestination,
}

#[derive(Debug, Serialize)]
pub(super) struct SubscribeDestination {
    pub protocol: &'static str,
    #[serde(rename = "URI")]
    pub uri: String,
}

impl<'a> SubscribeRequest<'a> {
    /// Subscribes to `platform` whatever is shipped: its events tell which invocation a record belongs to.
    pub(super) fn new(schema_version: &'a str, types: StreamTypes, buffering: Buffering, port: u16) -> Self {
        let wanted = [("platform", true), ("function", types.function), ("extension", types.extension)];
        Self {
            schema_version,
            types: wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect(),
            buffering,
            destination: SubscribeDestination { protocol: "HTTP", uri: format!("http://sandbox.localdomain:{port}") },
        }
    }
}

/// The body of an error of these APIs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ErrorBody {
    pub error_type: String,
    pub error_message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_the_guide_are_read() {
        let invoke = r#"{"eventType":"INVOKE","deadlineMs":1596999212000,"requestId":"3da1f2dc-3222-475e-9205-e2e6c6318895",
            "invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:ExtensionTest",
            "tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-5f35ae12"}}"#;
        let expected = NextEvent::Invoke {
            deadline_ms: 1_596_999_212_000,
            request_id: "3da1f2dc-3222-475e-9205-e2e6c6318895".into(),
        };
        assert_eq!(serde_json::from_str::<NextEvent>(invoke).ok(), Some(expected));
        let shutdown = r#"{"eventType":"SHUTDOWN","deadlineMs":1667310231234,"shutdownReason":"spindown"}"#;
        let expected = NextEvent::Shutdown { deadline_ms: 1_667_310_231_234, shutdown_reason: "spindown".into() };
        assert_eq!(serde_json::from_str::<NextEvent>(shutdown).ok(), Some(expected));
        assert_eq!(serde_json::from_str::<NextEvent>(r#"{"eventType":"RESTORE"}"#).ok(), Some(NextEvent::Other));
    }

    #[test]
    fn the_subscription_has_the_shape_of_the_reference() {
        let types = StreamTypes { platform: false, function: true, extension: false };
        let buffering = Buffering { max_items: 10_000, max_bytes: 1_048_576, timeout_ms: 25 };
        let request = SubscribeRequest::new("2025-01-29", types, buffering, 8123);
        let json = serde_json::to_value(request).expect("serializes");
        let expected = serde_json::json!({
            "schemaVersion": "2025-01-29",
            "types": ["platform", "function"],
            "buffering": {"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8123"},
        });
        assert_eq!(json, expected);
    }
}
