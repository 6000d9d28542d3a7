//! A client of the extension's telemetry listener that can say anything, also what the platform never would.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::net::Ipv4Addr;

use sandbox::Sandbox;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest head of an answer that is read, in bytes: ours have some dozens.
const HEAD_BYTES_MAX: usize = 4 * 1024;

/// One connection to the listener of the extension that runs.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub async fn connect(sandbox: &Sandbox) -> Self {
        Self::to(sandbox.subscriptions().last().expect("the extension has subscribed").port).await
    }

    /// A connection to the listener at this port.
    pub async fn to(port: u16) -> Self {
        Self { stream: TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap() }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Posts a body as the platform does, and returns the status of the answer.
    pub async fn post(&mut self, body: &[u8]) -> u16 {
        self.send(&request("POST", "/", body)).await;
        self.status().await
    }

    /// The status of the next answer. Its head is read, and a body is not expected.
    pub async fn status(&mut self) -> u16 {
        let head = self.head().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer, but {head:?}"))
    }

    /// Reads byte by byte: what follows belongs to the next answer.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(head.len() < HEAD_BYTES_MAX, "an endless head");
            head.push(self.stream.read_u8().await.unwrap_or_else(|error| panic!("{error} after {head:?}")));
        }
        String::from_utf8(head).unwrap()
    }

    /// Ends the connection as a peer does that waits for no answer.
    pub async fn close(mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Ends the connection as a peer does that has died.
    pub async fn cut(self) {
        self.stream.set_zero_linger().unwrap();
        drop(self.stream);
    }
}

/// A request whose length is announced.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: sandbox.localdomain\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A request whose length is not announced, in chunks of so many bytes.
pub fn chunked(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut request = chunked_head();
    for chunk in body.chunks(chunk_bytes) {
        request.extend_from_slice(&chunk_of(chunk));
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// The head of a request whose length is not announced.
pub fn chunked_head() -> Vec<u8> {
    b"POST / HTTP/1.1\r\nhost: sandbox.localdomain\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

/// One chunk of such a request.
pub fn chunk_of(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}
