//! What is going on, on stderr: a bar on a terminal, else a line now and then.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::text::count;

/// Without a terminal so many lines tell of the invocations.
const PLAIN_LINES: u64 = 10;
const TICK: Duration = Duration::from_millis(100);

/// The progress of a run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    done: u64,
}

impl Progress {
    /// Nothing is done of `total` invocations.
    pub fn new(total: u32) -> Self {
        let template = "{spinner:.cyan} {bar:24.cyan/dim} {pos:>3}/{len}  {wide_msg}";
        let style = ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("━╸─");
        let total = u64::from(total);
        let bar = ProgressBar::new(total).with_style(style);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self { bar, total, done: 0 }
    }

    /// Something happened that is worth a line of its own.
    pub fn event(&self, what: &str) {
        if self.bar.is_hidden() {
            eprintln!("{:>4}/{}  {what}", self.done, self.total);
        } else {
            self.bar.println(format!("  {what}"));
        }
    }

    /// What is going on now.
    pub fn now(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// An invocation is over; the function has written so many lines so far.
    pub fn invoked(&mut self, lines: usize, now: &str) {
        let part = |done: u64| done * PLAIN_LINES / self.total;
        let is_told = part(self.done) != part(self.done + 1);
        self.done += 1;
        self.bar.set_position(self.done);
        let told = format!("{} lines{}{now}", count(lines), if now.is_empty() { "" } else { ", " });
        if is_told && self.bar.is_hidden() {
            self.event(&told);
        }
        self.bar.set_message(told);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
