//! What the owner of a sandbox can see and touch of the environment while the lifecycle goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::course::{Course, Happening};
use crate::process::Process;
use crate::telemetry::Subscription;

#[derive(Debug, Default)]
struct Signs {
    extension: Option<Arc<Process>>,
    function: Option<Arc<Process>>,
    /// Peak of the lives before this one.
    extension_peak_rss_kib: u64,
    init_duration: Duration,
    extension_init_duration: Duration,
    subscriptions: Vec<Subscription>,
}

/// Shared vital signs of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    signs: Arc<Mutex<Signs>>,
    course: Course,
    frozen: watch::Sender<bool>,
}

impl Vitals {
    pub(crate) fn new(course: Course) -> Self {
        Self { signs: Arc::default(), course, frozen: watch::Sender::new(false) }
    }

    fn signs<T>(&self, f: impl FnOnce(&mut Signs) -> T) -> T {
        f(&mut self.signs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn extension_started(&self, process: Arc<Process>) {
        self.course.note_at(process.started(), Happening::ExtensionStarted);
        self.signs(|signs| signs.extension = Some(process));
    }

    pub(crate) fn function_started(&self, process: Arc<Process>) {
        self.signs(|signs| signs.function = Some(process));
    }

    pub(crate) fn extension_ended(&self) {
        self.signs(|signs| {
            let peak = signs.extension.take().map_or(0, |process| process.peak_rss_kib());
            signs.extension_peak_rss_kib = signs.extension_peak_rss_kib.max(peak);
        });
    }

    pub(crate) fn function_ended(&self) {
        self.signs(|signs| signs.function = None);
    }

    pub(crate) fn extension(&self) -> Option<Arc<Process>> {
        self.signs(|signs| signs.extension.clone())
    }

    pub(crate) fn function(&self) -> Option<Arc<Process>> {
        self.signs(|signs| signs.function.clone())
    }

    /// Over all lives.
    pub(crate) fn extension_peak_rss_kib(&self) -> u64 {
        self.signs(|signs| {
            let now = signs.extension.as_ref().map_or(0, |process| process.peak_rss_kib());
            signs.extension_peak_rss_kib.max(now)
        })
    }

    pub(crate) fn initialized(&self, init: Duration, extension: Duration) {
        self.course.note(Happening::Initialized);
        self.signs(|signs| {
            signs.init_duration = init;
            signs.extension_init_duration = extension;
        });
    }

    pub(crate) fn init_duration(&self) -> Duration {
        self.signs(|signs| signs.init_duration)
    }

    pub(crate) fn extension_init_duration(&self) -> Duration {
        self.signs(|signs| signs.extension_init_duration)
    }

    pub(crate) fn subscribed(&self, subscription: Subscription) {
        self.signs(|signs| signs.subscriptions.push(subscription));
    }

    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        self.signs(|signs| signs.subscriptions.clone())
    }

    pub(crate) fn course(&self) -> &Course {
        &self.course
    }

    /// Returns whether this changes anything.
    pub(crate) fn set_frozen(&self, frozen: bool) -> bool {
        let changes = self.frozen.send_replace(frozen) != frozen;
        if changes {
            self.course.note(if frozen { Happening::Frozen } else { Happening::Thawed });
        }
        changes
    }

    pub(crate) fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }

    pub(crate) async fn until_frozen(&self) {
        // This handle keeps the channel open.
        let _ = self.frozen.subscribe().wait_for(|&frozen| frozen).await;
    }
}
