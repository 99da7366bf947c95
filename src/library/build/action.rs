//! Actions: what changes the world, and reads.

pub(crate) mod kubernetes;
pub(crate) mod other;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::time::Duration;

use self::kubernetes::Here;
use super::probe;
use super::sealed;
use super::text;
use super::text::Names;
use crate::decide::parameters::is_template;
use crate::decide::plan;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::diagnostic::Used;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::Opt;
use crate::library::raw::TemplateText;
use crate::library::raw::playbook::RawAction;
use crate::library::raw::playbook::RawCommand;
use crate::library::raw::playbook::RawHttp;
use crate::library::raw::playbook::RawMethod;
use crate::library::raw::playbook::RawRedisDelete;
use crate::library::raw::playbook::RawRedisFlush;
use crate::library::raw::playbook::RawSlices;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::action::HttpCall;
use crate::model::action::Kubernetes;
use crate::model::action::Piece;
use crate::model::action::RedisDelete;
use crate::model::action::RedisFlush;
use crate::model::action::Sealed;
use crate::model::action::Slices;
use crate::model::action::Systemd;
use crate::model::action::TargetKind;

/// An action out of a step or an undo.
pub(crate) fn action_of(at: At<'_>, found: Found<RawAction>, names: Names<'_>) -> Action {
    let Found { value, span, written } = found;
    let whose = format!("`{}`", value.kind());
    let here = Here { at, span, whose: &whose, names };
    match value {
        RawAction::Command(value) => {
            Action::Command(command(at, Found { value: *value, span, written }, names))
        }
        RawAction::Http(value) => Action::Http(http(at, *value, span, names)),
        RawAction::RedisFlush(raw) => {
            let RawRedisFlush { server, database, slices: parts } = *raw;
            Action::RedisFlush(RedisFlush {
                server: redis_server(at, server, span, "`redis.flush`", names),
                database: database_number(at, database),
                slices: slices(at, parts),
            })
        }
        RawAction::RedisDelete(raw) => Action::RedisDelete(redis_delete(at, *raw, span, names)),
        RawAction::RedisConfigSet(raw) => {
            Action::RedisConfigSet(other::redis_config_set(here, *raw))
        }
        RawAction::Scale(raw) => Action::Kubernetes(kubernetes::scale(here, *raw)),
        RawAction::Restart(raw) => Action::Kubernetes(kubernetes::restart(here, *raw)),
        RawAction::Rollback(raw) => Action::Kubernetes(kubernetes::rollback(here, *raw)),
        RawAction::SetEnv(raw) => Action::Kubernetes(kubernetes::set_env(here, *raw)),
        RawAction::Cordon(raw) => {
            Action::Kubernetes(Kubernetes::Cordon(kubernetes::cordon(here, *raw)))
        }
        RawAction::Uncordon(raw) => {
            Action::Kubernetes(Kubernetes::Uncordon(kubernetes::cordon(here, *raw)))
        }
        RawAction::Drain(raw) => Action::Kubernetes(kubernetes::drain(here, *raw)),
        RawAction::DeletePod(raw) => Action::Kubernetes(kubernetes::delete_pod(here, *raw)),
        RawAction::Events(raw) => Action::Kubernetes(kubernetes::events(here, *raw)),
        RawAction::Logs(raw) => Action::Kubernetes(kubernetes::logs(here, *raw)),
        RawAction::Describe(raw) => Action::Kubernetes(kubernetes::describe(here, *raw)),
        RawAction::Terminate(raw) => Action::Postgres(postgres::terminate(here, *raw)),
        RawAction::KillIdle(raw) => Action::Postgres(postgres::kill_idle(here, *raw)),
        RawAction::Blockers(raw) => Action::Postgres(postgres::blockers(here, *raw)),
        RawAction::Activity(raw) => Action::Postgres(postgres::activity(here, *raw)),
        RawAction::Execute(raw) => Action::Postgres(postgres::execute(here, *raw)),
        RawAction::UnitRestart(raw) => Action::Systemd(Systemd::Restart(other::unit(here, *raw))),
        RawAction::UnitStart(raw) => Action::Systemd(Systemd::Start(other::unit(here, *raw))),
        RawAction::UnitStop(raw) => Action::Systemd(Systemd::Stop(other::unit(here, *raw))),
        RawAction::DockerRestart(raw) => Action::DockerRestart(other::docker_restart(here, *raw)),
        RawAction::Ssh(raw) => Action::Ssh(other::ssh(here, *raw)),
        RawAction::Silence(raw) => Action::Silence(other::silence(here, *raw)),
        RawAction::Unsilence(raw) => Action::Unsilence(other::unsilence(here, *raw)),
        RawAction::Notify(raw) => Action::Notify(other::notify(here, *raw)),
    }
}

