//! `quell.yml`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::action::is_header_name;
use super::alertmanager::alertmanager;
use super::audit::audit;
use super::channel::channel;
use super::channel::check_channel;
use super::channel::fallback;
use super::limits::limits;
use super::limits::watchdog;
use super::retention::retention;
use super::secret::PRETENDED_URL;
use super::secret::Secrets;
use super::target::targets;
use super::text;
use super::text::place;
use super::updates::updates;
use super::window::windows;
use crate::decide::own;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::SecretText;
use crate::library::raw::SizeText;
use crate::library::raw::config::RawConfig;
use crate::library::raw::config::RawEndpoint;
use crate::library::raw::config::RawHeartbeat;
use crate::library::raw::config::RawIngest;
use crate::library::raw::config::RawMethod;
use crate::library::raw::config::RawOperator;
use crate::library::raw::config::RawSeverity;
use crate::library::raw::config::RawToken;
use crate::library::suggest::short;
use crate::model::config::Config;
use crate::model::config::Endpoint;
use crate::model::config::Heartbeat;
use crate::model::config::Ingest;
use crate::model::config::IngestToken;
use crate::model::config::Operator;
use crate::model::config::Secret;
use crate::model::config::Severity;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Set;

/// Paths of `rules:` and `playbooks:`, with their places; `None` when the key is absent.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(crate) rules: Option<Vec<(PathBuf, Span)>>,
    pub(crate) playbooks: Option<Vec<(PathBuf, Span)>>,
}

/// Settings out of a quell.yml in `folder`.
pub(crate) fn config(
    secrets: &Secrets<'_>,
    found: Found<RawConfig>,
    folder: &Path,
) -> (Config, Paths) {
    let at = secrets.at;
    let raw = found.value;
    let mut config = Config { file: Some(at.file.to_owned()), ..Config::default() };
    if let Some(listen) = raw.listen.and_then(Field::found) {
        if let Ok(address) = listen.value.parse::<SocketAddr>() {
            config.listen = address;
            config.external_url = format!("http://{address}");
        } else {
            let message = "expected an address and a port such as 127.0.0.1:9797";
            at.report(listen.span, Diagnostic::error(codes::VALUE, message));
        }
    }
    if let Some(url) = reveal(secrets, "external_url", raw.external_url) {
        config.external_url = base_url(at, &url);
    }
    if let Some(storage) = reveal(secrets, "storage", raw.storage) {
        let kinds = ["sqlite:", "postgres://", "postgresql://"];
        if !kinds
            .iter()
            .any(|kind| storage.value.len() > kind.len() && storage.value.starts_with(kind))
        {
            let message = "expected sqlite:FILE or postgres://…";
            at.report(storage.span, Diagnostic::error(codes::VALUE, message));
        }
        config.storage = Secret::new(storage.value);
    }
    config.storage = Secret::new(beside(folder, config.storage.reveal()));
    if let Some(mode) = raw.mode.and_then(Field::found) {
        config.mode = Set { value: mode.value, place: place(at, mode.span) };
    }
    let paths = Paths { rules: paths(folder, raw.rules), playbooks: paths(folder, raw.playbooks) };
    config.watch = raw.watch.and_then(Field::found).and_then(|it| watch(at, &it));
    config.prometheus = raw.prometheus.and_then(Field::found).map(|it| endpoint(secrets, it));
    if let Some(raw) = raw.ingest.and_then(Field::found) {
        config.ingest = ingest(secrets, raw.value);
    }
    if let Some(raw) = raw.alertmanager.and_then(Field::found) {
        let (server, reconcile) = alertmanager(secrets, raw, &config.ingest);
        (config.alertmanager, config.reconcile) = (Some(server), reconcile);
    }
    if let Some(raw) = raw.targets.and_then(Field::found) {
        config.targets = targets(secrets, folder, raw.value);
    }
    config.targets.alertmanager.clone_from(&config.alertmanager);
    let raw_operators = raw.operators.and_then(Field::found).map(|it| it.value);
    config.operators = operators(secrets, raw_operators.unwrap_or_default());
    let mut known = BTreeSet::new();
    let mut said = BTreeMap::new();
    for (key, value) in entries(raw.channels) {
        known.insert(key.value.clone());
        let kind = value.found();
        let built = kind.and_then(|kind| channel(secrets, folder, kind));
        if let Some((channel, common)) = built {
            if common.pages.unwrap_or_else(|| channel.pages_by_default()) {
                config.paging.insert(key.value.clone());
            }
            said.insert(key.value.clone(), common);
            config.channels.insert(key.value, channel);
        }
    }
    for (name, common) in said {
        let fallback = fallback(at, &name, common, &known);
        config.fallbacks.insert(name, fallback);
    }
    config.heartbeat = raw.heartbeat.and_then(Field::found).and_then(|it| heartbeat(secrets, it));
    for (key, value) in entries(raw.severities) {
        let Some(value) = value.found() else { continue };
        let severity = severity(at, value.value, &known);
        config.severities.insert(key.value, severity);
    }
    if let Some(raw) = raw.windows.and_then(Field::found) {
        config.windows = windows(at, raw.value);
    }
    config.unmatched = channels(at, raw.unmatched, &known);
    if let Some(raw) = raw.limits.and_then(Field::found) {
        config.limits = limits(at, raw.value);
    }
    config.dependencies = dependencies(at, raw.dependencies);
    config.watchdog = raw.watchdog.and_then(Field::found).and_then(|it| watchdog(at, it));
    config.retention = retention(at, raw.retention, raw.archive, folder);
    if let Some(file) = raw.pause_file.and_then(Field::found) {
        config.pause_file = PathBuf::from(file.value);
    }
    config.pause_file = folder.join(config.pause_file);
    config.secrets = of_playbooks(secrets, raw.secrets);
    if let Some(key) = reveal(secrets, "link_key", raw.link_key) {
        if key.value.len() < 16 {
            let message = "a key that signs links has at least 16 bytes";
            at.report(key.span, Diagnostic::error(codes::VALUE, message));
        }
        config.link_key = Some(Secret::new(key.value));
    }
    config.audit = audit(secrets, raw.audit, folder);
    (config, paths)
}

