//! What was delivered, read back by people: places, their listings, the objects in them.
//!
//! Everything here blocks, on threads of its own, and is bounded in memory whatever the place holds. Nothing of it runs in the
//! extension.

pub mod located;
pub mod object;
pub mod partition;
pub mod reading;
pub mod sorter;
pub mod source;
