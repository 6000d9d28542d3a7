//! The ways in which a function runs.

use sandbox::{SandboxBuilder, WithoutTelemetry};

use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    OnDemand,
    Provisioned,
    SnapStart,
    Managed,
    Emulator,
}

impl Mode {
    pub const ALL: [Self; 5] = [Self::OnDemand, Self::Provisioned, Self::SnapStart, Self::Managed, Self::Emulator];

    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Provisioned => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
            Self::Managed => "lambda-managed-instances",
            Self::Emulator => "emulator",
        }
    }

    pub fn sandbox(self, world: &World) -> SandboxBuilder {
        let sandbox = world.sandbox();
        match self {
            Self::OnDemand | Self::Provisioned => sandbox.initialization_type(self.name()),
            Self::SnapStart => sandbox.snap_start(),
            Self::Managed => sandbox.managed(),
            Self::Emulator => sandbox.emulator(WithoutTelemetry::Accepted),
        }
    }

    /// What is said in this mode when nothing is wrong and a subscription is tried.
    pub fn own_line(self) -> Option<&'static str> {
        (self == Self::Emulator).then_some("There is no Telemetry API here")
    }
}
