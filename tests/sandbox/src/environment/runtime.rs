//! The state machine of the function's runtime, as a plain value.
//!
//! ```text
//! Started --next--> Ready --(invocation)--> Running --response|error--> Responded --next--> Ready ...
//! Started --init/error--> InitError
//! ```

use bytes::Bytes;
use tokio::time::Instant;

/// State of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuntimeState {
    Started,
    Ready,
    Running,
    Responded,
    InitError,
}

/// What the function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `Content-Type` of the answer.
    pub content_type: String,
    /// The answer's bytes.
    pub body: Bytes,
}

/// An invocation that gave its caller an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// Such as `Runtime.ExitError`, or what the function's runtime reported.
    pub error_type: String,
    /// For people.
    pub message: String,
    /// The runtime's report, if the function reported the error itself.
    pub body: Bytes,
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

/// Why a call of the Runtime API was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The state does not allow the call.
    NotAllowed { from: RuntimeState, to: RuntimeState },
    /// The call names another invocation than the running one.
    InvalidRequestId,
}

/// One life of the runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    state: RuntimeState,
    request_id: Option<String>,
    result: Option<Result<Response, FunctionError>>,
    next_at: Option<Instant>,
    responded_at: Option<Instant>,
}

impl Runtime {
    pub(crate) fn new() -> Self {
        Self { state: RuntimeState::Started, request_id: None, result: None, next_at: None, responded_at: None }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == RuntimeState::Ready
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    pub(crate) fn responded_at(&self) -> Option<Instant> {
        self.responded_at
    }

    /// The result of the running invocation, once the function gave one.
    pub(crate) fn result(&self) -> Option<&Result<Response, FunctionError>> {
        self.result.as_ref()
    }

    /// A second `next` while one waits is accepted: the runtime's connection may have broken.
    pub(crate) fn next(&mut self, now: Instant) -> Result<(), Refused> {
        self.go(RuntimeState::Ready, &[RuntimeState::Started, RuntimeState::Responded, RuntimeState::Ready])?;
        self.next_at = Some(now);
        Ok(())
    }

    pub(crate) fn invoke(&mut self, request_id: &str) -> Result<(), Refused> {
        self.go(RuntimeState::Running, &[RuntimeState::Ready])?;
        *self = Self { state: self.state, request_id: Some(request_id.to_owned()), ..Self::new() };
        Ok(())
    }

    pub(crate) fn respond(
        &mut self,
        request_id: &str,
        result: Result<Response, FunctionError>,
        now: Instant,
    ) -> Result<(), Refused> {
        if self.state == RuntimeState::Running && self.request_id.as_deref() != Some(request_id) {
            return Err(Refused::InvalidRequestId);
        }
        self.go(RuntimeState::Responded, &[RuntimeState::Running])?;
        self.result = Some(result);
        self.responded_at = Some(now);
        Ok(())
    }

    pub(crate) fn init_error(&mut self) -> Result<(), Refused> {
        self.go(RuntimeState::InitError, &[RuntimeState::Started])
    }

    fn go(&mut self, to: RuntimeState, from: &[RuntimeState]) -> Result<(), Refused> {
        if !from.contains(&self.state) {
            return Err(Refused::NotAllowed { from: self.state, to });
        }
        self.state = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::RuntimeState::{InitError, Ready, Responded, Running, Started};
    use super::*;

    type Call = fn(&mut Runtime) -> Result<(), Refused>;
    /// A call by name, with the states that allow it and where they lead.
    type Row<'a> = (&'a str, Call, &'a [(RuntimeState, RuntimeState)]);

    fn response() -> Result<Response, FunctionError> {
        Ok(Response { content_type: "application/json".to_owned(), body: Bytes::from_static(b"1") })
    }

    #[test]
    fn each_call_is_allowed_in_exactly_the_documented_states() {
        let table: [Row; 4] = [
            ("next", |it| it.next(Instant::now()), &[(Started, Ready), (Ready, Ready), (Responded, Ready)]),
            ("invocation", |it| it.invoke("a"), &[(Ready, Running)]),
            ("response", |it| it.respond("a", response(), Instant::now()), &[(Running, Responded)]),
            ("init/error", Runtime::init_error, &[(Started, InitError)]),
        ];
        for (name, call, allowed) in table {
            for from in [Started, Ready, Running, Responded, InitError] {
                let mut runtime = Runtime { state: from, request_id: Some("a".to_owned()), ..Runtime::new() };
                let result = call(&mut runtime);
                let to = allowed.iter().find(|(state, _)| *state == from).map(|(_, to)| *to);
                assert_eq!(result.is_ok(), to.is_some(), "{name} in {from:?}");
                assert_eq!(runtime.state, to.unwrap_or(from), "{name} in {from:?}");
            }
        }
    }

    #[test]
    fn a_response_to_another_invocation_is_refused() {
        let mut runtime = Runtime::new();
        runtime.next(Instant::now()).expect("allowed");
        runtime.invoke("a").expect("allowed");
        assert_eq!(runtime.respond("b", response(), Instant::now()), Err(Refused::InvalidRequestId));
        assert_eq!(runtime.result(), None);
    }

    #[test]
    fn an_invocation_starts_without_the_result_of_the_one_before() {
        let mut runtime = Runtime::new();
        runtime.next(Instant::now()).expect("allowed");
        runtime.invoke("a").expect("allowed");
        runtime.respond("a", response(), Instant::now()).expect("allowed");
        runtime.next(Instant::now()).expect("allowed");
        runtime.invoke("b").expect("allowed");
        assert_eq!(runtime.result(), None);
    }
}
