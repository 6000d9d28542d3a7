//! Adoption of spools that are left: by an earlier life, or by this one when it went on to another.
//!
//! One at a time, and behind the first `next`. Each is a task of its own, and its files are read on a thread of its own: nothing
//! waits for that but whoever asked to, and a panic costs the one spool that was in hand. Whatever becomes of a spool, the
//! uploader hears that its adoption has ended: `end` and SHUTDOWN wait for it.

use std::sync::Arc;
use std::time::Duration;

use spool::{Adopted, Labeler, NotAdopted, Orphan};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::deadline::now_ms;
use crate::supervision;
use crate::upload::uploader::Uploader;

/// Before each look whether the files of a spool are in place, and are still after they were restored.
const RESCUE_PAUSES_MS: [u64; 4] = [0, 20, 100, 500];
/// Before each further try to adopt a spool for which descriptors or memory were missing. What takes them most often are the
/// connections of uploads, which are bounded by a request's time limit (5 s by default).
const ADOPTION_PAUSES_MS: [u64; 8] = [20, 50, 100, 500, 1_000, 2_000, 4_000, 8_000];

/// Takes spools that are left. Cheap to clone.
#[derive(Clone)]
pub struct Adopter {
    queue: UnboundedSender<ToAdopt>,
    uploader: Uploader,
}

/// Spools that wait for their adoption.
pub struct Queue(UnboundedReceiver<ToAdopt>);

/// A spool that waits for its adoption.
struct ToAdopt {
    orphan: Orphan,
    /// It is one too many: its records are declared lost, and not delivered.
    gives_up: bool,
    announced: Announced,
}

/// An adopter, and the queue that it fills. What it adopts goes to `uploader`.
pub fn adopter(uploader: Uploader) -> (Adopter, Queue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Adopter { queue: sender, uploader }, Queue(receiver))
}

impl Adopter {
    /// Takes a spool, to be delivered.
    pub fn adopt(&self, orphan: Orphan) {
        self.take(orphan, false);
    }

    /// Takes a spool that is one too many, to be declared lost.
    pub fn give_up(&self, orphan: Orphan) {
        self.take(orphan, true);
    }

    fn take(&self, orphan: Orphan, gives_up: bool) {
        let announced = Announced::to(&self.uploader);
        // Without a receiver the process is ending; the next one adopts.
        let _ = self.queue.send(ToAdopt { orphan, gives_up, announced });
    }
}

impl Queue {
    /// Adopts what comes, from the moment that `may_begin` is set on.
    pub async fn work_off(self, mut may_begin: watch::Receiver<bool>, label: Labeler) {
        // Without a sender the process is ending.
        let _ = may_begin.wait_for(|may_begin| *may_begin).await;
        self.each(|to_adopt| adopt(to_adopt, Arc::clone(&label))).await;
    }

    async fn each<F>(self, part: impl FnMut(ToAdopt) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        supervision::one_by_one(self.0, part).await;
    }
}

/// An adoption that the uploader knows of. It ends once, at the latest when this is dropped.
struct Announced {
    uploader: Uploader,
    has_ended: bool,
}

impl Announced {
    fn to(uploader: &Uploader) -> Self {
        uploader.adoption_begins();
        Self { uploader: uploader.clone(), has_ended: false }
    }

    fn ends(mut self, adopted: Option<Adopted>) {
        self.uploader.adoption_ends(adopted);
        self.has_ended = true;
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if !self.has_ended {
            self.uploader.adoption_ends(None);
        }
    }
}

async fn adopt(to_adopt: ToAdopt, label: Labeler) {
    let ToAdopt { orphan, gives_up, announced } = to_adopt;
    announced.ends(adopted(orphan, gives_up, label).await);
}

/// Reads a spool whole, on a thread of its own. `None` if it is left for the next life.
async fn adopted(mut orphan: Orphan, gives_up: bool, label: Labeler) -> Option<Adopted> {
    let (sender, adopted) = tokio::sync::oneshot::channel();
    let id = orphan.id();
    let thread = std::thread::Builder::new().name("adopter".into());
    let work = move || {
        rescue(&mut orphan);
        let mut adopted = adopt_patiently(orphan, &label);
        if let Some(adopted) = adopted.as_mut().ok().filter(|_| gives_up) {
            give_up(adopted);
        }
        sender.send(adopted).is_ok()
    };
    if let Err(error) = thread.spawn(work) {
        crate::warn!("spool={id} error={error:?} No thread for adoption; the next life adopts.");
        return None;
    }
    match adopted.await {
        Ok(Ok(adopted)) => {
            report(&adopted);
            return Some(adopted);
        }
        Ok(Err(not_adopted)) => crate::warn!("{not_adopted}."),
        Err(_) => crate::warn!("spool={id} Adoption panicked; the spool is left for the next life."),
    }
    None
}

