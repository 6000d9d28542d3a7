//! One AWS Lambda execution environment on loopback, for tests, benches and the demo.
//!
//! * It plays the Runtime API, the Extensions API (`2020-01-01`) and the Telemetry API (`2022-07-01`) so that a real
//!   extension process and a real function process cannot tell.
//! * It runs **one** external extension or none, and one function; any command that speaks the Runtime API will do.
//! * It freezes both with SIGSTOP between invocations, resets them on the same `/tmp`, and ends them with the
//!   platform's deadlines. As a managed instance it runs many invocations at a time, and does none of that but the last.
//! * It keeps a [`Ledger`]: every telemetry event and its fate. The [`oracle`] compares it with what was delivered.
//! * It needs Linux (process groups, `/proc`) and leaves nothing behind: ephemeral ports, own temporary directories,
//!   and no process outlives its sandbox.
//!
//! Where AWS's documentation is silent it does what AWS's Runtime Interface Emulator does; where the emulator differs
//! from Lambda (it holds the response until extensions are done), Lambda is followed, unless an emulator is asked for.
//!
//! ```no_run
//! use sandbox::{Sandbox, ShutdownReason, Work};
//!
//! # async fn story() -> Result<(), sandbox::StartError> {
//! let sandbox = Sandbox::builder()
//!     .extension("target/debug/logspool")
//!     .extension_env("LOGSPOOL_DESTINATION", "file:///var/tmp/objects")
//!     .start()
//!     .await?;
//! let invocation = sandbox.invoke(Work { lines: 20, ..Work::default() }).await;
//! assert!(invocation.result.is_ok());
//! sandbox.shutdown(ShutdownReason::Spindown).await;
//! println!("{}", sandbox.ledger());
//! # Ok(())
//! # }
//! ```

mod api;
mod capture;
mod course;
mod environment;
mod error;
mod function;
mod image;
mod ledger;
pub mod oracle;
mod process;
mod roles;
pub mod s3;
mod sandbox;
mod settings;
mod telemetry;
mod undertaker;
mod variables;

pub use api::ApiCall;
pub use course::{Happened, Happening};
pub use environment::fault::Fault;
pub use environment::runtime::{FunctionError, Response};
pub use environment::{Invocation, Outcome, Shutdown, ShutdownReason, Snapshot};
pub use error::StartError;
pub use function::{Fail, Function, Work};
pub use image::images_can_be_entered;
pub use ledger::{Category, Entry, Event, Fate, Ledger};
pub use reference_extension::ReferenceExtension;
pub use sandbox::{InvocationHandle, Payload, Sandbox};
pub use settings::{SandboxBuilder, WithoutTelemetry};
pub use telemetry::{Buffering, LogFormat, SchemaVersion, Status, Subscription};
