//! Whether the answers on a connection have arrived, as far as it can be told.

use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use spool::BodyId;
use tokio::net::TcpStream;

/// What the other end of a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// It waits for the answer.
    Waits,
    /// It has closed the connection, or broken it, before there was an answer.
    HasClosed,
}

/// The answers on one connection.
pub(super) struct Answers {
    /// The same socket, to look at it while it is in the hands of the server; `None` if there was no descriptor for it.
    socket: Option<std::net::TcpStream>,
    last: Mutex<Option<BodyId>>,
}

impl Answers {
    pub(super) fn new(stream: &TcpStream) -> Self {
        let socket = stream.as_fd().try_clone_to_owned().ok().map(Into::into);
        Self { socket, last: Mutex::new(None) }
    }

    /// An answer is about to be written. The one before it has arrived: else there would be no further request.
    pub(super) fn answering(&self, body: BodyId) -> Peer {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        // The socket does not block. A further request that is there already is no end.
        match self.socket.as_ref().map(|socket| socket.peek(&mut [0])) {
            Some(Ok(0)) => Peer::HasClosed,
            Some(Err(error)) if error.kind() != std::io::ErrorKind::WouldBlock => Peer::HasClosed,
            _ => Peer::Waits,
        }
    }

    /// The connection broke: the last answer may have been on its way.
    pub(super) fn broken(&self) -> Option<BodyId> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
