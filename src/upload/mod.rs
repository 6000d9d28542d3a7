//! Everything between a sealed segment and its object.
//!
//! ```text
//! sealed segment -> outbox (what waits, whose it is) -> uploader, as the lifecycle decides -> store -> removed
//! ```

pub mod object_key;
pub mod outbox;
pub mod outgoing;
pub mod printed;
pub mod retry;
pub mod route;
pub mod store;
pub mod stores;
pub mod uploader;
