//! The platform's side of the extension: Extensions API and the subscription to the Telemetry API.

pub mod address;
pub mod client;
pub mod event;
pub mod next_policy;
