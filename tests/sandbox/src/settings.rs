//! Settings of a sandbox: what the builder collects.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reference_extension::ReferenceExtension;

use crate::error::StartError;
use crate::function::Function;
use crate::roles;
use crate::sandbox::Sandbox;
use crate::telemetry::{LogFormat, Rules, SchemaVersion};
use crate::variables;

/// Longest Init, as on Lambda for on-demand functions.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Budget of SHUTDOWN with an external extension, as on Lambda.
pub(crate) const SHUTDOWN_BUDGET: Duration = Duration::from_millis(2_000);

/// The runtime's part of the shutdown budget: 30 %, as AWS's emulator has it.
pub(crate) const RUNTIME_SHUTDOWN_BUDGET: Duration = Duration::from_millis(600);

/// What a managed environment runs at the same time, as on Lambda for a function in Python with one vCPU.
const MANAGED_CONCURRENCY: u32 = 16;

/// What an environment is made of.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) extension: Option<PathBuf>,
    /// The root file system of the extension.
    pub(crate) image: Option<PathBuf>,
    /// The extension is the running executable in this role.
    pub(crate) reference_extension: Option<ReferenceExtension>,
    pub(crate) extension_variables: BTreeMap<String, String>,
    pub(crate) function: Function,
    pub(crate) function_name: String,
    pub(crate) function_version: String,
    pub(crate) handler: String,
    pub(crate) account_id: String,
    pub(crate) region: String,
    pub(crate) memory_mb: u32,
    pub(crate) function_timeout: Duration,
    pub(crate) init_timeout: Duration,
    pub(crate) initialization_type: String,
    pub(crate) tmp: Option<PathBuf>,
    pub(crate) freeze: bool,
    pub(crate) delivery: Rules,
    /// Variables that the extension does not get.
    pub(crate) withheld_variables: BTreeSet<String>,
    /// What subscriptions are answered where there is no telemetry.
    pub(crate) without_telemetry: Option<WithoutTelemetry>,
    pub(crate) known_schemas: Vec<SchemaVersion>,
    /// The address as the extension is told it, and the path in it.
    pub(crate) address: Address,
    pub(crate) empty_registration: bool,
    pub(crate) holds_responses: bool,
    pub(crate) refuse_invoke: bool,
    /// Credentials come from an endpoint, and the environment may be copied.
    pub(crate) snap_start: bool,
    /// Invocations run beside each other; so many at a time.
    pub(crate) managed: Option<u32>,
    pub(crate) extension_user: Option<u32>,
}

impl Settings {
    /// The name that the extension has to register with.
    pub(crate) fn extension_name(&self) -> Option<&str> {
        if self.reference_extension.is_some() {
            return Some(reference_extension::NAME);
        }
        self.extension.as_deref().and_then(Path::file_name).and_then(OsStr::to_str)
    }

    pub(crate) fn function_arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account_id, self.function_name)
    }
}

/// How a platform answers subscriptions that has no telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutTelemetry {
    /// 202, a success that is none: AWS's emulator.
    Accepted,
    /// 404: an emulator that never heard of the API.
    NotFound,
}

/// What stands around `host:port` in `AWS_LAMBDA_RUNTIME_API`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address {
    before: String,
    path: String,
}

impl Address {
    /// The address as the extension is told it.
    pub(crate) fn of(&self, api: SocketAddr) -> String {
        format!("{}{api}{}", self.before, self.path)
    }

    /// The path of a call of the extension without what stands before it; `None` if that is missing.
    pub(crate) fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.path.trim_end_matches('/'))
    }
}

/// Describes an environment; [`SandboxBuilder::start`] brings it to life.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct SandboxBuilder {
    settings: Settings,
}