/// Adopts a spool, again as long as descriptors or memory are missing.
fn adopt_patiently(mut orphan: Orphan, label: &Labeler) -> Result<Adopted, NotAdopted> {
    for pause_ms in ADOPTION_PAUSES_MS {
        match orphan.adopt(label) {
            Err(NotAdopted::NotNow { orphan: unchanged, .. }) => orphan = *unchanged,
            result => return result,
        }
        std::thread::sleep(Duration::from_millis(pause_ms));
    }
    orphan.adopt(label)
}

/// Restores the files of a spool that somebody has cleared. Whoever did may still be at it, and clear the copy too.
fn rescue(orphan: &mut Orphan) {
    let (id, mut restored) = (orphan.id(), Ok(false));
    for pause_ms in RESCUE_PAUSES_MS {
        std::thread::sleep(Duration::from_millis(pause_ms));
        match orphan.rescue() {
            Ok(false) => break,
            result => restored = result,
        }
    }
    match restored {
        Ok(false) => {}
        Ok(true) => crate::warn!("spool={id} The spool directory was cleared by somebody; its files were restored."),
        Err(error) => crate::warn!("spool={id} error={error:?} Cleared files of the spool are held open only."),
    }
}

fn give_up(adopted: &mut Adopted) {
    let (id, records) = (adopted.id(), adopted.report().records);
    match adopted.give_up(now_ms()) {
        Ok(()) => crate::error!(
            "spool={id} records={records} Too many spools of earlier lives wait; the oldest was given up."
        ),
        Err(error) => crate::warn!("spool={id} error={error:?} A spool that is one too many could not be given up."),
    }
}

