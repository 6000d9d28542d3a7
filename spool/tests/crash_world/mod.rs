//! The parts of the crash test: the life of a child, and what its supervisor aims at, sees and judges.

pub mod aim;
pub mod child;
pub mod life;
pub mod tally;

/// Set in a child: the directory of the story.
pub const PLACE: &str = "SPOOL_TEST_PLACE";
/// Set in a child: the seed of its decisions.
pub const CHILD_SEED: &str = "SPOOL_TEST_CHILD_SEED";
/// Set in the last child, which is not killed: it adopts everything and ends.
pub const LAST: &str = "SPOOL_TEST_LAST";