impl Default for SandboxBuilder {
    fn default() -> Self {
        Self {
            settings: Settings {
                extension: None,
                image: None,
                reference_extension: None,
                extension_variables: BTreeMap::new(),
                function: Function::built_in(),
                function_name: "sandbox-function".to_owned(),
                function_version: "$LATEST".to_owned(),
                handler: "app.handler".to_owned(),
                account_id: "123456789012".to_owned(),
                region: "us-east-1".to_owned(),
                memory_mb: 512,
                function_timeout: Duration::from_secs(3),
                init_timeout: INIT_TIMEOUT,
                initialization_type: "on-demand".to_owned(),
                tmp: None,
                freeze: true,
                delivery: Rules { log_format: LogFormat::Text, queue_rule: true, redeliver: false },
                withheld_variables: BTreeSet::new(),
                without_telemetry: None,
                known_schemas: vec![SchemaVersion::V2022_07_01, SchemaVersion::V2022_12_13, SchemaVersion::V2025_01_29],
                address: Address::default(),
                empty_registration: false,
                holds_responses: false,
                refuse_invoke: false,
                snap_start: false,
                managed: None,
                extension_user: None,
            },
        }
    }
}

impl SandboxBuilder {
    /// The extension's program. Its file name is the name that it has to register with.
    pub fn extension(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.extension = Some(path.into());
        self.settings.reference_extension = None;
        self
    }

    /// A directory that is the root file system of the extension, whose path is one in there; that of the machine by default. It
    /// is read-only, but for `/tmp`, which must be there. Where [`images_can_be_entered`](crate::images_can_be_entered) says
    /// that there are none, Init fails.
    pub fn image(mut self, root: impl Into<PathBuf>) -> Self {
        self.settings.image = Some(root.into());
        self
    }

    /// The extension that comes with the sandbox, to measure another one beside it. As [`Function::built_in`] it is the
    /// running executable once more.
    pub fn reference_extension(mut self, kind: ReferenceExtension) -> Self {
        self.settings.extension = Some(PathBuf::from(roles::PROGRAM));
        self.settings.reference_extension = Some(kind);
        self
    }

