//! A short real run with everything that the demo's has: an outage, a kill in it, a rebirth, SHUTDOWN.

use std::time::Instant;

use sandbox::s3::{Fault, StoredObject};
use sandbox::{Fate, Invocation, Ledger, ShutdownReason, Work};

use crate::picture::observed::{Act, Observed};
use crate::world::{BUCKET, World, file_name};

/// Before, in and behind the outage.
pub const INVOCATIONS: usize = 5;

/// What is left of it.
pub struct ShortRun {
    pub observed: Observed,
    pub ledger: Ledger,
    pub objects: Vec<StoredObject>,
    pub invocations: Vec<Invocation>,
    pub output: Vec<String>,
}

impl ShortRun {
    pub async fn play() -> Self {
        let began = Instant::now();
        let world = World::new().await;
        let sandbox = world
            .sandbox()
            .extension_env("LOGSPOOL_DRAIN", "end")
            .extension_env("LOGSPOOL_LOG", "debug")
            .start()
            .await
            .unwrap();
        let work = |lines| Work { lines, ..Work::default() };
        let mut acts = Vec::new();
        let mut invocations = vec![sandbox.invoke(work(20)).await];
        let mut samples = vec![(Instant::now(), world.segment_bytes())];
        acts.push((Instant::now(), Act::OutageBegins));
        world.s3.faults().set(Fault::RefuseConnections);
        invocations.push(sandbox.invoke(work(30)).await);

        let killed = sandbox.invoke_start(Work { sleep_ms: 2_000, ..work(10) });
        let before = sandbox.ledger().with_fate(Fate::Acknowledged).count();
        sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).count() > before).await;
        acts.push((Instant::now(), Act::Kill));
        sandbox.kill_extension().await;
        invocations.push(killed.finished().await);
        samples.push((Instant::now(), world.segment_bytes()));

        invocations.push(sandbox.invoke(work(10)).await);
        world.s3.faults().clear();
        acts.push((Instant::now(), Act::OutageEnds));
        // Long enough for what the killed one has left to be adopted.
        invocations.push(sandbox.invoke(Work { sleep_ms: 300, ..work(5) }).await);
        sandbox.shutdown(ShutdownReason::Spindown).await;
        Self {
            observed: Observed {
                began,
                ended: Instant::now(),
                course: sandbox.course(),
                requests: world.s3.requests(),
                acts,
                samples,
            },
            ledger: sandbox.ledger(),
            objects: world.s3.objects(BUCKET).unwrap(),
            invocations,
            output: sandbox.extension_output(),
        }
    }

    /// Those that the life which ended with SHUTDOWN has sealed itself.
    pub fn objects_of_last_life(&self) -> Vec<&StoredObject> {
        let of_own = |object: &&StoredObject| object.metadata["logspool-seal"] != "adoption";
        let life = |object: &StoredObject| file_name(&object.key).split('-').next().map(str::to_owned);
        let last = self.objects.iter().map(life).max().flatten();
        self.objects.iter().filter(|object| life(object) == last).filter(of_own).collect()
    }

    /// From the last words of the last life.
    pub fn counted(&self, name: &str) -> usize {
        let words = self.output.iter().rfind(|line| line.ends_with("Ended: Shutdown.")).unwrap();
        let field = words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        field.unwrap().parse().unwrap()
    }
}
