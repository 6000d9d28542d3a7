//! A proxy for tests: records what it is asked, and makes tunnels or answers as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running proxy; dropping it closes everything.
pub(super) struct TestProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// The next answers, byte for byte; without one a tunnel is made.
    answers: VecDeque<&'static str>,
    heads: Vec<String>,
}

impl TestProxy {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let state = Arc::<Mutex<State>>::default();
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _connections: connections }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers the next requests in this order; after an answer that is no `200` the connection is closed.
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = &'static str>) {
        self.state.lock().expect("no test panics while it holds the lock").answers.extend(answers);
    }

    /// The heads of all requests so far, in order.
    pub(super) fn heads(&self) -> Vec<String> {
        self.state.lock().expect("no test panics while it holds the lock").heads.clone()
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        // How a connection ends is told by what its client sees.
        connections.spawn(async move { drop(serve(client, &state).await) });
    }
}

async fn serve(mut client: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut state = state.lock().expect("no test panics while it holds the lock");
        state.heads.push(head);
        state.answers.pop_front()
    };
    if let Some(answer) = answer {
        return client.write_all(answer.as_bytes()).await;
    }
    let mut server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