/// Patterns of targets that quell needs.
fn dependencies(at: At<'_>, field: Opt<List<String>>) -> Vec<Set<String>> {
    let given = field.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let named = given.into_iter().filter_map(|it| text::name(at, it.found()?));
    named.map(|it| Set { place: place(at, it.span), value: it.value }).collect()
}

/// How often the files are looked at.
fn watch(at: At<'_>, found: &Found<DurationText>) -> Option<Duration> {
    let every = text::duration(at, found)?;
    let fits = (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&every);
    if !fits {
        let message = "expected a time from 100ms to 1h, such as 10s";
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    fits.then_some(every)
}

/// A dead man's switch.
fn heartbeat(secrets: &Secrets<'_>, found: Found<RawHeartbeat>) -> Option<Heartbeat> {
    let at = secrets.at;
    let (mut method, mut every) = (None, None);
    let server = found.map(|raw| {
        (method, every) = (raw.method, raw.every);
        RawEndpoint { url: raw.url, headers: raw.headers }
    });
    let Endpoint { url, headers } = endpoint(secrets, server);
    let every = match every.and_then(Field::found) {
        None => Duration::from_mins(1),
        Some(it) => {
            let every = text::duration(at, &it)?;
            if !(Duration::from_secs(1)..=Duration::from_hours(1)).contains(&every) {
                let message = "expected a time from 1s to 1h, such as 1m";
                at.report(it.span, Diagnostic::error(codes::VALUE, message));
                return None;
            }
            every
        }
    };
    let method = match method.and_then(Field::found).map(|it| it.value) {
        Some(RawMethod::Get) => "GET",
        Some(RawMethod::Post) | None => "POST",
    };
    Some(Heartbeat { url: Secret::new(url), method, every, headers })
}

/// `sqlite:FILE` with the file beside quell.yml: every command finds the database of the server, wherever it is run.
fn beside(folder: &Path, storage: &str) -> String {
    match storage.strip_prefix("sqlite:") {
        Some(file) => {
            let file = folder.join(file.strip_prefix("//").unwrap_or(file));
            format!("sqlite:{}", file.display())
        }
        None => storage.to_owned(),
    }
}

/// The entries of a mapping with names that can be read.
pub(super) fn entries<T>(field: Opt<Entries<T>>) -> Vec<(Found<String>, Field<T>)> {
    let entries = field.and_then(Field::found).map(|it| it.value.0).unwrap_or_default();
    entries.into_iter().filter_map(|(key, value)| Some((key.found()?, value))).collect()
}

pub(super) fn reveal(
    secrets: &Secrets<'_>,
    key: &str,
    field: Opt<SecretText>,
) -> Option<Found<String>> {
    field.and_then(Field::found).and_then(|found| secrets.reveal(key, found))
}

/// Shortest secret, in bytes: a shorter one cannot be told from other text where outputs are masked.
const SHORTEST: usize = 6;

/// `secrets:`
fn of_playbooks(
    secrets: &Secrets<'_>,
    field: Opt<Entries<SecretText>>,
) -> BTreeMap<String, Secret> {
    let mut all = BTreeMap::new();
    for (key, value) in entries(field) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if key.value.is_empty() || !key.value.chars().all(fits) {
            let message = "the name of a secret has letters, digits, `-`, `_` and `.`";
            secrets.at.report(key.span, Diagnostic::error(codes::VALUE, message));
        }
        let value = value.found().and_then(|value| secrets.reveal(&key.value, value));
        let Some(value) = value else { continue };
        if value.value.trim().len() < SHORTEST {
            let message = format!("a secret has at least {SHORTEST} bytes");
            let label = "a shorter one could not be masked in outputs";
            secrets.at.report(value.span, Diagnostic::error(codes::VALUE, message).label(label));
        }
        all.insert(key.value, Secret::new(value.value));
    }
    all
}

