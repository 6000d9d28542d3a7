//! Init: first the extension up to its registration, then the runtime up to its first `next`, then the extension up to
//! its own (Lambda guide, "Lambda runtime environment lifecycle").

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::extension::{Extension, Lifecycle};
use super::fault::Fault;
use super::tear_down::ShutdownReason;
use super::{Environment, State};
use crate::capture::Sink;
use crate::course::Happening;
use crate::image;
use crate::ledger::Category;
use crate::process::{Process, Program};
use crate::telemetry::Status;
use crate::telemetry::event::{
    DurationMetrics, ExtensionInit, InitPhase, InitReport, InitRuntimeDone, InitStart, milliseconds,
};
use crate::variables;

impl Environment {
    pub(super) async fn first_init(&mut self) -> Result<(), Fault> {
        let result = self.init(InitPhase::Init, Instant::now() + self.settings.init_timeout).await;
        if result.is_err() {
            self.tear_down(ShutdownReason::Failure, |_| ()).await;
            self.telemetry.close();
        }
        result
    }

    /// Brings extension and runtime to where they wait for an invocation. After an error a tear-down is due.
    pub(super) async fn init(&mut self, phase: InitPhase, deadline: Instant) -> Result<(), Fault> {
        let begun = Instant::now();
        self.telemetry.begin_init();
        self.report_init_start(phase);
        let result = match timeout_at(deadline, self.start_processes()).await {
            Ok(result) => result,
            Err(_) => Err(Fault::InitTimeout(self.board.read(what_is_missing).to_owned())),
        };
        if let Some(runtime) = &self.runtime {
            runtime.drain_output().await;
        }
        self.report_init_end(phase, begun, result.as_ref().err());
        self.telemetry.end_init();
        if result.is_ok() {
            self.initialized = true;
            self.init_to_report = Some(begun.elapsed());
            self.vitals.initialized(begun.elapsed(), self.extension_init_duration());
        }
        result
    }

    async fn start_processes(&mut self) -> Result<(), Fault> {
        if let Some(path) = self.settings.extension.clone() {
            self.start_extension(&path)?;
            self.board.reached(State::extension_has_registered).await?;
        }
        self.start_runtime()?;
        self.board.reached(|state| state.has_idle_runtime() || state.waits_for_restore()).await?;
        self.board.change(|state| state.registration_open = false);
        self.board.reached(State::extension_is_done).await?;
        self.board.change(|state| state.subscription_open = false);
        Ok(())
    }

    fn start_extension(&mut self, path: &Path) -> Result<(), Fault> {
        let process = self.execute_extension(path).map_err(|error| {
            self.board.change(|state| state.extension.as_mut().map(Extension::launch_failed));
            Fault::ExtensionLaunch(format!("{}: {error}", path.display()))
        })?;
        let process = Arc::new(process);
        self.vitals.extension_started(Arc::clone(&process));
        self.extension = Some(process);
        Ok(())
    }

    fn execute_extension(&self, path: &Path) -> io::Result<Process> {
        let user = self.settings.extension_user;
        let variables = variables::of_extension(&self.settings, self.api, &self.tmp);
        let program = match &self.settings.image {
            Some(image) => image::enter(image, &self.tmp, path, variables)?,
            None => Program {
                path: std::path::absolute(path)?,
                arguments: Vec::new(),
                variables,
                current_dir: Some(self.tmp.clone()),
                user,
            },
        };
        let (on_death, on_exit) = self.end_of_extension();
        Process::start(&program, &self.groups, [self.extension_sink(), self.extension_sink()], on_death, on_exit)
    }

    /// Takes what the extension says.
    pub(super) fn extension_sink(&self) -> Sink {
        let (telemetry, vitals) = (self.telemetry.clone(), self.vitals.clone());
        Box::new(move |line| {
            vitals.course().note(Happening::ExtensionSaid(line.clone()));
            telemetry.line(Category::Extension, line);
        })
    }

    /// What is done when the extension's process ends.
    pub(super) fn end_of_extension(
        &self,
    ) -> (impl Future<Output = ()> + Send + use<>, impl FnOnce(ExitStatus) + Send + use<>) {
        let (telemetry, board) = (self.telemetry.clone(), self.board.clone());
        let course = self.vitals.course().clone();
        let on_death = async move { telemetry.subscriber_gone().await };
        (on_death, move |status: ExitStatus| {
            course.note(Happening::ExtensionEnded(status.to_string()));
            board.change(|state| state.extension_ended(status));
        })
    }

    pub(super) fn start_runtime(&mut self) -> Result<(), Fault> {
        let program = self.settings.function.program(variables::of_function(&self.settings, self.api, &self.tmp));
        let sink = || -> Sink {
            let telemetry = self.telemetry.clone();
            Box::new(move |line| telemetry.line(Category::Function, line))
        };
        let board = self.board.clone();
        let on_exit = move |status| board.change(|state| state.runtime_ended(status));
        let process = Process::start(&program, &self.groups, [sink(), sink()], async {}, on_exit)
            .map_err(|error| Fault::RuntimeLaunch(format!("{}: {error}", program.path.display())))?;
        let process = Arc::new(process);
        self.vitals.function_started(Arc::clone(&process));
        self.runtime = Some(process);
        Ok(())
    }

    /// From the start of its process to its first `next`.
    fn extension_init_duration(&self) -> std::time::Duration {
        let next_at = self.board.read(|state| state.extension.as_ref().and_then(Extension::next_at));
        match (&self.extension, next_at) {
            (Some(process), Some(next_at)) => next_at.into_std().saturating_duration_since(process.started()),
            _ => std::time::Duration::ZERO,
        }
    }

    fn report_init_start(&self, phase: InitPhase) {
        let record = InitStart {
            initialization_type: &self.settings.initialization_type,
            phase,
            runtime_version: "sandbox:1.v1",
            runtime_version_arn: "arn:aws:lambda:us-east-1::runtime:sandbox",
            function_name: &self.settings.function_name,
            function_version: &self.settings.function_version,
            instance_id: "82561ce0-53dd-47d1-90e0-c8f5e063e62e",
            instance_max_memory: self.settings.memory_mb,
        };
        self.telemetry.platform("platform.initStart", &record);
    }

    fn report_init_end(&self, phase: InitPhase, begun: Instant, fault: Option<&Fault>) {
        let initialization_type = self.settings.initialization_type.as_str();
        let status = fault.map_or(Status::Success, Fault::status);
        let error_type = fault.and_then(Fault::reported_type);
        let record = InitRuntimeDone { initialization_type, phase, status, error_type };
        self.telemetry.platform("platform.initRuntimeDone", &record);
        self.report_extension();
        let metrics = DurationMetrics { duration_ms: milliseconds(begun.elapsed()) };
        let record = InitReport { initialization_type, status, phase, error_type, metrics };
        self.telemetry.platform("platform.initReport", &record);
    }

    fn report_extension(&self) {
        let (Some(name), Some(extension)) =
            (self.settings.extension_name(), self.board.read(|state| state.extension.clone()))
        else {
            return;
        };
        let record = ExtensionInit {
            name,
            state: extension.state().name(),
            events: extension.events().iter().copied().map(Lifecycle::name).collect(),
            error_type: extension.error_type(),
        };
        self.telemetry.platform("platform.extension", &record);
    }
}

fn what_is_missing(state: &State) -> &'static str {
    if state.extension.is_some() && !state.extension_has_registered() {
        "the extension did not register"
    } else if !state.has_idle_runtime() {
        "the runtime did not call next"
    } else {
        "the extension did not call next"
    }
}
