//! `${env:NAME}` and `${file:/path}` in quell.yml, and what of quell.yml must not be shown.

use std::cell::RefCell;
use std::path::Path;

use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Found;
use crate::library::raw::SecretText;
use crate::library::yaml::Node;
use crate::library::yaml::Value;

/// Keys whose values are never credentials. All else in quell.yml is hidden: a misspelt key must not show what it holds.
const HARMLESS: [&str; 48] = [
    "audit",
    "origin",
    "anchor_every",
    "cron",
    "for",
    "timezone",
    "until",
    "effect",
    "match",
    "reason",
    "pages",
    "fallback",
    "fallback_after",
    "heartbeat",
    "every",
    "method",
    "windows",
    "listen",
    "external_url",
    "mode",
    "rules",
    "playbooks",
    "pause_file",
    "prometheus",
    "alertmanager",
    "ingest",
    "targets",
    "operators",
    "channels",
    "severities",
    "unmatched",
    "limits",
    "rate",
    "concurrent",
    "cooldown",
    "max_age",
    "max_body",
    "max_waiting_alerts",
    "max_wait",
    "notify",
    "ack_within",
    "escalate_to",
    "name",
    "email",
    "tier",
    "from",
    "to",
    "watch",
];

/// Keys whose values may be credentials; shown themselves.
const SECRET: [&str; 11] = [
    "signing_key",
    "anchor",
    "secrets",
    "url",
    "token",
    "link_key",
    "routing_key",
    "webhook_url",
    "smtp",
    "storage",
    "headers",
];

/// Stands for a credential that is not read: as long as an integration key, which is the strictest of all.
const PRETENDED: &str = "pretendpretendpretendpretendpret";

/// Stands for a whole URL that is not read; it leads nowhere, whatever it is for.
pub(super) const PRETENDED_URL: &str = "https://pretended.invalid";

/// Stands for a whole value that is not read; it leads nowhere.
fn pretended(key: &str) -> &'static str {
    match key {
        "url" | "webhook_url" | "external_url" => PRETENDED_URL,
        "smtp" => "smtps://pretended.invalid",
        "storage" => "sqlite:pretended.db",
        "signing_key" => {
            "PRIVATE+KEY+pretended+8a964eef+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        }
        "anchor" => "stdout",
        _ => PRETENDED,
    }
}

/// Replaces what `${…}` stands for.
pub(crate) struct Secrets<'a> {
    pub(crate) at: At<'a>,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that relative paths are relative to.
    pub(crate) folder: &'a Path,
    /// What `${…}` stands for is made up.
    pretends: bool,
    /// Where replacements are allowed and were made.
    replaced: RefCell<Vec<usize>>,
}

impl<'a> Secrets<'a> {
    pub(crate) fn new(
        at: At<'a>,
        env: &'a dyn Fn(&str) -> Option<String>,
        folder: &'a Path,
        pretends: bool,
    ) -> Self {
        Self { at, env, folder, pretends, replaced: RefCell::new(Vec::new()) }
    }

    /// The text with its `${…}` replaced; `None` when one cannot be, which is reported under `key`.
    pub(crate) fn reveal(&self, key: &str, found: Found<SecretText>) -> Option<Found<String>> {
        self.replaced.borrow_mut().push(found.span.start);
        let text = found.value.0.as_str();
        if self.pretends && text.starts_with("${") && text.ends_with('}') {
            return Some(found.map(|_| pretended(key).to_owned()));
        }
        let mut out = String::new();
        let mut rest = text;
        let mut whole = true;
        while let Some((before, tail)) = rest.split_once("${") {
            out.push_str(before);
            let offset = text.len() - tail.len() - 2;
            let place = self.at.inside(found.span, &found.written, Some(offset));
            let Some((inner, after)) = tail.split_once('}') else {
                let message = format!("`${{` without its `}}` under `{key}`");
                self.at.report(place, Diagnostic::error(codes::NO_SUBSTITUTION, message));
                return None;
            };
            match self.one(key, inner) {
                Ok(value) => out.push_str(&value),
                Err(diagnostic) => {
                    let end = place.start + inner.len() + 3;
                    let fits = end <= found.span.end;
                    let span = if fits { Span { end, ..place } } else { found.span };
                    self.at.report(span, *diagnostic);
                    whole = false;
                }
            }
            rest = after;
        }
        out.push_str(rest);
        whole.then(|| found.map(|_| out))
    }

