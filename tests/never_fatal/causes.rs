//! What can be wrong, and what is promised of each.

use std::any::Any;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use sandbox::s3::Fault;
use sandbox::{Ledger, SandboxBuilder, ShutdownReason, Work};

use crate::between::{Between, NEXT, REGISTER, SUBSCRIBE};
use crate::modes::Mode;
use crate::own_namespace;
use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Nothing,
    BadSetting,
    UnreadableFile,
    NoDestination,
    BadDestination,
    NoBucket,
    WrongSecret,
    NoCredentials,
    ClockOff,
    NoRights,
    StoreGone,
    StoreHangs,
    NoSpoolDirectory,
    ReadOnlySpool,
    FullDisk,
    NoRoom,
    NetworkFileSystem,
    DamagedSpool,
    SmallMemory,
    Descriptors32,
    Descriptors16,
    PortTaken,
    Panics,
    RegisterRefused,
    RegisterFails,
    SubscribeBadRequest,
    SubscribeRefused,
    SubscribeFails,
    NextFails,
}

/// What becomes of the logs, this life's and those of later ones on the same disk taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// All of them arrive.
    Arrive,
    /// They arrive or are declared lost.
    AreCounted,
    /// None are collected, so there is nothing to lose.
    AreNotCollected,
}

/// A cause as the table has it.
pub struct Row {
    pub cause: Cause,
    pub name: &'static str,
    /// The one line, if there is one.
    pub said: Option<&'static str>,
    /// What may be said beside it.
    pub also: &'static [&'static str],
    pub logs: Logs,
}

/// What is left to the next life is said at the end of each that has to leave something.
const LEFT: &[&str] = &["Not everything was delivered; it stays in the spool"];

/// Which part runs short of descriptors is up to chance.
const SHORT: &[&str] =
    &["Too many open files", "Uploads work again.", "Not everything was delivered; it stays in the spool"];

/// What has no room has none for the last words.
const NO_END: &[&str] = &["The end of the stream could not be written"];

pub const ROWS: &[Row] = &[
    row(Cause::Nothing, "nothing", None, &[], Logs::Arrive),
    row(Cause::BadSetting, "a bad setting", Some("Bad settings"), &[], Logs::Arrive),
    row(Cause::UnreadableFile, "a settings file that is not there", Some("Bad settings"), &[], Logs::Arrive),
    row(Cause::NoDestination, "no destination", Some("No usable LOGSPOOL_DESTINATION"), &[], Logs::AreNotCollected),
    row(Cause::BadDestination, "a destination that is none", Some("Bad settings"), &[], Logs::AreNotCollected),
    row(Cause::NoBucket, "no such bucket", Some("Uploads need a person"), LEFT, Logs::Arrive),
    row(Cause::WrongSecret, "wrong credentials", Some("Uploads need a person"), LEFT, Logs::Arrive),
    row(Cause::NoCredentials, "no credentials", Some("Uploads need a person"), LEFT, Logs::Arrive),
    row(Cause::ClockOff, "a clock that is far off", Some("RequestTimeTooSkewed"), LEFT, Logs::Arrive),
    row(Cause::NoRights, "no right to write", Some("Uploads need a person"), LEFT, Logs::Arrive),
    row(Cause::StoreGone, "a store that is gone", Some("An upload failed"), LEFT, Logs::Arrive),
    row(Cause::StoreHangs, "a store that hangs", Some("Not everything was delivered"), &[], Logs::Arrive),
    row(Cause::NoSpoolDirectory, "no spool directory", Some("There is no place for the spool"), &[], Logs::Arrive),
    row(
        Cause::ReadOnlySpool,
        "a read-only spool directory",
        Some("There is no place for the spool"),
        &[],
        Logs::Arrive,
    ),
    row(Cause::FullDisk, "a full disk", Some("There is no place for the spool"), &[], Logs::Arrive),
    row(Cause::NoRoom, "a disk without room for a spool", Some("Logs cannot be stored"), NO_END, Logs::AreCounted),
    row(Cause::NetworkFileSystem, "a network file system", None, &[], Logs::Arrive),
    row(Cause::DamagedSpool, "a damaged old spool", Some("of an earlier life"), &[], Logs::AreCounted),
    row(Cause::SmallMemory, "64 MiB of memory", None, &[], Logs::Arrive),
    row(Cause::Descriptors32, "32 descriptors", None, &[], Logs::Arrive),
    row(Cause::Descriptors16, "16 descriptors", None, SHORT, Logs::Arrive),
    row(Cause::PortTaken, "a port in use", Some("The telemetry port is not to be had"), &[], Logs::Arrive),
    row(Cause::Panics, "a panic", None, &[], Logs::Arrive),
    row(Cause::RegisterRefused, "a registration that is refused", None, &[], Logs::AreNotCollected),
    row(Cause::RegisterFails, "a registration that fails 3 times", None, &[], Logs::Arrive),
    row(
        Cause::SubscribeBadRequest,
        "a subscription answered 400",
        Some("refused the subscription"),
        &[],
        Logs::AreNotCollected,
    ),
    row(
        Cause::SubscribeRefused,
        "a subscription answered 403",
        Some("refused the subscription"),
        &[],
        Logs::AreNotCollected,
    ),
    row(
        Cause::SubscribeFails,
        "a subscription answered 500",
        Some("refused the subscription"),
        &[],
        Logs::AreNotCollected,
    ),
    row(Cause::NextFails, "a `next` that fails 6 times", Some("does not hand out events"), &[], Logs::Arrive),
];

