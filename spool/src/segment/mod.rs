//! One segment file: written by appends, read as an object, scanned by an adopter.

pub(crate) mod active;
pub(crate) mod file;
pub(crate) mod fragment;
pub(crate) mod scan;
pub(crate) mod sealed;
pub(crate) mod walk;
pub(crate) mod window;