    fn one(&self, key: &str, inner: &str) -> Result<String, Box<Diagnostic>> {
        let refuse = |code, message| Err(Box::new(Diagnostic::error(code, message)));
        match inner.split_once(':') {
            Some(("env" | "file", _)) if self.pretends => Ok(PRETENDED.to_owned()),
            Some(("env", name)) => match (self.env)(name).filter(|value| !value.is_empty()) {
                Some(value) => Ok(value),
                None => refuse(
                    codes::NO_VARIABLE,
                    format!("environment variable `{name}`, for `{key}`, is not set, or empty"),
                ),
            },
            Some(("file", path)) => {
                let wrong = |reason: &str| {
                    let message = format!("file `{path}`, for `{key}`, {reason}");
                    refuse(codes::NO_SECRET_FILE, message)
                };
                if cfg!(fuzzing) {
                    return wrong("is not read"); // the fuzzer chose it
                }
                match std::fs::read_to_string(self.folder.join(path)) {
                    Ok(text) if text.trim().is_empty() => wrong("is empty"),
                    Ok(text) => Ok(text.trim().to_owned()),
                    Err(error) => wrong(&format!("cannot be read: {}", reason(&error))),
                }
            }
            _ => refuse(
                codes::NO_SUBSTITUTION,
                format!("expected `${{env:NAME}}` or `${{file:/path}}` under `{key}`"),
            ),
        }
    }

    /// Reports `${…}` where nothing replaces it.
    pub(crate) fn refuse_elsewhere(&self, node: &Node) {
        match &node.value {
            Value::Text if ["${env:", "${file:"].iter().any(|it| node.text.contains(it)) => {
                if !self.replaced.borrow().contains(&node.span.start) {
                    let message = "`${…}` is replaced in credentials and URLs only";
                    let diagnostic = Diagnostic::error(codes::NO_SUBSTITUTION, message);
                    self.at.report(node.span, diagnostic.label("write the value itself"));
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.refuse_elsewhere(item)),
            Value::Map(entries) => {
                for (_, value) in entries {
                    self.refuse_elsewhere(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text => {}
        }
    }
}

/// An error of the system in few words: `no such file or directory`.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Keeps credentials of a quell.yml that parses from being shown: all values, except those known to be harmless.
pub(crate) fn mask(at: At<'_>, node: &Node) {
    mask_value(at, node, "", false);
}

fn mask_value(at: At<'_>, node: &Node, key: &str, hidden: bool) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| mask_value(at, item, key, hidden)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let inside = ["webhook", "headers", "secrets"].contains(&key.text.as_str());
                mask_value(at, value, &key.text, hidden || inside);
            }
        }
        _ if node.text.starts_with("${") && node.text.ends_with('}') => {}
        _ if !hidden && HARMLESS.contains(&key) => {}
        _ => at.mask(node.span),
    }
}

/// Whether the text of a key is a word: with white space in it, it may be a credential whose colon is missing.
pub(crate) fn is_word(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '<'))
}

/// Keeps what may be a credential from being shown in a quell.yml that does not parse: all but a first key that is
/// known.
pub(crate) fn mask_lines(at: At<'_>) {
    let mut start = 0;
    for line in at.text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let key = line.split_once(':').map_or("", |(key, _)| key);
        let word = key.trim().trim_start_matches("- ").trim();
        let known = [&HARMLESS[..], &SECRET].concat().contains(&word);
        let from = start + if known { key.len() + 1 } else { indent };
        let end = start + line.trim_end().len();
        if from < end {
            at.mask(Span { start: from, end, line: 1, column: 1 });
        }
        start += line.len();
    }
}
