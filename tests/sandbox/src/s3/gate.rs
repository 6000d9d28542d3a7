//! The port: open, or refusing connections for real, and ours in both cases.
//!
//! A socket that is bound to the port but never listens keeps it from everybody else for as long as the server lives.
//! Beside it (`SO_REUSEPORT`) a second socket listens while the gate is open. Closing that one makes the kernel answer
//! the next `connect()` with a reset, which the caller sees as ECONNREFUSED.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

pub(super) struct Gate {
    address: SocketAddr,
    /// Sockets belong to a runtime: the server's, from whichever thread the gate is moved.
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    /// Bound, never listening. `None` when the server is gone, and then the gate does not open any more.
    port: Option<TcpSocket>,
    listener: Option<TcpListener>,
    /// Who waits for a connection: must be told of a new listener.
    acceptor: Option<Waker>,
    /// Changes when all connections that exist are to be reset.
    cut: watch::Sender<()>,
}

/// A connection, and the word that it is to be reset.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) cut: watch::Receiver<()>,
}

impl Gate {
    /// An open gate on a free port of the loopback interface. To be called within the server's runtime.
    pub(super) fn open() -> io::Result<Self> {
        let port = reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = port.local_addr()?;
        Ok(Self {
            address,
            runtime: Handle::current(),
            state: Mutex::new(State {
                listener: Some(listen(address)?),
                port: Some(port),
                acceptor: None,
                cut: watch::Sender::new(()),
            }),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection; waits while the gate is closed.
    ///
    /// The receiver is made under the lock: a connection is either reset by [`Gate::refuse`] or accepted after it.
    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut state = self.state();
        state.acceptor = Some(context.waker().clone());
        let Some(listener) = &state.listener else {
            return Poll::Pending;
        };
        listener.poll_accept(context).map_ok(|(stream, _)| Accepted { stream, cut: state.cut.subscribe() })
    }

    /// From now on connections are refused, and those that exist are reset.
    pub(super) fn refuse(&self) {
        self.state().close();
    }

    /// Connections are accepted again, on the same port.
    pub(super) fn admit(&self) {
        let mut state = self.state();
        if state.listener.is_some() || state.port.is_none() {
            return;
        }
        let _in_runtime = self.runtime.enter();
        state.listener = Some(listen(self.address).expect("the port is held by a socket of this gate"));
        if let Some(acceptor) = state.acceptor.take() {
            acceptor.wake();
        }
    }

    /// Refuses for good, and gives the port away.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.close();
        state.port = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) {
        self.listener = None;
        self.cut.send_replace(());
    }
}

/// Keeps the port. Without `SO_REUSEADDR`, which would let others bind to it as long as nobody listens.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens beside the socket that keeps the port, whatever connections of earlier listeners are still dying.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
