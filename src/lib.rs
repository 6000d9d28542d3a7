//! `logspool`: an AWS Lambda extension that puts every log record into a durable spool before it says "received", and
//! drains the spool to S3.
//!
//! ```text
//! Telemetry API --POST--> telemetry::listener --bytes--> intake --lines--> spool.append --> [200 OK]
//!                                                          | attribution, sequence numbers
//! Extensions API --INVOKE/SHUTDOWN--> lifecycle --asks--> lifecycle::machine (decides)
//! spool: active segment --seal--> sealed segments --outbox--> uploader --PUT--> store --ok--> spool.remove
//! ```
//!
//! A layer uses only layers below it; siblings meet in [`app`].
//!
//! | layer | modules |
//! |---|---|
//! | compose | [`app`], [`adoption`], [`config`]; [`tools`] and [`archive`] for people |
//! | drive | [`lifecycle`], [`earlier_life`], [`intake`], [`upload::outbox`], [`upload::uploader`] |
//! | touch the outside | [`runtime_api::client`], [`telemetry::listener`], [`upload::store`], the crate `spool` |
//! | pure | `intake::attribution`, [`lifecycle::machine`], [`metrics`] but for its writer, [`upload::object_key`], [`upload::retry`] |
//! | vocabulary | [`runtime_api::event`], [`telemetry::event`], [`deadline`], [`logging`], [`supervision`] |

pub mod adoption;
pub mod app;
pub mod archive;
pub mod config;
pub mod deadline;
pub mod earlier_life;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod intake;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod runtime_api;
pub mod supervision;
pub mod telemetry;
pub mod tools;
pub mod upload;
