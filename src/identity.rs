//! New identities, from the kernel's randomness only: a process that was restored from a snapshot shares the state of every
//! generator in user space with its clones.

use spool::{Identity, SpoolId};

/// A spool identity that was never used before.
pub fn fresh(now_ms: i64) -> Identity {
    let mut id = [0; 16];
    fill(&mut id);
    Identity { id: SpoolId::new(now_ms, u128::from_le_bytes(id)), salt_seed: random_u64() }
}

/// A random number.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Without the kernel's randomness (no sandbox forbids it) the time and the address space's own must do.
fn fill(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        for byte in bytes {
            *byte = fastrand::u8(..);
        }
    }
}
