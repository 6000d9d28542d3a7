//! The extension that does nothing, as AWS's crate for extensions in Rust has it written.

use lambda_extension::{Error, Extension, LambdaEvent, LambdaTelemetry, SharedService, service_fn};

async fn event(_event: LambdaEvent) -> Result<(), Error> {
    Ok(())
}

async fn telemetry(_events: Vec<LambdaTelemetry>) -> Result<(), Error> {
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events_processor(service_fn(event))
        .with_telemetry_types(&["platform", "function"])
        .with_telemetry_processor(SharedService::new(service_fn(telemetry)))
        .run()
        .await
}
