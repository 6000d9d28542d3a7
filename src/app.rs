//! Puts the parts together and starts them in the order that costs the function least.
//!
//! Before the first `next`, only what must be: the listener, the registration, our own spool directory, the last request
//! id of an earlier life, the subscription. Behind it: the manifest, adoption, the store.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spool::{Found, Labeler, Losses, Spool, SpoolConfig, SpoolId, find_orphans};
use tokio::sync::{mpsc, watch};

use crate::adoption;
use crate::config::{Config, ConfigErrors, Delivery, StoreSettings};
use crate::deadline::now_ms;
use crate::earlier_life;
use crate::identity;
use crate::intake::{Concurrency, FieldFacts, Intake, LineStyle, Outputs, Rules, SharedSpool, lock};
use crate::lifecycle::machine::drain_policy::DrainStrategy;
use crate::lifecycle::machine::{Event, Policies};
use crate::lifecycle::{Ended, Lifecycle, Links, next_event};
use crate::metrics::{Facts, Figures, Metrics, Writer};
use crate::runtime_api::address::Address;
use crate::runtime_api::client::{ApiError, Client, Subscription};
use crate::runtime_api::event::{
    EventType, ExtensionId, NextEvent, Registered, SCHEMA_VERSIONS, SCHEMA_VERSIONS_OF_MANY,
};
use crate::supervision;
use crate::telemetry::listener::Listener;
use crate::upload::object_key::template::Field;
use crate::upload::outbox::Outbox;
use crate::upload::outgoing::labeler;
use crate::upload::store::ObjectStore;
use crate::upload::store::file::FileStore;
use crate::upload::store::log::LogStore;
use crate::upload::store::s3::S3Store;
use crate::upload::stores::Stores;
use crate::upload::uploader::Uploader;

const REGISTER_PAUSES_MS: [u64; 5] = [50, 100, 200, 400, 1_000];
const SUBSCRIBE_PAUSES_MS: [u64; 3] = [200, 400, 900];

/// Where the platform listens if the environment does not say it: Lambda's own address.
const RUNTIME_API: &str = "127.0.0.1:9001";

/// How the process ends. Any other way is `Extension.Crash` for the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The environment has ended.
    Ok,
    /// The operator asked that bad settings fail the init.
    BadSettings,
}

/// Runs the extension until its environment ends. `name` is the name of the executable file.
pub async fn run(config: Config, errors: ConfigErrors, name: &str) -> Exit {
    let runtime_api = config.runtime_api.as_deref().unwrap_or(RUNTIME_API);
    let client = match Address::parse(runtime_api) {
        Ok(address) => Client::new(address),
        Err(why) => {
            crate::warn!(
                "AWS_LAMBDA_RUNTIME_API={runtime_api:?}: {why}; nobody can be asked for events and no logs are collected."
            );
            return sleep_until_killed().await;
        }
    };
    let is_complete = !config.enabled || config.delivery.is_some();
    if !errors.is_empty() {
        crate::warn!(
            "Bad settings: {errors}{}",
            if is_complete { "" } else { " | No logs are collected without a destination." }
        );
    }
    if config.strict && !errors.is_empty() {
        return fail_init(&client, name, &errors).await;
    }
    if !config.enabled {
        crate::info!("Switched off by LOGSPOOL_ENABLED.");
        return idle(&client, name).await;
    }
    let Some(delivery) = config.delivery.clone() else {
        // What made it unusable was said with the bad settings.
        if errors.is_empty() {
            crate::warn!("No usable LOGSPOOL_DESTINATION is set; no logs are collected.");
        }
        return idle(&client, name).await;
    };
    let Some(stores) = make_stores(&delivery) else {
        return idle(&client, name).await;
    };
    match prepare(&config, delivery, stores, &client, name).await {
        Ok(mut extension) => {
            let ended = extension.lifecycle.run().await;
            extension.finish(ended).await;
            Exit::Ok
        }
        Err(Unprepared::Registered(id)) => idle_registered(&client, &id).await,
        Err(Unprepared::NotRegistered) => sleep_until_killed().await,
    }
}

/// Why the extension could not be made ready.
enum Unprepared {
    /// It runs, and does nothing.
    Registered(ExtensionId),
    /// The platform does not want it.
    NotRegistered,
}

struct Extension {
    lifecycle: Lifecycle,
    spool: SharedSpool,
}

