//! A picture of a run: one page, or one drawing, that needs nothing but itself.
//!
//! * Every mark comes from something that was noted while the run went on ([`observed`]): by the platform, by the store, by
//!   whoever broke things, by the extension in its log, or by looking at the spool directory.
//! * From there on all is pure: events, a layout, text. The same events give the same bytes.
//! * However long a run was, a page has a bounded number of marks and rows; what is merged or left out is counted.
//! * Text from outside is escaped, and the page forbids itself to load anything.

pub mod escape;
pub mod event;
pub mod facts;
pub mod html;
pub mod layout;
pub mod observed;
pub mod said;
mod svg;
pub mod tally;

use event::Event;
use layout::Layout;
use tally::Tally;

/// What a picture shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// What kind of run it was, in a few words.
    pub title: String,
    /// What is to be said of it.
    pub ending: Ending,
    /// What became of the lines, as the demo has it; nothing if the run was not brought to its end.
    pub lines: Option<Lines>,
    /// What lies in the bucket.
    pub objects: Vec<Stored>,
    /// What was observed.
    pub events: Vec<Event>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As it must.
    Clean,
    /// With findings that speak against it.
    Findings(Vec<String>),
    /// Before its time: nothing was judged.
    Interrupted,
}

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines of the function.
    pub function: usize,
    /// Events of the platform.
    pub platform: usize,
    /// Answered with 200.
    pub acknowledged: usize,
    /// In the objects.
    pub delivered: usize,
    /// Acknowledged, but in no object.
    pub lost: usize,
    /// In the objects more often than emitted.
    pub doubled: usize,
    /// The equation that must hold of all of them.
    pub equation: String,
}

/// An object of the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The whole key.
    pub key: String,
    /// How many lines it holds.
    pub lines: usize,
    /// Length of its lines.
    pub raw_bytes: usize,
    /// Its own length.
    pub stored_bytes: usize,
    /// Why its segment was closed.
    pub seal: String,
}

impl Picture {
    /// The page.
    pub fn page(&self) -> String {
        html::page(self, &Layout::of(&self.events), &Tally::of(&self.events))
    }

    /// The drawing alone.
    pub fn drawing(&self) -> String {
        svg::alone(&Layout::of(&self.events), &self.title, &self.words())
    }

    fn words(&self) -> Vec<String> {
        let verdict = match &self.ending {
            Ending::Clean => "Nothing lost, nothing doubled.".to_owned(),
            Ending::Findings(findings) => format!("This must not be: {}", findings.join(" ")),
            Ending::Interrupted => "Interrupted: nothing was judged.".to_owned(),
        };
        let equation = self.lines.iter().map(|lines| format!("Lines and events: {}.", lines.equation));
        std::iter::once(verdict).chain(equation).collect()
    }
}
