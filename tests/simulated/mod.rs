//! The world that the machine is simulated in.

pub mod claims;
pub mod disk;
pub mod model;
pub mod profile;
pub mod real;
pub mod store;
pub mod tally;
pub mod world;