async fn prepare(
    config: &Config,
    delivery: Delivery,
    stores: Stores,
    client: &Client,
    name: &str,
) -> Result<Extension, Unprepared> {
    let listener = Listener::bind(config.listener).await;
    let registered = register(client, name, events_of(config.concurrency)).await;
    let Registered { id, account_id, hears_of_invocations } = registered.ok_or(Unprepared::NotRegistered)?;
    let listener = listener.map_err(|error| {
        crate::warn!("error={error:?} No telemetry port is to be had; no logs are collected.");
        Unprepared::Registered(id.clone())
    })?;
    let keys = delivery.keys(&config.function, account_id.as_deref());
    if account_id.is_none() && delivery.key.has(Field::Account) {
        crate::warn!("The platform did not tell the account; it is `unknown` in the names of objects.");
    }
    let label = labeler(keys.clone());
    let spool = make_spool(config, Arc::clone(&label)).ok_or_else(|| Unprepared::Registered(id.clone()))?;
    let own = spool.id();
    let mut found = orphans_of(&config.spool_root, own);
    let earlier = earlier_life::read(&found.orphans);
    let excess = found.take_excess(config.spool_limits.orphans_max);
    let spool: SharedSpool = Arc::new(Mutex::new(spool));

    let outbox = Outbox::new(Arc::clone(&spool), keys, config.function.version.clone());
    let (event_sender, events) = mpsc::unbounded_channel();
    let uploader = Uploader::new(stores, outbox, event_sender.clone());
    let (adopter, to_adopt) = adoption::adopter(uploader.clone());
    let outputs = Outputs {
        events: Arc::new({
            let uploader = uploader.clone();
            move |event| uploader.take(event)
        }),
        orphans: Arc::new({
            let adopter = adopter.clone();
            move |orphan| adopter.adopt(orphan)
        }),
        observed: Arc::new({
            let events = event_sender.clone();
            // Without a receiver the process is ending.
            move |observed| drop(events.send(Event::Observed(observed)))
        }),
    };
    let mut seal = config.seal;
    if config.drain.strategy == DrainStrategy::End {
        seal.invocations = seal.invocations.or(std::num::NonZeroU32::new(1));
    }
    // Who takes no extension that wants INVOKE runs many invocations at a time, whatever the variable says.
    let concurrency = if hears_of_invocations { config.concurrency } else { Concurrency::Many };
    let rules = Rules {
        types: config.types,
        concurrency,
        filter: config.filter.clone(),
        sums_up: config.invocations,
        style: line_style(config, account_id.as_deref()),
        seal,
    };
    let intake = Arc::new(Intake::new(Arc::clone(&spool), rules, earlier, outputs));

    let port = listener.port();
    let (listener, handler) = (Arc::new(listener), Arc::clone(&intake));
    tokio::spawn(supervision::supervised(move || Arc::clone(&listener).serve(Arc::clone(&handler) as _)));
    let mut drain = config.drain;
    if !subscribe(client, &id, config, concurrency, port).await {
        // Nobody will tell when an invocation has ended: to wait for it would be to wait for its timeout.
        drain.strategy = DrainStrategy::Background;
    }

    // What is given up makes room for the rest. Of that the newest comes first: it holds the last words of what has just failed.
    excess.into_iter().for_each(|orphan| adopter.give_up(orphan));
    let newest = found.orphans.pop();
    newest.into_iter().chain(found.set_aside).chain(found.orphans).for_each(|orphan| adopter.adopt(orphan));
    // Behind the first `next`: the platform waits for nothing of this.
    let (asked, has_asked) = watch::channel(false);
    tokio::spawn(settle_in(has_asked.clone(), Arc::clone(&spool)));
    tokio::spawn(to_adopt.work_off(has_asked, label));

    let links = Links {
        client: client.clone(),
        id,
        intake: Arc::clone(&intake),
        uploader: uploader.clone(),
        events: (event_sender, events),
        asked,
        metrics: metrics(config),
    };
    let freezes = concurrency == Concurrency::One;
    let policies = Policies { seal, drain, retry: delivery.retry, route: uploader.route(), freezes };
    let lifecycle = Lifecycle::new(links, policies);
    let lifecycle = if config.is_copied { lifecycle.copied() } else { lifecycle };
    Ok(Extension { lifecycle, spool })
}

