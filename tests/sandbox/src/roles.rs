//! Other programs that the running executable can be: it executes itself with a role in its environment, and the
//! sandbox sees it before `main`. So no further build is needed, and any test, bench or example can be the host.
//!
//! Before `main` the standard library promises less (its documentation of `std` names stdio and the runtime's set-up
//! as open points). On Linux with `.init_array`, what is used here works: environment, heap, threads, stdio. The one
//! difference met is SIGPIPE, which is not yet ignored: it ends a function whose output nobody reads, which is welcome.

use crate::{ReferenceExtension, function, undertaker};

/// The variable that names the role.
pub(crate) const ROLE: &str = "SANDBOX_ROLE";

/// The program itself: also right when its file was replaced by a new build since it began.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// The built-in function.
pub(crate) const FUNCTION: &str = "function";

/// The role in which the running executable is the reference extension.
pub(crate) fn of(kind: ReferenceExtension) -> &'static str {
    match kind {
        ReferenceExtension::Loops => LOOPING_EXTENSION,
        ReferenceExtension::WaitsForRuntimeDone => WAITING_EXTENSION,
    }
}

/// The reference extension that calls `next` at once.
const LOOPING_EXTENSION: &str = "looping-extension";

/// The reference extension that waits for the end of the function.
const WAITING_EXTENSION: &str = "waiting-extension";

/// Clears up behind a sandbox whose process was killed.
pub(crate) const UNDERTAKER: &str = "undertaker";

#[ctor::ctor(unsafe)]
fn take_the_role() {
    match std::env::var(ROLE).as_deref() {
        Ok(FUNCTION) => function::run_built_in(),
        Ok(LOOPING_EXTENSION) => reference_extension::run(ReferenceExtension::Loops),
        Ok(WAITING_EXTENSION) => reference_extension::run(ReferenceExtension::WaitsForRuntimeDone),
        Ok(UNDERTAKER) => undertaker::run(),
        _ => {}
    }
}