/// A text that must be there, and must say something.
fn required(here: Here<'_>, key: &str, field: Field<TemplateText>) -> String {
    let Some(found) = field.need(here.at, here.span, here.whose, key) else {
        return String::new();
    };
    if found.value.0.trim().is_empty() {
        let message = format!("expected a text under `{key}`, got nothing");
        here.at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    text::template(here.at, found, here.names)
}

/// `a`, `b` and `c`.
fn places(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A process.
pub(crate) fn command(at: At<'_>, found: Found<RawCommand>, names: Names<'_>) -> Command {
    let RawCommand { argv, shell, env, directory } = found.value;
    match (&argv, &shell) {
        (Some(_), Some(_)) => {
            let message = "`argv` and `shell` do not go together";
            at.report(found.span, Diagnostic::error(codes::SHAPE, message).label("keep one"));
        }
        (None, None) => {
            let message = "a command without `argv` or `shell`";
            let label = "write `argv: [program, argument]`";
            at.report(found.span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
        _ => {}
    }
    let argv = argv.and_then(Field::found);
    if let Some(empty) = argv.as_ref().filter(|argv| argv.value.is_empty()) {
        let message = "expected a program, got an empty list";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let shell = shell.and_then(Field::found);
    if let Some(shell) = shell.as_ref().filter(|shell| is_template(&shell.value)) {
        let offset = shell.value.find("{{").or_else(|| shell.value.find("{%"));
        let message = "a template inside shell text: a value from an alert could become a command";
        let found = Diagnostic::error(codes::SHELL_TEMPLATE, message);
        let found = found.note("pass it through `env:` and write \"$NAME\" in the script");
        at.report(at.inside(shell.span, &shell.written, offset), found);
    }
    let (env, named) = texts(at, env, names, "an environment variable", |name| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    Command {
        argv: argv
            .map(|argv| argv.value)
            .unwrap_or_default()
            .into_iter()
            .filter_map(Field::found)
            .map(|it| text::template(at, it, names))
            .collect(),
        shell: shell.map(|shell| shell.value),
        env,
        sealed: Sealed { named, ..Sealed::default() },
        directory: directory.and_then(Field::found).map(|it| text::template(at, it, names)),
    }
}

/// A mapping of names to templates, and those that hold secrets.
fn texts(
    at: At<'_>,
    entries: Option<Field<Entries<TemplateText>>>,
    names: Names<'_>,
    what: &str,
    is_name: impl Fn(&str) -> bool,
) -> (BTreeMap<String, String>, BTreeMap<String, Vec<Piece>>) {
    let (mut texts, mut sealed) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in entries.and_then(Field::found).map(|it| it.value.0).unwrap_or_default() {
        let (Some(key), Some(value)) = (key.found(), value.found()) else { continue };
        if key.value.is_empty() || !is_name(&key.value) {
            let message = format!("`{}` cannot be the name of {what}", key.value);
            at.report(key.span, Diagnostic::error(codes::VALUE, message));
        }
        let (text, pieces) = sealed::template(at, value, names);
        sealed.extend(pieces.map(|pieces| (key.value.clone(), pieces)));
        texts.insert(key.value, text);
    }
    (texts, sealed)
}

fn http(at: At<'_>, raw: RawHttp, span: Span, names: Names<'_>) -> HttpCall {
    let RawHttp { server, method, url, headers, body, json, status } = raw;
    let server = server.and_then(Field::found);
    let method = method.need(at, span, "`http`", "method").map(|it| it.value);
    let url = url.need(at, span, "`http`", "url").map(|url| {
        if server.is_none() {
            probe::http_url(at, url, names)
        } else {
            if !url.value.0.starts_with('/') && !url.value.0.starts_with("{{") {
                let message = "expected a path that begins with /, since `server` gives the rest";
                at.report(url.span, Diagnostic::error(codes::VALUE, message));
            }
            text::template(at, url, names)
        }
    });
    let server = server.map(|server| self::server(at, server, TargetKind::Http, names));
    let body = body.and_then(Field::found);
    let json = json.and_then(Field::found);
    if let (Some(body), Some(_)) = (&body, &json) {
        let message = "`body` and `json` do not go together";
        at.report(body.span, Diagnostic::error(codes::SHAPE, message).label("keep one"));
    }
    let mut sealed = Sealed::default();
    if let Some(json) = &json {
        check_json(at, json.span, "", &json.value, names, &mut sealed.json);
    }
    let (headers, named) = texts(at, headers, names, "a header", is_header_name);
    sealed.named = named;
    let body = body.map(|body| {
        let (text, pieces) = sealed::template(at, body, names);
        sealed.body = pieces;
        text
    });
    let status: Vec<Found<u16>> = status
        .and_then(Field::found)
        .map(|it| it.value.0)
        .unwrap_or_default()
        .into_iter()
        .filter_map(Field::found)
        .collect();
    for status in &status {
        check_status(at, status);
    }
    HttpCall {
        server,
        method: method.map_or("", RawMethod::as_str).to_owned(),
        url: url.unwrap_or_default(),
        headers,
        body,
        json: json.map(|json| json.value),
        sealed,
        status: status.into_iter().map(|status| status.value).collect(),
    }
}

/// RFC 9110's token.
pub(crate) fn is_header_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// Templates in the texts of a JSON value; those that take a secret are kept in `sealed`.
pub(crate) fn check_json(
    at: At<'_>,
    span: Span,
    pointer: &str,
    json: &serde_json::Value,
    names: Names<'_>,
    sealed: &mut BTreeMap<String, Vec<Piece>>,
) {
    match json {
        serde_json::Value::String(text) => {
            let found = Found { value: TemplateText(text.clone()), span, written: String::new() };
            let (_, pieces) = sealed::template(at, found, names);
            sealed.extend(pieces.map(|pieces| (pointer.to_owned(), pieces)));
        }
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_json(at, span, &format!("{pointer}/{index}"), item, names, sealed);
            }
        }
        serde_json::Value::Object(entries) => {
            for (name, value) in entries {
                check_json(at, span, &plan::member(pointer, name), value, names, sealed);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// 100 to 599.
pub(crate) fn check_status(at: At<'_>, status: &Found<u16>) {
    if !(100..=599).contains(&status.value) {
        let message = format!("expected a status from 100 to 599, got {}", status.value);
        at.report(status.span, Diagnostic::error(codes::VALUE, message));
    }
}

fn redis_server(
    at: At<'_>,
    server: Field<TemplateText>,
    span: Span,
    whose: &str,
    names: Names<'_>,
) -> String {
    match server.need(at, span, whose, "server") {
        Some(server) => self::server(at, server, TargetKind::Redis, names),
        None => String::new(),
    }
}

/// The name of a server. One that a parameter gives is looked up when the step runs.
pub(crate) fn server(
    at: At<'_>,
    found: Found<TemplateText>,
    kind: TargetKind,
    names: Names<'_>,
) -> String {
    if !is_template(&found.value.0) {
        at.uses(found.span, Used::Server(kind, found.value.0.clone()));
    }
    text::template(at, found, names)
}

fn database_number(at: At<'_>, database: Option<Field<i64>>) -> Option<i64> {
    let database = database.and_then(Field::found)?;
    if database.value < 0 {
        let message = format!("expected the number of a database, got {}", database.value);
        at.report(database.span, Diagnostic::error(codes::VALUE, message));
    }
    Some(database.value)
}

fn redis_delete(at: At<'_>, raw: RawRedisDelete, span: Span, names: Names<'_>) -> RedisDelete {
    let RawRedisDelete { server, database, keys, pattern, slices: parts } = raw;
    if let Some(parts) = parts.as_ref().filter(|_| pattern.is_none() && keys.is_some()) {
        let message = "`slices` does not go together with `keys`";
        let label = "keys that are named are deleted at once";
        at.report(parts.span(), Diagnostic::error(codes::SHAPE, message).label(label));
    }
    if keys.is_some() == pattern.is_some() {
        let message = match keys {
            Some(_) => "`keys` and `pattern` do not go together",
            None => "`redis.delete` without `keys` or `pattern`",
        };
        at.report(span, Diagnostic::error(codes::SHAPE, message).label("expected exactly one"));
    }
    let keys = keys.and_then(Field::found);
    if let Some(empty) = keys.as_ref().filter(|keys| keys.value.is_empty()) {
        let message = "expected keys, got an empty list";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    RedisDelete {
        server: redis_server(at, server, span, "`redis.delete`", names),
        database: database_number(at, database),
        keys: keys
            .map(|keys| keys.value)
            .unwrap_or_default()
            .into_iter()
            .filter_map(Field::found)
            .map(|it| text::template(at, it, names))
            .collect(),
        pattern: pattern.and_then(Field::found).map(|it| text::template(at, it, names)),
        slices: slices(at, parts),
    }
}

/// What `slices` says when it says nothing else.
pub(crate) const SLICES: Slices = Slices { keys: 1000, pause: Duration::from_secs(1), cursor: 0 };

fn slices(at: At<'_>, raw: Opt<RawSlices>) -> Option<Slices> {
    let Found { value: raw, .. } = raw.and_then(Field::found)?;
    let keys = raw.keys.and_then(Field::found).map(|it| text::positive(at, &it));
    let pause = text::duration_or(at, raw.pause.and_then(Field::found), SLICES.pause);
    Some(Slices { keys: keys.unwrap_or(SLICES.keys), pause, cursor: 0 })
}