impl Extension {
    async fn finish(mut self, ended: Ended) {
        let figures = self.lifecycle.figures();
        if let Some(mut metrics) = self.lifecycle.take_metrics() {
            metrics.tell_last(&figures, now_ms()).await;
        }
        let Figures { stand, uploaded, counts, waiting, oldest_age_ms, panics } = figures;
        let (stored, after_end) = (stand.totals, stand.active.records);
        let (dropped, stored_bytes) = (drops(&stand.losses), stand.object_bytes);
        crate::info!(
            "records={} bodies={} raw_bytes={} stored_bytes={stored_bytes} refused={} dropped={dropped} {} delivered={} bytes={} fallback={} handed_on={} attempts={} failed_attempts={} \
             interrupted={} waiting={waiting} oldest_age_ms={oldest_age_ms} invocations={} held={} held_ms={} \
             held_for_starved_upload={} budgets_used_up={} outages={} freezes={} panics={panics} after_end={after_end} Ended: {ended:?}.",
            stored.records,
            stored.bodies,
            stored.raw_bytes,
            stored.refused_bodies,
            stored.filtered,
            uploaded.delivered,
            uploaded.bytes,
            uploaded.fallback,
            uploaded.handed_on,
            counts.attempts,
            counts.failed_attempts,
            counts.interrupted_attempts,
            counts.invocations,
            counts.held,
            counts.held_ms,
            counts.held_for_starved_upload,
            counts.budgets_used_up,
            counts.outages,
            counts.freezes,
        );
        if waiting > 0 {
            crate::warn!(
                "waiting={waiting} Not everything was delivered; it stays in the spool for the next process on this disk."
            );
        }
        // The listener's task still holds the spool: what it stores from here on stays for an adopter.
        let empty = lock(&self.spool).remove_if_empty();
        if let Err(error) = empty {
            crate::debug!("error={error:?} The empty spool directory could not be removed.");
        }
    }
}

/// Lost records by cause, as a field of a log line.
fn drops(losses: &Losses) -> String {
    let causes: Vec<_> = losses.iter().map(|(cause, loss)| format!("{}:{}", cause.name(), loss.records)).collect();
    if causes.is_empty() { "0".into() } else { causes.join(",") }
}

/// Lambda Managed Instances have no INVOKE, and refuse whoever wants it.
fn events_of(concurrency: Concurrency) -> &'static [EventType] {
    match concurrency {
        Concurrency::One => &[EventType::Invoke, EventType::Shutdown],
        Concurrency::Many => &[EventType::Shutdown],
    }
}

/// Registers, for as long as it may help. `None` if the platform refuses for good.
async fn register(client: &Client, name: &str, events: &[EventType]) -> Option<Registered> {
    let mut pauses = REGISTER_PAUSES_MS.into_iter();
    loop {
        let error = match client.register(name, events).await {
            Ok(registered) => return Some(registered),
            Err(error) => error,
        };
        if error.is_invalid_event_type() && events.contains(&EventType::Invoke) {
            // It is one of those, whatever the variable says.
            return Box::pin(register(client, name, &[EventType::Shutdown])).await;
        }
        match pauses.next().filter(|_| error.may_pass()) {
            Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
            None => {
                crate::warn!(
                    "error={:?} The platform did not register this extension; no logs are collected.",
                    error.to_string()
                );
                return None;
            }
        }
    }
}

/// Subscribes, and tells whether telemetry will come. Without it the extension runs on: it still delivers what earlier lives
/// left.
async fn subscribe(client: &Client, id: &ExtensionId, config: &Config, concurrency: Concurrency, port: u16) -> bool {
    let versions = match concurrency {
        Concurrency::One => SCHEMA_VERSIONS,
        Concurrency::Many => SCHEMA_VERSIONS_OF_MANY,
    };
    let mut pauses = SUBSCRIBE_PAUSES_MS.into_iter();
    loop {
        let result: Result<_, ApiError> = client.subscribe(id, config.types, config.buffering, port, versions).await;
        let error = match result {
            Ok(Subscription::Active(version)) => {
                crate::info!("schema={version} port={port} Subscribed to telemetry.");
                return true;
            }
            Ok(Subscription::NotSupported) => {
                crate::warn!("There is no Telemetry API here; no logs are collected.");
                return false;
            }
            Err(error) => error,
        };
        match pauses.next().filter(|_| error.may_pass()) {
            Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
            None => {
                crate::warn!(
                    "error={:?} The platform refused the subscription; no logs are collected.",
                    error.to_string()
                );
                return false;
            }
        }
    }
}

