//! How much lies in the spool, looked at from outside: the extension is not asked.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

/// Often enough that the curve has a step for each invocation; a look takes some tens of microseconds.
const EVERY: Duration = Duration::from_millis(50);
/// Samples that are kept. With more, every second one is let go, and from then on one is taken half as often: memory stays bounded
/// and the curve, which is at most some hundred steps wide, does not change.
const SAMPLES_MAX: usize = 8_192;
const SEGMENT_SUFFIX: &str = ".seg";

/// Looks at the spool directories now and then.
#[derive(Debug)]
pub struct Sampler {
    root: PathBuf,
    samples: RefCell<Samples>,
}

#[derive(Debug)]
struct Samples {
    all: Vec<(Instant, u64)>,
    every: Duration,
}

impl Sampler {
    /// Looks below this directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root, samples: RefCell::new(Samples { all: Vec::new(), every: EVERY }) }
    }

    /// Looks, for ever.
    pub async fn run(&self) {
        let mut next = Instant::now();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await.into_std();
            if now >= next {
                self.look();
                next = now + self.samples.borrow().every;
            }
        }
    }

    /// All samples.
    pub fn samples(self) -> Vec<(Instant, u64)> {
        self.samples.into_inner().all
    }

    /// Looks now, whether it is time or not.
    pub fn look(&self) {
        // A directory that vanishes while it is read is seen by the next look.
        if let Ok(bytes) = segment_bytes(&self.root) {
            self.samples.borrow_mut().add(Instant::now(), bytes);
        }
    }
}

impl Samples {
    fn add(&mut self, at: Instant, bytes: u64) {
        self.all.push((at, bytes));
        if self.all.len() > SAMPLES_MAX {
            let mut keep = false;
            self.all.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }
}

/// Lengths of the segment files of all spools. Without a directory there is no spool.
fn segment_bytes(root: &Path) -> io::Result<u64> {
    let spools = match root.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        spools => spools?,
    };
    let mut sum = 0;
    for spool in spools {
        let spool = spool?.path();
        for file in fs::read_dir(spool)? {
            let file = file?;
            if file.file_name().to_string_lossy().ends_with(SEGMENT_SUFFIX) {
                sum += file.metadata()?.len();
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_files_count_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(segment_bytes(&root.path().join("nothing")).unwrap(), 0);
        for (spool, file, bytes) in
            [("a", "000000000000.seg", 700), ("a", "ballast-0", 4_096), ("b", "000000000007.seg", 50)]
        {
            fs::create_dir_all(root.path().join(spool)).unwrap();
            fs::write(root.path().join(spool).join(file), vec![0; bytes]).unwrap();
        }
        assert_eq!(segment_bytes(root.path()).unwrap(), 750);
    }

    #[test]
    fn however_long_a_run_is_its_samples_are_bounded_and_cover_it() {
        let mut samples = Samples { all: Vec::new(), every: EVERY };
        let began = Instant::now();
        for number in 0..100_000 {
            samples.add(began + Duration::from_millis(number), number);
            assert!(samples.all.len() <= SAMPLES_MAX);
        }
        assert_eq!(samples.all.first(), Some(&(began, 0)));
        assert!(samples.all.last().is_some_and(|(_, number)| *number > 99_000));
        assert!(samples.every > EVERY);
    }
}
