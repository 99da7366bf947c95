//! Actions on hosts, on alerts and towards people, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::library::field::Field;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::SpanText;
use crate::library::raw::TemplateText;

/// A setting of a Redis server, as `CONFIG SET` takes it. None that holds a credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`redis.config_set`")]
pub(crate) struct RawRedisConfigSet {
    /// Name of a server under `targets.redis` in quell.yml.
    #[schemars(extend("examples" = ["cache"]))]
    pub(crate) server: Field<TemplateText>,
    /// Name of the setting.
    #[schemars(extend("examples" = ["maxmemory"]))]
    pub(crate) setting: Field<TemplateText>,
    /// Its value.
    #[schemars(extend("examples" = ["2gb"]))]
    pub(crate) value: Field<TemplateText>,
}

/// A unit of systemd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a unit")]
pub(crate) struct RawUnit {
    /// Name of a service manager under `targets.systemd` in quell.yml. `local`, that of the system, when silent.
    #[schemars(extend("examples" = ["local"]))]
    pub(crate) server: Opt<TemplateText>,
    /// The unit.
    #[schemars(extend("examples" = ["nginx.service"]))]
    pub(crate) unit: Field<TemplateText>,
}

/// Restarts a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`docker.restart`")]
pub(crate) struct RawDockerRestart {
    /// Name of an entry under `targets.docker` in quell.yml. `local` when silent.
    #[schemars(extend("examples" = ["local"]))]
    pub(crate) server: Opt<TemplateText>,
    /// Name or identifier of the container.
    #[schemars(extend("examples" = ["{{ labels.container }}"]))]
    pub(crate) container: Field<TemplateText>,
    /// Time to end before it is killed. What the container says itself when silent.
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) grace: Opt<SpanText>,
}

/// Runs a process on another host, by OpenSSH.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`ssh`")]
pub(crate) struct RawSsh {
    /// Name of a host under `targets.ssh` in quell.yml.
    #[schemars(extend("examples" = ["web-1"]))]
    pub(crate) server: Field<TemplateText>,
    /// Program and arguments. Each is quoted for the shell at the other end, so that it stays one argument.
    #[schemars(length(min = 1), extend("examples" = [["systemctl", "restart", "{{ unit }}"]]))]
    pub(crate) argv: Field<List<TemplateText>>,
    /// Working directory at the other end.
    pub(crate) directory: Opt<TemplateText>,
}

/// Silences alerts for a while.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`alertmanager.silence`")]
pub(crate) struct RawSilence {
    /// Which alerts: all must hold.
    #[serde(rename = "match")]
    #[schemars(length(min = 1), extend("examples" = [["service=\"{{ service }}\""]]))]
    pub(crate) matchers: Field<List<TemplateText>>,
    /// How long it lasts, 24h at most.
    #[serde(rename = "for")]
    #[schemars(extend("examples" = ["30m"]))]
    pub(crate) lasts: Field<SpanText>,
    /// Why, for people.
    #[schemars(extend("examples" = ["quell restarts {{ service }}"]))]
    pub(crate) comment: Field<TemplateText>,
}

/// Ends a silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`alertmanager.unsilence`")]
pub(crate) struct RawUnsilence {
    /// What Alertmanager calls it.
    #[schemars(extend("examples" = ["{{ steps.silence.output.id }}"]))]
    pub(crate) id: Field<TemplateText>,
}

/// Tells people.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`notify`")]
pub(crate) struct RawNotify {
    /// Names of channels in quell.yml.
    #[schemars(length(min = 1), extend("examples" = [["chat"]]))]
    pub(crate) channels: Field<List<TemplateText>>,
    /// One line.
    #[schemars(extend("examples" = ["{{ service }} is restarted"]))]
    pub(crate) summary: Field<TemplateText>,
    /// The rest.
    pub(crate) text: Opt<TemplateText>,
}
