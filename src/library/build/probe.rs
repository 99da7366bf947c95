//! Probes and verifications.

mod other;

use std::collections::BTreeMap;
use std::time::Duration;

use super::action;
use super::action::kubernetes::Here;
use super::harm;
use super::text;
use super::text::Names;
use crate::decide::parameters::is_template;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::TemplateText;
use crate::library::raw::probe::JUDGED;
use crate::library::raw::probe::PROBE_KINDS;
use crate::library::raw::probe::RawHttpProbe;
use crate::library::raw::probe::RawProbe;
use crate::library::raw::probe::RawVerify;
use crate::model::playbook::Verification;
use crate::model::probe::HttpProbe;
use crate::model::probe::Probe;

const WITHIN: Duration = Duration::from_mins(5);
const HOLD: Duration = Duration::from_mins(1);
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// What a probe observes, over templates that may name `variables`.
pub(crate) fn probe(
    at: At<'_>,
    whose: &str,
    span: Span,
    mut raw: RawProbe,
    names: Names<'_>,
) -> Option<Probe> {
    let named = raw.kinds();
    if named.is_empty() && at.is_wrong(span) {
        return None;
    }
    let [kind] = named.as_slice() else {
        let message = match named.as_slice() {
            [] => format!("{whose} observes nothing"),
            many => format!("{whose} observes more than one thing: {}", many.join(", ")),
        };
        let label = format!("expected exactly one of {}", PROBE_KINDS.join(", "));
        at.report(span, Diagnostic::error(codes::SHAPE, message).label(label));
        return None;
    };
    let healthy = raw.healthy.take().and_then(Field::found);
    let samples = matches!(*kind, "promql" | "scrape");
    match &healthy {
        None if samples => {
            let message = "missing key `healthy`";
            let label = format!("`{kind}` needs a condition over `value` and `labels`");
            at.report(span, Diagnostic::error(codes::MISSING_KEY, message).label(label));
        }
        Some(healthy) if !JUDGED.contains(kind) => {
            let message = format!("`healthy` does not go together with `{kind}`");
            let label = format!("only {} give values to judge", JUDGED.join(", "));
            at.report(healthy.span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
        _ => {}
    }
    let min_sources = raw.min_sources.take().and_then(Field::found);
    if let Some(min) = min_sources.as_ref().filter(|_| !samples) {
        let message = format!("`min_sources` does not go together with `{kind}`");
        let label = "only promql and scrape give samples to count";
        at.report(min.span, Diagnostic::error(codes::SHAPE, message).label(label));
    }
    let min_sources = min_sources.map(|it| text::positive(at, &it)).filter(|least| *least > 1);
    let variables: &[&str] =
        if matches!(*kind, "tls" | "redis") { &["value"] } else { &["value", "labels"] };
    let condition = healthy.map(|healthy| text::condition(at, healthy, Names::of(variables)));
    let whose = format!("`{kind}`");
    let here = Here { at, span, whose: &whose, names };
    let RawProbe { promql, scrape, http, tcp, command, alert, .. } = match *kind {
        "promql" | "scrape" | "http" | "tcp" | "command" | "alert" => raw,
        _ => return other::probe(here, raw, condition),
    };
    let healthy = condition.unwrap_or_default();
    if let Some(query) = promql.and_then(Field::found) {
        let query = text::template(at, query, names);
        return Some(Probe::Promql { query, healthy, min_sources });
    }
    if let Some(scrape) = scrape.and_then(Field::found) {
        let url = scrape.value.url.need(at, scrape.span, "`scrape`", "url");
        let select = scrape.value.select.need(at, scrape.span, "`scrape`", "select");
        return Some(Probe::Scrape {
            url: url.map(|url| http_url(at, url, names)).unwrap_or_default(),
            select: select.map(|it| text::template(at, it, names)).unwrap_or_default(),
            healthy,
            min_sources,
        });
    }
    if let Some(http) = http.and_then(Field::found) {
        return Some(Probe::Http(http_probe(at, http, names)));
    }
    if let Some(tcp) = tcp.and_then(Field::found) {
        let address = tcp.value.address.need(at, tcp.span, "`tcp`", "address")?;
        return Some(Probe::Tcp { address: host_and_port(at, address, names) });
    }
    if let Some(command) = command.and_then(Field::found) {
        let span = command.span;
        let command = action::command(at, command, names);
        if !command.sealed.is_empty() {
            no_secrets(at, span);
        }
        return Some(Probe::Command(command));
    }
    alert.and_then(Field::found).map(|_| Probe::Alert)
}

/// `host:port`; a template may give all of it.
fn host_and_port(at: At<'_>, address: Found<TemplateText>, names: Names<'_>) -> String {
    if !address.value.0.contains(':') && !is_template(&address.value.0) {
        let message = "expected host:port, got text without a colon";
        at.report(address.span, Diagnostic::error(codes::VALUE, message));
    }
    text::template(at, address, names)
}

fn no_secrets(at: At<'_>, span: Span) {
    let message = "a probe takes no secrets";
    let label = "use an action, and read its output in a later step";
    at.report(span, Diagnostic::error(codes::SECRET_PLACE, message).label(label));
}

fn http_probe(at: At<'_>, found: Found<RawHttpProbe>, names: Names<'_>) -> HttpProbe {
    let RawHttpProbe { url, status, json, timeout } = found.value;
    let url = url.need(at, found.span, "`http`", "url");
    let status = status.and_then(Field::found);
    if let Some(status) = &status {
        action::check_status(at, status);
    }
    let mut fields = BTreeMap::new();
    for (key, value) in json.and_then(Field::found).map(|it| it.value.0).unwrap_or_default() {
        if let (Some(key), Some(value)) = (key.found(), value.found()) {
            let mut sealed = BTreeMap::new();
            action::check_json(at, value.span, "", &value.value, names, &mut sealed);
            if !sealed.is_empty() {
                no_secrets(at, value.span);
            }
            fields.insert(key.value, value.value);
        }
    }
    HttpProbe {
        url: url.map(|url| http_url(at, url, names)).unwrap_or_default(),
        status: status.map(|status| status.value),
        json: fields,
        timeout: text::duration_or(at, timeout.and_then(Field::found), HTTP_TIMEOUT),
    }
}

/// A URL that begins with its scheme, unless it begins with a template.
pub(crate) fn http_url(at: At<'_>, url: Found<TemplateText>, names: Names<'_>) -> String {
    let (text, span) = (url.value.0.clone(), url.span);
    if !["http://", "https://", "{{"].iter().any(|start| text.starts_with(start)) {
        let message = "expected a URL that begins with http:// or https://";
        at.report(span, Diagnostic::error(codes::VALUE, message));
    }
    text::template(at, url, names)
}

/// `verify:` of a rule.
pub(crate) fn verification(
    at: At<'_>,
    found: Found<RawVerify>,
    names: Names<'_>,
) -> Option<Verification> {
    let mut raw = found.value;
    let probe = probe(at, "`verify`", found.span, raw.take_probe(), names);
    let within = text::duration_or(at, raw.within.and_then(Field::found), WITHIN);
    let hold = text::duration_or(at, raw.hold.and_then(Field::found), HOLD);
    let unharmed =
        raw.unharmed.and_then(Field::found).map(|it| harm::unharmed(at, it.value, names));
    Some(Verification { probe: probe?, within, hold, unharmed: unharmed.unwrap_or_default() })
}

/// Longest time for a probe step to become healthy, when it says nothing.
pub(crate) const STEP_WITHIN: Duration = WITHIN;