/// One line with what was found, repaired and lost; then each loss with its place.
fn report(adopted: &Adopted) {
    let (id, report) = (adopted.id(), adopted.report());
    crate::info!(
        "spool={id} files={} rows={} objects={} records={} torn_bytes={} skipped_bytes={} lost_records={} lost_bytes={} lost_ranges={} unreadable={} missing={} unknown_tail={} A spool of an earlier life was adopted.",
        report.files,
        report.rows,
        report.objects,
        report.records,
        report.torn_bytes,
        report.skipped_bytes,
        report.lost_records(),
        report.lost_bytes(),
        report.lost.len(),
        report.unreadable.len(),
        report.missing.len(),
        report.unknown_tail
    );
    for range in &report.lost {
        let (first, last, cause) = (range.first, range.last, range.cause.name());
        let certainly = if range.maybe_delivered { "may be" } else { "are" };
        crate::error!(
            "spool={id} first={first} last={last} cause={cause} Records of an earlier life {certainly} lost."
        );
    }
    for (segment, error) in &report.unreadable {
        crate::warn!("spool={id} segment={segment} error={error:?} A file of an earlier life could not be read.");
    }
    if report.unknown_tail {
        crate::error!("spool={id} The last records of an earlier life are lost; nobody knows how many.");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use spool::{Batch, Compression, Identity, Meta, Spool, SpoolConfig, SpoolId, SpoolLimits, find_orphans};
    use tempfile::TempDir;

    use super::*;
    use crate::lifecycle::machine::Event;
    use crate::upload::object_key::ObjectKeys;
    use crate::upload::outbox::Outbox;
    use crate::upload::outgoing::{LINE_FORMAT_JSON, labeler};
    use crate::upload::store::file::FileStore;

    const NOW: i64 = 1_790_000_000_000;

    fn id(life: u128) -> SpoolId {
        SpoolId::new(NOW, life)
    }

    fn keys() -> ObjectKeys {
        ObjectKeys::for_function("f")
    }

    /// The spool of a life, with one record.
    fn life(root: &Path, life: u128) -> Spool {
        let config = SpoolConfig {
            root: root.into(),
            compression: Compression::default(),
            line_format: LINE_FORMAT_JSON,
            label: labeler(keys()),
            limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
        };
        let mut spool = Spool::create(config, Identity { id: id(life), salt_seed: 1 }, NOW).expect("a directory");
        let (lines, meta) = (b"{}\n".as_slice(), &Meta::default());
        let batch = Batch { lines, records: 1, first_line_ms: None, body_bytes: 1, body_hash: 1, meta, end: false };
        spool.append(&batch, NOW).expect("room");
        spool
    }

    /// A living process, three earlier lives, and what the machine is told of them.
    struct World {
        root: TempDir,
        /// Holds what was adopted.
        _uploader: Uploader,
        told: UnboundedReceiver<Event>,
    }

    fn world() -> (World, Adopter, Queue) {
        let root = TempDir::new().expect("a directory");
        (1..=3).for_each(|n| drop(life(root.path(), n)));
        let spool = Arc::new(Mutex::new(life(root.path(), 9)));
        let (events, told) = mpsc::unbounded_channel();
        let store = Arc::new(FileStore::new(root.path().join("objects"), Duration::from_secs(60)));
        let uploader = Uploader::new(
            store as Arc<dyn crate::upload::store::ObjectStore>,
            Outbox::new(spool, keys(), "1".into()),
            events,
        );
        let (adopter, queue) = adopter(uploader.clone());
        (World { root, _uploader: uploader, told }, adopter, queue)
    }

    impl World {
        fn orphans(&self) -> Vec<Orphan> {
            find_orphans(self.root.path(), id(9)).expect("a directory").orphans
        }

        fn hand_in(&self, adopter: &Adopter) {
            self.orphans().into_iter().for_each(|orphan| adopter.adopt(orphan));
        }

        fn told(&mut self) -> Vec<Event> {
            std::iter::from_fn(|| self.told.try_recv().ok()).collect()
        }

        /// All but the second life were adopted, and nobody waits for it; it is left as it was.
        #[track_caller]
        fn assert_only_the_second_is_left(mut self) {
            let told = self.told();
            let count = |event: &Event| told.iter().filter(|told| *told == event).count();
            assert_eq!((count(&Event::AdoptionBegins), count(&Event::AdoptionEnds)), (3, 3), "{told:#?}");
            let spool = |event: &Event| match event {
                Event::Added(waiting) => Some(waiting.id.spool),
                _ => None,
            };
            assert_eq!(told.iter().filter_map(spool).collect::<Vec<_>>(), [id(1), id(3)], "{told:#?}");
            let left: Vec<_> = self.orphans().iter().map(Orphan::id).collect();
            assert_eq!(left, [id(2)], "for the next life");
        }
    }

    /// Hands in all three, and lets `part` take them.
    async fn each<F>(part: impl FnMut(ToAdopt) -> F) -> World
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (world, adopter, queue) = world();
        world.hand_in(&adopter);
        drop(adopter);
        queue.each(part).await;
        world
    }

    #[tokio::test]
    async fn a_panic_while_a_spool_is_read_costs_that_spool_and_nobody_waits_for_it() {
        let label = labeler(keys());
        let label: Labeler = Arc::new(move |facts| {
            assert_ne!(facts.spool, id(2), "planned");
            label(facts)
        });
        each(|to_adopt| adopt(to_adopt, Arc::clone(&label))).await.assert_only_the_second_is_left();
    }

    #[tokio::test]
    async fn a_panic_of_the_task_costs_the_spool_in_hand_and_nobody_waits_for_it() {
        let label = labeler(keys());
        let part = |to_adopt: ToAdopt| {
            let label = Arc::clone(&label);
            async move {
                assert_ne!(to_adopt.orphan.id(), id(2), "planned");
                adopt(to_adopt, label).await;
            }
        };
        each(part).await.assert_only_the_second_is_left();
    }

    #[tokio::test]
    async fn nobody_waits_for_spools_that_come_when_nobody_adopts_any_more() {
        let (mut world, adopter, queue) = world();
        drop(queue);
        world.hand_in(&adopter);
        let (begins, ends) = (Event::AdoptionBegins, Event::AdoptionEnds);
        assert_eq!(world.told(), [begins.clone(), ends.clone(), begins.clone(), ends.clone(), begins, ends]);
    }
}
