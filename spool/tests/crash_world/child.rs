//! A running child, as its supervisor sees it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::tally::Tally;
use super::{CHILD_SEED, LAST, PLACE};

/// A running child, and the lines that it says.
pub struct Child {
    process: std::process::Child,
    said: Receiver<String>,
}

/// How a child ended.
pub struct End {
    pub status: ExitStatus,
    last_words: Option<String>,
}

impl End {
    /// Where the kill fell.
    pub fn phase(&self) -> &'static str {
        let last_word = self.last_words.as_deref().and_then(|words| words.split(' ').next());
        match last_word {
            None | Some("begun") => "in creation",
            Some("created") => "before anything was done",
            Some("trying") => "in an append",
            Some("adopting") => "in adoption",
            Some("rolling") => "in a roll",
            Some("sealing") => "in a seal",
            Some("delivering") => "in a delivery",
            _ => "in between",
        }
    }
}

impl Child {
    pub fn start(place: &Path, seed: u64, last: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(PLACE, place).env(CHILD_SEED, seed.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        if last {
            command.env(LAST, "1");
        }
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (sender, said) = mpsc::channel();
        // The pipe is read all the time: a child must never wait for us.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, said }
    }

    /// Waits for the child to begin, then for so long, and kills it.
    pub fn killed_after(mut self, delay: Duration, tally: &mut Tally) -> End {
        let mut said: Vec<String> = self.said.recv().into_iter().collect();
        let mut rest = Some(delay);
        while let Some(left) = rest {
            let before = std::time::Instant::now();
            match self.said.recv_timeout(left) {
                Ok(line) => {
                    said.push(line);
                    rest = left.checked_sub(before.elapsed());
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => rest = None,
            }
        }
        // One that has ended already is not there to be killed.
        let _ = self.process.kill();
        said.extend(self.said.iter());
        let status = self.process.wait().unwrap();
        assert!(!said.iter().any(|line| line == "panicked"), "a life panicked, see above");
        said.iter().for_each(|line| tally.said(line));
        End { status, last_words: said.pop() }
    }
}
