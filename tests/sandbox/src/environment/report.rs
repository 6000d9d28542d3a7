//! What the platform says about an invocation.

use std::time::Duration;

use super::Environment;
use super::fault::Fault;
use super::invoke::Running;
use crate::telemetry::Status;
use crate::telemetry::event::{
    DurationMetrics, ManagedReport, Report, ReportMetrics, RuntimeDone, RuntimeDoneMetrics, Span, Start, milliseconds,
};

const RUNTIME_OVERHEAD: &str = "runtimeOverhead";

impl Environment {
    pub(super) fn report_start(&self, running: &Running) {
        let record = Start {
            request_id: &running.request_id,
            version: &self.settings.function_version,
            tracing: &running.tracing,
            function_arn: self.settings.managed.is_some().then(|| self.settings.function_arn()),
        };
        self.telemetry.platform("platform.start", &record);
    }

    /// Said when the runtime has called `next`, or cannot any more.
    pub(super) fn report_runtime_done(&self, running: &Running, fault: Option<&Fault>) {
        let record = RuntimeDone {
            request_id: &running.request_id,
            status: fault.map_or(Status::Success, Fault::status),
            error_type: fault.and_then(Fault::reported_type),
            tracing: &running.tracing,
            spans: runtime_spans(running),
            metrics: RuntimeDoneMetrics {
                duration_ms: milliseconds(runtime_duration(running)),
                produced_bytes: match &running.result {
                    Some(Ok(response)) => response.body.len(),
                    _ => 0,
                },
            },
        };
        self.telemetry.platform("platform.runtimeDone", &record);
    }

    /// Said when the extension has called `next`, too, or the environment is reset.
    pub(super) fn report(&self, running: &Running, fault: Option<&Fault>, init: Option<Duration>) {
        let duration = runtime_duration(running) + running.extension_held;
        let record = Report {
            request_id: &running.request_id,
            status: fault.map_or(Status::Success, Fault::status),
            error_type: fault.and_then(Fault::reported_type),
            metrics: ReportMetrics {
                duration_ms: milliseconds(duration),
                billed_duration_ms: duration.as_micros().div_ceil(1_000),
                memory_size_mb: self.settings.memory_mb,
                max_memory_used_mb: self.max_memory_used_mb(),
                init_duration_ms: init.map(milliseconds),
            },
            spans: extension_spans(running),
            tracing: &running.tracing,
        };
        self.telemetry.platform("platform.report", &record);
    }

    /// The same where invocations run beside each other: nothing else tells that one is over.
    pub(super) fn report_managed(&self, running: &Running, fault: Option<&Fault>) {
        let mut spans = runtime_spans(running);
        spans.retain(|span| span.name != RUNTIME_OVERHEAD);
        let record = ManagedReport {
            request_id: &running.request_id,
            status: fault.map_or(Status::Success, Fault::status),
            error_type: fault.and_then(Fault::reported_type),
            metrics: DurationMetrics { duration_ms: milliseconds(runtime_duration(running)) },
            spans,
            tracing: &running.tracing,
        };
        self.telemetry.platform("platform.report", &record);
    }

    /// Sum of the peaks: an upper bound of what both used at once.
    fn max_memory_used_mb(&self) -> u64 {
        let processes = self.extension.iter().chain(&self.runtime);
        processes.map(|process| process.peak_rss_kib()).sum::<u64>().div_ceil(1024)
    }
}

fn runtime_duration(running: &Running) -> Duration {
    running.runtime_done.map_or(Duration::ZERO, |done| done.saturating_duration_since(running.begun))
}

fn runtime_spans(running: &Running) -> Vec<Span> {
    let (Some(responded), Some(done)) = (running.responded, running.runtime_done) else {
        return Vec::new();
    };
    let at = running.wall(responded);
    vec![
        Span::new("responseLatency", running.wall(running.begun), responded.saturating_duration_since(running.begun)),
        // Responses are read whole.
        Span::new("responseDuration", at, Duration::ZERO),
        Span::new(RUNTIME_OVERHEAD, at, done.saturating_duration_since(responded)),
    ]
}

fn extension_spans(running: &Running) -> Vec<Span> {
    match running.runtime_done {
        Some(done) if !running.extension_held.is_zero() => {
            vec![Span::new("extensionOverhead", running.wall(done), running.extension_held)]
        }
        _ => Vec::new(),
    }
}
