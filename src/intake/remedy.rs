//! What is done about an append that has failed.

use spool::{AppendError, CreateError, Orphan, Spool};

use super::State;
use crate::identity;

/// What was tried for one body.
#[derive(Debug, Default)]
pub struct Remedies {
    tried_again: bool,
    rolls: u32,
}

/// What to do about a failed append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    TryAgain,
    Roll,
    Refuse,
}

impl Remedies {
    /// A disk that fails is left once, for a new directory or else for memory; a batch that still finds no place is refused.
    pub fn after(&mut self, error: &AppendError, is_volatile: bool) -> Remedy {
        match error {
            AppendError::Full(_) | AppendError::TooLarge(_) => Remedy::Refuse,
            AppendError::Codec(_) if std::mem::replace(&mut self.tried_again, true) => Remedy::Refuse,
            AppendError::Codec(_) => Remedy::TryAgain,
            _ if is_volatile || self.rolls == 2 => Remedy::Refuse,
            _ => {
                self.rolls += 1;
                Remedy::Roll
            }
        }
    }
}

/// Leaves a spool that fails, and says so.
pub(super) fn roll(state: &mut State, spool: &mut Spool, error: &AppendError, now_ms: i64) {
    let (left, error) = (spool.id(), error.to_string());
    match begin_anew(state, spool, now_ms) {
        Ok(()) if spool.is_volatile() => {
            crate::warn!("spool={left} error={error:?} The disk fails; logs are held in memory until it works again.");
        }
        Ok(()) => crate::warn!("spool={left} next={} error={error:?} The spool was left for a new one.", spool.id()),
        Err(error) => crate::error!("spool={left} error={:?} There is no place for logs.", error.to_string()),
    }
}

/// Begins a new life: in a new directory, which may lie on sound blocks, else in memory.
pub(super) fn begin_anew(state: &mut State, spool: &mut Spool, now_ms: i64) -> Result<(), CreateError> {
    begin_on_disk(state, spool, now_ms)
        .or_else(|_| leave(state, spool, |spool| spool.roll_into_memory(identity::fresh(now_ms), now_ms)))
}

/// Begins a new life in a new directory.
pub(super) fn begin_on_disk(state: &mut State, spool: &mut Spool, now_ms: i64) -> Result<(), CreateError> {
    leave(state, spool, |spool| spool.roll(identity::fresh(now_ms), now_ms))
}

/// Leaves a spool to adoption; what it has counted stays counted.
fn leave(
    state: &mut State,
    spool: &mut Spool,
    roll: impl FnOnce(&mut Spool) -> Result<Orphan, CreateError>,
) -> Result<(), CreateError> {
    let parted = state.parted.with(spool);
    state.orphans.push(roll(spool)?);
    state.parted = parted;
    Ok(())
}