fn metrics(config: &Config) -> Option<Metrics> {
    let interval = config.emf?;
    let facts = Facts::new(&config.function.name, &config.function.version);
    Some(Metrics::new(facts, interval, Writer::stdout(), now_ms()))
}

fn line_style(config: &Config, account: Option<&str>) -> LineStyle {
    let function = &config.function;
    let facts = FieldFacts {
        function: Some(&function.name),
        version: Some(&function.version),
        region: function.region.as_deref(),
        account,
        memory_mb: function.memory_mb,
    };
    LineStyle::new(&config.lines, &facts)
}

fn make_spool(config: &Config, label: Labeler) -> Option<Spool> {
    let spool_config = SpoolConfig {
        root: config.spool_root.clone(),
        compression: config.compression,
        line_format: config.lines.format.code(),
        label,
        limits: config.spool_limits,
    };
    let now_ms = now_ms();
    let error = match Spool::create(spool_config.clone(), identity::fresh(now_ms), now_ms) {
        Ok(spool) => return Some(spool),
        Err(error) => error,
    };
    crate::warn!("error={:?} There is no place for the spool; logs are held in memory meanwhile.", error.to_string());
    Spool::create_in_memory(spool_config, identity::fresh(now_ms), now_ms).ok()
}

fn orphans_of(root: &Path, own: SpoolId) -> Found {
    let mut found = match find_orphans(root, own) {
        Ok(found) => found,
        // Without a directory there is nothing to adopt, and the spool itself has said so.
        Err(error) => {
            crate::debug!("error={error:?} The spool directory could not be listed; nothing is adopted.");
            return Found::default();
        }
    };
    for (spool, error) in std::mem::take(&mut found.unreadable) {
        crate::warn!("spool={spool} error={error:?} A spool of an earlier life could not be opened.");
    }
    found
}

/// Makes the stores. Cheap: no network, no TLS, no credentials before the first upload.
fn make_stores(delivery: &Delivery) -> Option<Stores> {
    let destination = make_store(delivery, &delivery.destination, "LOGSPOOL_DESTINATION")?;
    let fallbacks = delivery.fallbacks.iter();
    let fallbacks = fallbacks.filter_map(|fallback| make_store(delivery, fallback, "LOGSPOOL_FALLBACK")).collect();
    let log = delivery.has_log.then(|| {
        crate::warn!(
            "LOGSPOOL_FALLBACK has stdout: it works only while the function's role may write to CloudWatch Logs."
        );
        Arc::new(LogStore::stdout()) as _
    });
    Some(Stores::new(destination, fallbacks, log, delivery.trusts_log))
}

fn make_store(delivery: &Delivery, settings: &StoreSettings, setting: &str) -> Option<Arc<dyn ObjectStore>> {
    match settings.clone() {
        StoreSettings::File(path) => Some(Arc::new(FileStore::new(path, delivery.request_timeout))),
        StoreSettings::S3(settings, credentials) => match S3Store::new(*settings, credentials) {
            Ok(store) => Some(Arc::new(store)),
            Err(error) => {
                crate::warn!("{setting} cannot be used: {error}.");
                None
            }
        },
    }
}

async fn settle_in(mut has_asked: watch::Receiver<bool>, spool: SharedSpool) {
    // Without a sender the process is ending.
    let _ = has_asked.wait_for(|asked| *asked).await;
    lock(&spool).settle_in();
}

/// Registers for the last event only, so that invocations do not pass through here, and waits for it.
async fn idle(client: &Client, name: &str) -> Exit {
    match register(client, name, &[EventType::Shutdown]).await {
        Some(registered) => idle_registered(client, &registered.id).await,
        None => sleep_until_killed().await,
    }
}

async fn idle_registered(client: &Client, id: &ExtensionId) -> Exit {
    loop {
        match next_event(client, id, || {}).await {
            Some(NextEvent::Shutdown { .. }) | None => return Exit::Ok,
            Some(_) => {}
        }
    }
}

/// An exit would be a crash of the function's environment.
async fn sleep_until_killed() -> Exit {
    std::future::pending().await
}

async fn fail_init(client: &Client, name: &str, errors: &ConfigErrors) -> Exit {
    let Some(Registered { id, .. }) = register(client, name, &[EventType::Shutdown]).await else {
        return Exit::BadSettings;
    };
    if let Err(error) = client.init_error(&id, "Extension.ConfigInvalid", &errors.to_string()).await {
        crate::warn!("error={:?} The init error could not be reported.", error.to_string());
    }
    Exit::BadSettings
}
