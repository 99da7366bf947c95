//! What is done on a host: `systemd.*`, `docker.restart`, `ssh`.

use serde::Deserialize;
use serde::Serialize;

use super::text::Span;
use super::text::Template;

/// An action against a service manager of `targets.systemd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Systemd {
    /// Stops and starts a unit.
    #[serde(rename = "systemd.restart")]
    Restart(Unit),
    /// Starts a unit.
    #[serde(rename = "systemd.start")]
    Start(Unit),
    /// Stops a unit.
    #[serde(rename = "systemd.stop")]
    Stop(Unit),
}

/// A unit of a service manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Name of an entry of `targets.systemd`.
    pub server: Template,
    /// The unit, with its suffix: `nginx.service`.
    pub unit: Template,
}

/// `docker.restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerRestart {
    /// Name of an entry of `targets.docker`.
    pub server: Template,
    /// Name or identifier of the container.
    pub container: Template,
    /// Time to end before it is killed; `None` is what the container says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Span>,
}

/// `ssh`, as an action and as a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    /// Name of an entry of `targets.ssh`.
    pub server: Template,
    /// Program and arguments; each is quoted for the shell at the other end.
    pub argv: Vec<Template>,
    /// Working directory at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Template>,
}

impl Systemd {
    /// The word people write.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Restart(_) => "systemd.restart",
            Self::Start(_) => "systemd.start",
            Self::Stop(_) => "systemd.stop",
        }
    }

    /// What it is done to.
    pub fn unit(&self) -> &Unit {
        match self {
            Self::Restart(unit) | Self::Start(unit) | Self::Stop(unit) => unit,
        }
    }

    /// The same, to render it.
    pub fn unit_mut(&mut self) -> &mut Unit {
        match self {
            Self::Restart(unit) | Self::Start(unit) | Self::Stop(unit) => unit,
        }
    }
}