fn paths(folder: &Path, field: Opt<List<String>>) -> Option<Vec<(PathBuf, Span)>> {
    let list = field.and_then(Field::found)?.value.into_iter().filter_map(Field::found);
    Some(list.map(|it| (folder.join(it.value), it.span)).collect())
}

/// A URL with a host, without a slash at its end. The message never shows it: it may hold a password.
fn base_url(at: At<'_>, found: &Found<String>) -> String {
    check_url(at, found, &["http", "https"]);
    found.value.trim_end_matches('/').to_owned()
}

/// Reports what is not a URL of one of these schemes.
pub(crate) fn check_url(at: At<'_>, found: &Found<String>, schemes: &[&str]) {
    if found.value == PRETENDED_URL {
        return;
    }
    let fits = Url::parse(&found.value).is_ok_and(|url| {
        schemes.contains(&url.scheme()) && url.host_str().is_some_and(|it| !it.is_empty())
    });
    if !fits {
        let list: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        let message = format!("expected a URL that begins with {}", list.join(" or "));
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
}

/// `{ url, headers }`.
pub(crate) fn endpoint(secrets: &Secrets<'_>, found: Found<RawEndpoint>) -> Endpoint {
    let at = secrets.at;
    let url = found.value.url.need(at, found.span, "a server", "url");
    let url = url.and_then(|url| secrets.reveal("url", url));
    let mut headers = BTreeMap::new();
    for (key, value) in entries(found.value.headers) {
        if key.value.is_empty() || !is_header_name(&key.value) {
            let message = format!("`{}` cannot be the name of a header", short(&key.value));
            at.report(key.span, Diagnostic::error(codes::VALUE, message));
        }
        let value = value.found().and_then(|value| secrets.reveal(&key.value, value));
        if let Some(value) = value {
            if value.value.chars().any(char::is_control) {
                let message =
                    format!("header `{}` has a line break in its value", short(&key.value));
                at.report(value.span, Diagnostic::error(codes::VALUE, message));
            }
            headers.insert(key.value, Secret::new(value.value));
        }
    }
    Endpoint { url: url.map(|url| base_url(at, &url)).unwrap_or_default(), headers }
}

fn ingest(secrets: &Secrets<'_>, raw: RawIngest) -> Ingest {
    let at = secrets.at;
    let default = Config::default().ingest;
    let mut seen = BTreeMap::new();
    let tokens = raw.tokens.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let tokens = tokens.into_iter().filter_map(Field::found);
    let tokens = tokens.filter_map(|it| ingest_token(secrets, it, &mut seen)).collect();
    let max_body = raw.max_body.and_then(Field::found);
    let waiting = raw.max_waiting_alerts.and_then(Field::found);
    Ingest {
        tokens,
        max_body_bytes: max_body.and_then(|it| size(at, &it)).unwrap_or(default.max_body_bytes),
        max_waiting_alerts: waiting
            .map(|it| text::positive(at, &it))
            .and_then(|it| usize::try_from(it).ok())
            .unwrap_or(default.max_waiting_alerts),
        max_wait: text::duration_or(at, raw.max_wait.and_then(Field::found), default.max_wait),
    }
}

fn ingest_token(
    secrets: &Secrets<'_>,
    found: Found<RawToken>,
    seen: &mut BTreeMap<String, u32>,
) -> Option<IngestToken> {
    let at = secrets.at;
    let name = found.value.name.need(at, found.span, "a token", "name");
    let name = name.and_then(|name| {
        // alerts of these sources are believed to come from quell itself
        if let Some(taken) =
            ["check:", own::PREFIX, SCHEDULE].into_iter().find(|it| name.value.starts_with(it))
        {
            let message = format!("the name of a token cannot begin with `{taken}`");
            at.report(name.span, Diagnostic::error(codes::VALUE, message));
        }
        unique(at, name, "token", seen)
    });
    let token = found.value.token.need(at, found.span, "a token", "token");
    let token = token.and_then(|token| secrets.reveal("token", token));
    let token = token.map(|token| not_empty(at, token, "a token"));
    let user = found.value.user.and_then(Field::found).map(|it| it.value);
    Some(IngestToken { name: name?, token: Secret::new(token?), user })
}

/// A credential that is there; an empty one would let everybody in.
pub(crate) fn not_empty(at: At<'_>, found: Found<String>, what: &str) -> String {
    if found.value.trim().is_empty() {
        let message = format!("expected {what}, got empty text");
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    found.value
}

fn unique(
    at: At<'_>,
    name: Found<String>,
    what: &str,
    seen: &mut BTreeMap<String, u32>,
) -> Option<String> {
    let name = text::name(at, name)?;
    if let Some(line) = seen.get(&name.value) {
        let message = format!("{what} `{}` is here twice", name.value);
        let label = format!("first on line {line}");
        at.report(name.span, Diagnostic::error(codes::DUPLICATE_NAME, message).label(label));
    }
    seen.entry(name.value.clone()).or_insert(name.span.line);
    Some(name.value)
}

/// `32MiB`, or a number of bytes.
fn size(at: At<'_>, found: &Found<SizeText>) -> Option<usize> {
    let text = found.value.0.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let factor = match text.get(digits.len()..).unwrap_or_default().trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<usize>().ok()?.checked_mul(factor));
    let bytes = bytes.filter(|bytes| (1 << 10..=1 << 30).contains(bytes));
    if bytes.is_none() {
        let message = "expected a size from 1KiB to 1GiB, such as 32MiB, or a number of bytes";
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    bytes
}

fn operators(secrets: &Secrets<'_>, raw: List<RawOperator>) -> Vec<Operator> {
    let at = secrets.at;
    let mut seen = BTreeMap::new();
    let mut operators = Vec::new();
    for found in raw.into_iter().filter_map(Field::found) {
        let RawOperator { name, email, slack_id, tier, token } = found.value;
        let name = name.need(at, found.span, "an operator", "name");
        let name = name.and_then(|name| unique(at, name, "operator", &mut seen));
        let email = email.and_then(Field::found).map(|it| mail_address(at, it));
        let tier = tier.and_then(Field::found);
        let tier = text::tier(at, tier.as_ref()).unwrap_or(1);
        let token = reveal(secrets, "token", token).map(|it| not_empty(at, it, "a token"));
        let Some(name) = name else { continue };
        let slack_id = slack_id.and_then(Field::found).map(|it| it.value);
        operators.push(Operator { name, email, slack_id, tier, token: token.map(Secret::new) });
    }
    operators
}

/// `dana@example.com`; the rest is the mail server's to judge.
pub(crate) fn mail_address(at: At<'_>, found: Found<String>) -> String {
    let parts = found.value.rsplit_once('@');
    let fits = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !found.value.chars().any(char::is_control);
    if !fits {
        let message = "expected a mail address such as oncall@example.com";
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    found.value
}

/// Names of channels, each of which must exist.
fn severity(at: At<'_>, raw: RawSeverity, known: &BTreeSet<String>) -> Severity {
    let ack = raw.ack_within.and_then(Field::found);
    let updates = raw.updates.and_then(Field::found).and_then(|it| {
        let (updates, names) = updates(at, it)?;
        for name in &names {
            check_channel(at, name, known);
        }
        Some(updates)
    });
    Severity {
        notify: channels(at, raw.notify, known),
        ack_within: ack.and_then(|it| text::duration(at, &it)),
        escalate_to: channels(at, raw.escalate_to, known),
        updates,
    }
}

fn channels(at: At<'_>, field: Opt<List<String>>, known: &BTreeSet<String>) -> Vec<String> {
    let names = field.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let mut out = Vec::new();
    for name in names.into_iter().filter_map(Field::found) {
        check_channel(at, &name, known);
        out.push(name.value);
    }
    out
}