const fn row(
    cause: Cause,
    name: &'static str,
    said: Option<&'static str>,
    also: &'static [&'static str],
    logs: Logs,
) -> Row {
    Row { cause, name, said, also, logs }
}

/// A world in which something is wrong.
pub struct Stage {
    pub world: World,
    /// What keeps it wrong.
    pub held: Vec<Box<dyn Any>>,
    /// What earlier lives said.
    pub earlier: Vec<Ledger>,
}

impl Cause {
    /// Why the cell would say nothing, or cannot be had here.
    pub fn pointless(self, mode: Mode, unshare: &Result<Vec<String>, String>) -> Option<String> {
        let why = match self {
            Self::Panics => "nothing makes the process panic from outside; tests/supervision.rs makes its parts panic",
            Self::NetworkFileSystem => {
                "none can be mounted without a server; the spool's tests refuse them by their number"
            }
            Self::RegisterRefused => {
                "the platform waits for a registration that it refuses; tests/refused.rs shows the line, and that the process stays"
            }
            _ if self.needs_mounts() && unshare.is_err() => return unshare.clone().err(),
            _ if mode == Mode::Emulator && self.is_about_logs() => {
                "without telemetry there is nothing to store or to upload"
            }
            _ => return None,
        };
        Some(why.to_owned())
    }

    fn needs_mounts(self) -> bool {
        matches!(self, Self::ReadOnlySpool | Self::FullDisk)
    }

    fn is_about_logs(self) -> bool {
        matches!(
            self,
            Self::NoBucket
                | Self::WrongSecret
                | Self::NoCredentials
                | Self::ClockOff
                | Self::NoRights
                | Self::StoreGone
                | Self::StoreHangs
                | Self::NoRoom
        )
    }

    /// Whether the mode's own word comes before this one is noticed.
    pub fn gets_an_answer_to_its_subscription(self) -> bool {
        use Cause::{BadDestination, NoDestination, SubscribeBadRequest, SubscribeFails, SubscribeRefused};
        !matches!(self, NoDestination | BadDestination | SubscribeBadRequest | SubscribeRefused | SubscribeFails)
    }

