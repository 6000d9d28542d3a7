//! `PUT /2022-07-01/telemetry`: what a subscription may say (Lambda Telemetry API reference).
//!
//! Every field is checked as AWS's emulator checks it against its JSON schema: values out of range are refused, not
//! clamped. Only HTTP destinations are played.

use std::time::Duration;

use hyper::Uri;
use serde::Deserialize;

use super::batch::Buffering;
use crate::ledger::Category;

const ITEMS_DEFAULT: usize = 10_000;
const BYTES_DEFAULT: usize = 262_144;
const TIMEOUT_MS_DEFAULT: u64 = 1_000;

/// Version of the events' schema. Ordered: later versions are supersets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum SchemaVersion {
    /// Lines are always strings.
    #[serde(rename = "2022-07-01")]
    V2022_07_01,
    /// With the JSON log format lines are objects.
    #[serde(rename = "2022-12-13")]
    V2022_12_13,
    /// Adds fields to platform events.
    #[serde(rename = "2025-01-29")]
    V2025_01_29,
}

/// An accepted subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Version of the events.
    pub schema: SchemaVersion,
    /// Streams that are delivered.
    pub categories: Vec<Category>,
    /// When batches leave.
    pub buffering: Buffering,
    /// Port on loopback that bodies are posted to.
    pub port: u16,
}

impl Subscription {
    /// Reads a request body; the error is the `errorMessage` of the 400.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| format!("schema validation error: {error}"))?;
        if wire.categories.is_empty() {
            return Err("schema validation error: types: minimum 1 items required".to_owned());
        }
        Ok(Self {
            schema: wire.schema,
            buffering: wire.buffering.unwrap_or_default().validate()?,
            port: wire.destination.port()?,
            categories: wire.categories,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(rename = "schemaVersion")]
    schema: SchemaVersion,
    #[serde(rename = "types")]
    categories: Vec<Category>,
    buffering: Option<WireBuffering>,
    destination: WireDestination,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WireBuffering {
    max_items: Option<usize>,
    max_bytes: Option<usize>,
    timeout_ms: Option<u64>,
}

impl WireBuffering {
    fn validate(self) -> Result<Buffering, String> {
        let items_max = self.max_items.unwrap_or(ITEMS_DEFAULT);
        let bytes_max = self.max_bytes.unwrap_or(BYTES_DEFAULT);
        let timeout_ms = self.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT);
        within("maxItems", items_max, 1_000, 10_000)?;
        within("maxBytes", bytes_max, 262_144, 1_048_576)?;
        within("timeoutMs", timeout_ms, 25, 30_000)?;
        Ok(Buffering { items_max, bytes_max, timeout: Duration::from_millis(timeout_ms) })
    }
}

fn within<T: PartialOrd + std::fmt::Display>(field: &str, value: T, min: T, max: T) -> Result<(), String> {
    if value < min {
        return Err(format!("schema validation error: buffering.{field}: must be >= {min} but found {value}"));
    }
    if value > max {
        return Err(format!("schema validation error: buffering.{field}: must be <= {max} but found {value}"));
    }
    Ok(())
}

#[derive(Deserialize)]
struct WireDestination {
    protocol: String,
    #[serde(rename = "URI")]
    uri: Option<String>,
}

impl WireDestination {
    fn port(&self) -> Result<u16, String> {
        match self.protocol.as_str() {
            "HTTP" => {}
            "TCP" => return Err("Invalid destination: this sandbox does not play TCP destinations".to_owned()),
            other => {
                return Err(format!("Invalid destination: unknown protocol: {other}. Only tcp and http are supported"));
            }
        }
        let uri = self.uri.as_deref().ok_or("schema validation error: destination: missing properties: 'URI'")?;
        let uri: Uri =
            uri.parse().map_err(|error| format!("Invalid destination: could not parse destination.URI: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err("Invalid destination: destination.URI scheme must be http".to_owned());
        }
        if !matches!(uri.host(), Some("sandbox.localdomain" | "sandbox")) {
            return Err("Invalid destination: destination.URI host must be sandbox.localdomain".to_owned());
        }
        uri.port_u16().ok_or_else(|| "Invalid destination: URI port is not provided".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn body() -> Value {
        json!({
            "schemaVersion": "2025-01-29",
            "types": ["platform", "function"],
            "buffering": {"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8123/telemetry"},
        })
    }

    #[test]
    fn a_full_subscription_is_read() {
        let subscription = Subscription::parse(body().to_string().as_bytes()).expect("valid");
        assert_eq!(subscription.schema, SchemaVersion::V2025_01_29);
        assert_eq!(subscription.categories, [Category::Platform, Category::Function]);
        assert_eq!(subscription.port, 8123);
        assert_eq!(
            subscription.buffering,
            Buffering { items_max: 10_000, bytes_max: 1_048_576, timeout: Duration::from_millis(25) }
        );
    }

    #[test]
    fn what_is_left_out_has_the_documented_defaults() {
        let mut body = body();
        body.as_object_mut().expect("object").remove("buffering");
        let subscription = Subscription::parse(body.to_string().as_bytes()).expect("valid");
        assert_eq!(
            subscription.buffering,
            Buffering { items_max: 10_000, bytes_max: 262_144, timeout: Duration::from_millis(1_000) }
        );
    }

    #[test]
    fn each_field_out_of_its_range_is_refused_with_a_message_that_names_it() {
        let cases = [
            ("/schemaVersion", json!("2021-01-01"), "unknown variant `2021-01-01`"),
            ("/types", json!([]), "types: minimum 1 items"),
            ("/types/0", json!("runtime"), "unknown variant `runtime`"),
            ("/buffering/maxItems", json!(999), "buffering.maxItems: must be >= 1000"),
            ("/buffering/maxItems", json!(10_001), "buffering.maxItems: must be <= 10000"),
            ("/buffering/maxBytes", json!(262_143), "buffering.maxBytes: must be >= 262144"),
            ("/buffering/maxBytes", json!(1_048_577), "buffering.maxBytes: must be <= 1048576"),
            ("/buffering/timeoutMs", json!(24), "buffering.timeoutMs: must be >= 25"),
            ("/buffering/timeoutMs", json!(30_001), "buffering.timeoutMs: must be <= 30000"),
            ("/destination/protocol", json!("UDP"), "unknown protocol: UDP"),
            ("/destination/protocol", json!("TCP"), "does not play TCP"),
            ("/destination/URI", json!("http://127.0.0.1:8123"), "host must be sandbox.localdomain"),
            ("/destination/URI", json!("http://sandbox.localdomain"), "port is not provided"),
            ("/destination/URI", json!("https://sandbox:8123"), "scheme must be http"),
        ];
        for (pointer, value, message) in cases {
            let mut body = body();
            *body.pointer_mut(pointer).expect("the field exists") = value.clone();
            let error = Subscription::parse(body.to_string().as_bytes()).expect_err("refused");
            assert!(error.contains(message), "{pointer} = {value}: {error}");
        }
    }
}
