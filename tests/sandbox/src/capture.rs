//! Reads a process's output line by line.
//!
//! A line is handed on when its newline is there, or when the stream ends. [`Capture::drain`] reads the pipe empty at
//! once: output that a process wrote before it made a request is thereby known before the request is acted upon.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};

/// A line without end is cut here: it would be held in memory otherwise.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Reads in a row of 64 KiB each, which is what a pipe holds: enough to empty it, few enough not to starve other tasks
/// while a process writes without pause.
const READS_MAX: usize = 16;

/// What becomes of a line.
pub(crate) type Sink = Box<dyn FnMut(String) + Send>;

/// The reading end of one output stream.
#[derive(Debug)]
pub(crate) struct Capture {
    drains: mpsc::Sender<oneshot::Sender<()>>,
    end: watch::Receiver<bool>,
}

impl Capture {
    /// Makes a pipe; its writing end is for the process.
    pub(crate) fn start(sink: Sink) -> io::Result<(Self, OwnedFd)> {
        let (writing, reading) = pipe::pipe()?;
        let writing = writing.into_blocking_fd()?;
        let (drains, requests) = mpsc::channel(1);
        let (ended, end) = watch::channel(false);
        tokio::spawn(async move {
            read(reading, Lines::new(sink), requests).await;
            ended.send_replace(true);
        });
        Ok((Self { drains, end }, writing))
    }

    /// Returns when everything that is in the pipe now has been read.
    pub(crate) async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        if self.drains.send(done).await.is_ok() {
            // An error means that the stream has ended, hence is empty.
            let _ = drained.await;
        }
    }

    /// Returns when the stream has ended, that is when its last writer is gone.
    pub(crate) async fn ended(&self) {
        // An error means that the reader is gone, which is an end as well.
        let _ = self.end.clone().wait_for(|&ended| ended).await;
    }
}

async fn read(reading: pipe::Receiver, mut lines: Lines, mut requests: mpsc::Receiver<oneshot::Sender<()>>) {
    loop {
        let progress = tokio::select! {
            readable = reading.readable() => match readable {
                Ok(()) => read_available(|buffer| reading.try_read(buffer), &mut lines),
                Err(_) => ControlFlow::Break(()),
            },
            Some(done) = requests.recv() => {
                // Asks the kernel, not the runtime, which may not know yet that there is something to read.
                let progress = read_available(|buffer| Ok(rustix::io::read(&reading, buffer)?), &mut lines);
                // Whoever asked may have given up waiting.
                let _ = done.send(());
                progress
            }
        };
        if progress.is_break() {
            break;
        }
    }
    lines.end();
}

/// Reads what is there, or as much as ever was in the pipe at one time; breaks at the end of the stream.
fn read_available(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>, lines: &mut Lines) -> ControlFlow<()> {
    let mut buffer = [0; 64 << 10];
    for _ in 0..READS_MAX {
        match read(&mut buffer) {
            Ok(0) => return ControlFlow::Break(()),
            Ok(n) => lines.extend(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return ControlFlow::Break(()),
        }
    }
    ControlFlow::Continue(())
}

/// Cuts bytes into lines. Invalid UTF-8 becomes U+FFFD, as AWS's encoder has it.
struct Lines {
    partial: Vec<u8>,
    sink: Sink,
}

impl Lines {
    fn new(sink: Sink) -> Self {
        Self { partial: Vec::new(), sink }
    }

    fn extend(&mut self, mut bytes: &[u8]) {
        while let Some(newline) = bytes.iter().position(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(&bytes[..newline]);
            self.emit();
            bytes = &bytes[newline + 1..];
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() >= LINE_BYTES_MAX {
            self.emit();
        }
    }

    fn end(&mut self) {
        if !self.partial.is_empty() {
            self.emit();
        }
    }

    fn emit(&mut self) {
        (self.sink)(String::from_utf8_lossy(&self.partial).into_owned());
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::sync::mpsc;

    #[tokio::test]
    async fn after_a_drain_everything_that_was_written_is_known() {
        let (sender, lines) = mpsc::channel();
        let (capture, writing) =
            Capture::start(Box::new(move |line| sender.send(line).expect("open"))).expect("a pipe");
        let mut writing = File::from(writing);
        for number in 0..100 {
            writeln!(writing, "{number}").expect("room in the pipe");
            capture.drain().await;
            assert_eq!(lines.try_recv(), Ok(number.to_string()));
        }
        drop(writing);
        capture.ended().await;
        capture.drain().await;
    }

    #[test]
    fn lines_are_cut_at_newlines_wherever_the_reads_end() {
        let (sender, lines) = mpsc::channel();
        let mut cutter = Lines::new(Box::new(move |line| sender.send(line).expect("open")));
        for part in ["on", "e\ntwo\n\nth", "ree\r\n", "fo\u{fffd}ur"] {
            cutter.extend(part.as_bytes());
        }
        cutter.extend(b"\xff\n last");
        cutter.end();
        drop(cutter);
        let lines: Vec<String> = lines.iter().collect();
        assert_eq!(lines, ["one", "two", "", "three\r", "fo\u{fffd}ur\u{fffd}", " last"]);
    }
}