    /// Makes it wrong.
    pub async fn arrange(self, stage: &mut Stage, sandbox: SandboxBuilder) -> SandboxBuilder {
        let world = &stage.world;
        match self {
            Self::Nothing | Self::Panics | Self::NetworkFileSystem | Self::RegisterRefused => sandbox,
            Self::BadSetting => sandbox.extension_env("LOGSPOOL_SEAL_AGE", "soon"),
            Self::UnreadableFile => sandbox.extension_env("LOGSPOOL_CONFIG", "/no/such/file.toml"),
            Self::NoDestination => sandbox.extension_env("LOGSPOOL_DESTINATION", ""),
            Self::BadDestination => sandbox.extension_env("LOGSPOOL_DESTINATION", "ftp://x"),
            Self::NoBucket => sandbox.extension_env("LOGSPOOL_DESTINATION", "s3://no-such-bucket/x"),
            Self::WrongSecret => sandbox.extension_env("AWS_SECRET_ACCESS_KEY", "wrong"),
            Self::NoCredentials => {
                sandbox.extension_env("AWS_ACCESS_KEY_ID", "").extension_env("AWS_SECRET_ACCESS_KEY", "")
            }
            Self::ClockOff => with_fault(world, Fault::RequestTimeTooSkewed, sandbox),
            Self::NoRights => with_fault(world, Fault::AccessDenied, sandbox),
            Self::StoreGone => with_fault(world, Fault::RefuseConnections, sandbox),
            Self::StoreHangs => with_fault(world, Fault::Hang, sandbox).extension_env("LOGSPOOL_DRAIN_BUDGET", "200ms"),
            Self::NoSpoolDirectory => {
                fs::write(world.spool_root(), b"a file in its place").unwrap();
                sandbox
            }
            Self::ReadOnlySpool => {
                mounted(world, "mount --bind \"$D\" \"$D\" && mount -o remount,bind,ro \"$D\"", sandbox)
            }
            Self::FullDisk => mounted(
                world,
                "mount -t tmpfs -o size=1m none \"$D\" && cat /dev/zero > \"$D/full\" 2>/dev/null",
                sandbox,
            ),
            Self::NoRoom => sandbox.extension_env("LOGSPOOL_KEEP_FREE", "1000000GiB"),
            Self::DamagedSpool => {
                stage.earlier.push(leave_a_spool(world).await);
                damage(&world.spool_root());
                sandbox
            }
            // Half of what the smallest function has. Lambda limits memory, not addresses: this counts what is the process's
            // own and can be written, stacks among it, and not what an allocator reserves.
            Self::SmallMemory => sandbox.extension(world.wrapper("ulimit -d 65536")),
            Self::Descriptors32 => sandbox.extension(world.wrapper("ulimit -n 32")),
            Self::Descriptors16 => sandbox.extension(world.wrapper("ulimit -n 16")),
            Self::PortTaken => {
                let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                let port = taken.local_addr().unwrap().port();
                stage.held.push(Box::new(taken));
                sandbox.extension_env("LOGSPOOL_PORT", port.to_string())
            }
            Self::RegisterFails => failing(stage, REGISTER, 3, 500, sandbox).await,
            Self::SubscribeBadRequest => failing(stage, SUBSCRIBE, usize::MAX, 400, sandbox).await,
            Self::SubscribeRefused => failing(stage, SUBSCRIBE, usize::MAX, 403, sandbox).await,
            Self::SubscribeFails => failing(stage, SUBSCRIBE, usize::MAX, 500, sandbox).await,
            Self::NextFails => failing(stage, NEXT, 6, 500, sandbox).await,
        }
    }

    /// Mends what can be mended.
    pub fn mend(self, stage: &mut Stage) {
        stage.held.clear();
        stage.world.s3.faults().clear();
        if self == Self::NoSpoolDirectory {
            fs::remove_file(stage.world.spool_root()).unwrap();
        }
    }
}

fn with_fault(world: &World, fault: Fault, sandbox: SandboxBuilder) -> SandboxBuilder {
    world.s3.faults().set(fault);
    sandbox
}

async fn failing(
    stage: &mut Stage,
    path: &'static str,
    calls: usize,
    status: u16,
    sandbox: SandboxBuilder,
) -> SandboxBuilder {
    let between = Between::start(&stage.world).await;
    between.fail(path, calls, status);
    let sandbox = sandbox.extension(between.extension(&stage.world));
    stage.held.push(Box::new(between));
    sandbox
}

/// The extension in a mount table of its own, in which its spool directory is another one.
fn mounted(world: &World, mount: &str, sandbox: SandboxBuilder) -> SandboxBuilder {
    fs::create_dir_all(world.spool_root()).unwrap();
    let unshare = own_namespace::unshare().unwrap().join(" ");
    let lines = format!(
        "[ -n \"$MOUNTS\" ] || MOUNTS=own exec {unshare} \"$0\"\nD='{}'\n{mount}\nunset MOUNTS D",
        world.spool_root().display()
    );
    sandbox.extension(world.wrapper(&lines))
}

/// A life that could deliver nothing.
async fn leave_a_spool(world: &World) -> Ledger {
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = world.sandbox().start().await.unwrap();
    sandbox.invoke(Work { lines: 50, ..Work::default() }).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.s3.faults().clear();
    assert!(!world.spools().is_empty(), "it is left behind");
    sandbox.ledger()
}

/// Zeroes in the middle of the largest segment.
fn damage(root: &Path) {
    let spools = fs::read_dir(root).unwrap().map(|spool| spool.unwrap().path());
    let files = spools.flat_map(|spool| fs::read_dir(spool).unwrap()).map(|file| file.unwrap().path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let path = segments.max_by_key(|path| fs::metadata(path).unwrap().len()).expect("logs wait in it");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    let end = bytes.len().min(middle + 200);
    bytes[middle..end].fill(0);
    fs::write(&path, bytes).unwrap();
}
