//! What the platform hands over: bodies on a socket, events in a body.

pub mod body;
pub mod event;
pub mod listener;
pub mod severity;
