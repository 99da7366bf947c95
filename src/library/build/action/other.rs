//! Actions on hosts, on alerts and towards people.

use std::time::Duration;

use super::kubernetes::Here;
use super::required;
use super::server;
use crate::decide::parameters::is_template;
use crate::library::build::text;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Used;
use crate::library::field::Field;
use crate::library::raw::Opt;
use crate::library::raw::TemplateText;
use crate::library::raw::action::other::RawDockerRestart;
use crate::library::raw::action::other::RawNotify;
use crate::library::raw::action::other::RawRedisConfigSet;
use crate::library::raw::action::other::RawSilence;
use crate::library::raw::action::other::RawSsh;
use crate::library::raw::action::other::RawUnit;
use crate::library::raw::action::other::RawUnsilence;
use crate::model::action::DockerRestart;
use crate::model::action::Notify;
use crate::model::action::RedisConfigSet;
use crate::model::action::Silence;
use crate::model::action::Span;
use crate::model::action::Ssh;
use crate::model::action::TargetKind;
use crate::model::action::Unsilence;
use crate::model::action::host::Unit;
use crate::model::matcher;
use crate::model::time::parse_duration;

/// What is silenced for longer is forgotten.
const LONGEST_SILENCE: Duration = Duration::from_hours(24);
/// Settings of Redis that hold a credential, or hand out who may connect.
const SECRET_SETTINGS: [&str; 7] = [
    "requirepass",
    "masterauth",
    "masteruser",
    "user",
    "aclfile",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
];

fn here_server(here: Here<'_>, field: Field<TemplateText>, kind: TargetKind) -> String {
    let found = field.need(here.at, here.span, here.whose, "server");
    found.map(|it| server(here.at, it, kind, here.names)).unwrap_or_default()
}

/// A server that is `local` when silent.
fn local_server(here: Here<'_>, field: Opt<TemplateText>, kind: TargetKind) -> String {
    match field.and_then(Field::found) {
        Some(it) => server(here.at, it, kind, here.names),
        None => kind.local().unwrap_or_default().to_owned(),
    }
}

/// `redis.config_set`
pub(crate) fn redis_config_set(here: Here<'_>, raw: RawRedisConfigSet) -> RedisConfigSet {
    let span = raw.setting.span();
    let setting = required(here, "setting", raw.setting);
    if SECRET_SETTINGS.contains(&setting.trim().to_ascii_lowercase().as_str()) {
        let message = format!("`{setting}` holds a credential, or says who may connect");
        let found = Diagnostic::error(codes::VALUE, message);
        here.at.report(span, found.label("its value would be in the journal; change it by hand"));
    }
    RedisConfigSet {
        server: here_server(here, raw.server, TargetKind::Redis),
        setting,
        value: required(here, "value", raw.value),
        before: None,
    }
}

/// A unit of systemd
pub(crate) fn unit(here: Here<'_>, raw: RawUnit) -> Unit {
    Unit {
        server: local_server(here, raw.server, TargetKind::Systemd),
        unit: required(here, "unit", raw.unit),
    }
}

/// `docker.restart`
pub(crate) fn docker_restart(here: Here<'_>, raw: RawDockerRestart) -> DockerRestart {
    DockerRestart {
        server: local_server(here, raw.server, TargetKind::Docker),
        container: required(here, "container", raw.container),
        grace: text::span(here.at, raw.grace, here.names),
    }
}

/// `ssh`, an action or a probe
pub(crate) fn ssh(here: Here<'_>, raw: RawSsh) -> Ssh {
    let argv = raw.argv.need(here.at, here.span, here.whose, "argv");
    if let Some(empty) = argv.as_ref().filter(|argv| argv.value.is_empty()) {
        let message = "expected a program, got an empty list";
        here.at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let argv = argv.map(|it| it.value).unwrap_or_default();
    let directory = raw.directory.and_then(Field::found);
    Ssh {
        server: here_server(here, raw.server, TargetKind::Ssh),
        argv: text::templates(here.at, argv, here.names),
        directory: directory.map(|it| text::template(here.at, it, here.names)),
    }
}

/// `alertmanager.silence`
pub(crate) fn silence(here: Here<'_>, raw: RawSilence) -> Silence {
    let at = here.at;
    let written = raw.matchers.need(at, here.span, here.whose, "match");
    if let Some(empty) = written.as_ref().filter(|it| it.value.is_empty()) {
        let message = "expected matchers, got an empty list: it would silence everything";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let mut matchers = Vec::new();
    let written = written.map(|it| it.value).unwrap_or_default();
    for item in written.into_iter().filter_map(Field::found) {
        if !is_template(&item.value.0)
            && let Err(error) = matcher::parse_many(&item.value.0, matcher::Grammar::Fallback)
        {
            let found = Diagnostic::error(codes::MATCHER, error.message);
            at.report(at.inside(item.span, &item.written, Some(error.at)), found);
        }
        matchers.push(text::template(at, item, here.names));
    }
    let place = raw.lasts.span();
    let lasts = raw.lasts.need(at, here.span, here.whose, "for");
    let lasts = text::span(at, lasts.map(Field::of), here.names);
    let lasts = lasts.unwrap_or_else(|| Span(String::new()));
    if parse_duration(&lasts.0).is_ok_and(|it| it.is_zero() || it > LONGEST_SILENCE) {
        let message = "a silence lasts between 1s and 24h";
        let label = "what is silenced for longer is forgotten";
        at.report(place, Diagnostic::error(codes::VALUE, message).label(label));
    }
    Silence { matchers, lasts, comment: required(here, "comment", raw.comment), ends_at: None }
}

/// `alertmanager.unsilence`
pub(crate) fn unsilence(here: Here<'_>, raw: RawUnsilence) -> Unsilence {
    Unsilence { id: required(here, "id", raw.id), made_by: None }
}

/// `notify`
pub(crate) fn notify(here: Here<'_>, raw: RawNotify) -> Notify {
    let at = here.at;
    let written = raw.channels.need(at, here.span, here.whose, "channels");
    if let Some(empty) = written.as_ref().filter(|it| it.value.is_empty()) {
        let message = "expected names of channels, got an empty list";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let mut channels = Vec::new();
    let written = written.map(|it| it.value).unwrap_or_default();
    for item in written.into_iter().filter_map(Field::found) {
        if !is_template(&item.value.0) {
            at.uses(item.span, Used::Channel(item.value.0.clone()));
        }
        channels.push(text::template(at, item, here.names));
    }
    let text = raw.text.and_then(Field::found);
    Notify {
        channels,
        summary: required(here, "summary", raw.summary),
        text: text.map(|it| text::template(at, it, here.names)),
    }
}