    /// A variable of the extension. It gets these, Lambda's own, `PATH` and `TMPDIR`, and inherits nothing else.
    pub fn extension_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.extension_variables.insert(name.into(), value.into());
        self
    }

    /// The function; [`Function::built_in`] by default.
    pub fn function(mut self, function: Function) -> Self {
        self.settings.function = function;
        self
    }

    /// Name of the function; `sandbox-function` by default.
    pub fn function_name(mut self, name: impl Into<String>) -> Self {
        self.settings.function_name = name.into();
        self
    }

    /// Memory size of the function in MB; 512 by default. It is told, not enforced.
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.settings.memory_mb = memory_mb;
        self
    }

    /// Timeout of an invocation, the extension's part included; 3 s by default.
    pub fn function_timeout(mut self, timeout: Duration) -> Self {
        self.settings.function_timeout = timeout;
        self
    }

    /// Longest Init; 10 s by default. An Init inside an invocation has the function's timeout instead.
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.settings.init_timeout = timeout;
        self
    }

    /// Region that is told to extension and function; `us-east-1` by default.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = region.into();
        self
    }

    /// Value of `AWS_LAMBDA_INITIALIZATION_TYPE`; `on-demand` by default. It is told; the lifecycle stays the same.
    pub fn initialization_type(mut self, kind: impl Into<String>) -> Self {
        self.settings.initialization_type = kind.into();
        self
    }

    /// Log format of the function; text by default.
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.settings.delivery.log_format = format;
        self
    }

    /// The directory that plays `/tmp`: `TMPDIR` of extension and function. It survives resets, and the sandbox.
    /// By default the sandbox makes one of its own and removes it in the end.
    pub fn tmp(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.tmp = Some(directory.into());
        self
    }

    /// Whether the environment is frozen between invocations; on by default.
    pub fn freeze(mut self, freeze: bool) -> Self {
        self.settings.freeze = freeze;
        self
    }

    /// Whether a batch that becomes due while a body is in flight is dropped and declared; on by default, as in AWS's
    /// emulator. Off, it waits for the answer: for tests of anything else, on machines that may be slow, since 25 ms
    /// without an answer are enough for the rule to strike.
    pub fn queue_rule(mut self, queue_rule: bool) -> Self {
        self.settings.delivery.queue_rule = queue_rule;
        self
    }

    /// Whether telemetry that was not acknowledged is offered again, to the same extension after a refusal and to the
    /// next one after a restart; off by default, as in AWS's emulator.
    pub fn redeliver(mut self, redeliver: bool) -> Self {
        self.settings.delivery.redeliver = redeliver;
        self
    }

    /// Makes subscriptions answer 202 "not supported", as AWS's emulator does.
    pub fn telemetry_unsupported(mut self, unsupported: bool) -> Self {
        self.settings.without_telemetry = unsupported.then_some(WithoutTelemetry::Accepted);
        self
    }

    /// Schema versions of telemetry that the platform knows; a subscription to another one is answered 400. All by default.
    pub fn known_schemas(mut self, known: &[SchemaVersion]) -> Self {
        self.settings.known_schemas = known.to_vec();
        self
    }

    /// A variable that the extension does not get, though Lambda sets it.
    pub fn without_extension_env(mut self, name: impl Into<String>) -> Self {
        self.settings.withheld_variables.insert(name.into());
        self
    }

    /// What stands in `AWS_LAMBDA_RUNTIME_API` of the extension around `host:port`; nothing by default. With a path behind it
    /// its calls are answered below that path only.
    pub fn runtime_api(mut self, before: impl Into<String>, path: impl Into<String>) -> Self {
        self.settings.address = Address { before: before.into(), path: path.into() };
        self
    }

    /// Plays a local emulator in place of Lambda: there is no telemetry, nothing is frozen, the caller waits for its response
    /// until the extension is done with the invocation, a registration is answered without a body, and of Lambda's variables
    /// the extension gets the address only.
    pub fn emulator(mut self, without_telemetry: WithoutTelemetry) -> Self {
        self.settings.without_telemetry = Some(without_telemetry);
        self.settings.empty_registration = true;
        self.settings.holds_responses = true;
        self.settings.withheld_variables.extend(variables::UNKNOWN_TO_EMULATORS.map(str::to_owned));
        self.freeze(false)
    }

    /// Refuses to register `INVOKE`, as Lambda Managed Instances do.
    pub fn refuse_invoke(mut self, refuse: bool) -> Self {
        self.settings.refuse_invoke = refuse;
        self
    }

    /// An environment of SnapStart, of which [`Sandbox::snapshot`] can be taken before the first invocation. The extension gets
    /// its credentials from the endpoint of such environments. It is not frozen by signals: the snapshot is what it sleeps in.
    pub fn snap_start(mut self) -> Self {
        self.settings.initialization_type = "snap-start".to_owned();
        self.settings.freeze = false;
        self.settings.snap_start = true;
        self
    }

    /// Plays Lambda Managed Instances: many invocations at the same time, no freeze, no reset, no `INVOKE`, the newest schema
    /// and the JSON log format only, whatever else is set. The initialization type says so unless it is set after this.
    pub fn managed(mut self) -> Self {
        self.settings.managed = Some(MANAGED_CONCURRENCY);
        self.settings.known_schemas = vec![SchemaVersion::V2025_01_29];
        self.settings.initialization_type = "lambda-managed-instances".to_owned();
        self
    }

    /// How many invocations a managed environment runs at the same time; 16 by default.
    pub fn max_concurrency(mut self, concurrency: u32) -> Self {
        self.settings.managed = self.settings.managed.map(|_| concurrency);
        self
    }

    /// The user that the extension runs as; the one of the caller by default. Only root may choose another one.
    pub fn extension_user(mut self, uid: u32) -> Self {
        self.settings.extension_user = Some(uid);
        self
    }

    pub(crate) fn into_settings(self) -> Settings {
        let mut settings = self.settings;
        if settings.managed.is_some() {
            settings.refuse_invoke = true;
            settings.delivery.log_format = LogFormat::Json;
        }
        settings
    }

    /// Starts the environment and runs Init.
    ///
    /// # Errors
    /// When the environment cannot be set up, or when Init fails: then nothing of it is left.
    pub async fn start(self) -> Result<Sandbox, StartError> {
        Sandbox::start(self.into_settings()).await
    }
}
