//! What the platform hands over: bodies on a socket, events in a body.

mod answers;
pub mod body;
pub mod event;
pub mod json;
pub mod listener;
pub mod scan;
pub mod severity;
pub mod stitch;
