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

/// Keys whose values are credentials, or may be.
const SECRET_KEYS: [&str; 11] = [
    "token",
    "link_key",
    "routing_key",
    "webhook_url",
    "smtp",
    "storage",
    "headers",
    "bot_token",
    "signing_secret",
    "signing_key",
    "password",
];

/// Replaces what `${…}` stands for.
pub(crate) struct Secrets<'a> {
    pub(crate) at: At<'a>,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that relative paths are relative to.
    pub(crate) folder: &'a Path,
    /// Where replacements are allowed and were made.
    replaced: RefCell<Vec<usize>>,
}

impl<'a> Secrets<'a> {
    pub(crate) fn new(
        at: At<'a>,
        env: &'a dyn Fn(&str) -> Option<String>,
        folder: &'a Path,
    ) -> Self {
        Self { at, env, folder, replaced: RefCell::new(Vec::new()) }
    }

    /// The text with its `${…}` replaced; `None` when one cannot be, which is reported under `key`.
    pub(crate) fn reveal(&self, key: &str, found: Found<SecretText>) -> Option<Found<String>> {
        self.replaced.borrow_mut().push(found.span.start);
        let text = found.value.0.as_str();
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

/// Keeps credentials of a quell.yml that parses from being shown.
pub(crate) fn mask(at: At<'_>, node: &Node, secret: bool) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| mask(at, item, secret)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let webhook = key.text == "webhook";
                mask(at, value, secret || webhook || SECRET_KEYS.contains(&key.text.as_str()));
            }
        }
        _ if secret && !node.text.trim_start().starts_with("${") => at.mask(node.span),
        Value::Text => {
            // The user and password of a URL.
            if let Some((before, rest)) = node.text.split_once("://")
                && let Some((user, _)) = rest.split_once('@')
            {
                let start = at.inside(node.span, &node.text, Some(before.len() + 3));
                let end = start.start + user.len();
                at.mask(if end <= node.span.end { Span { end, ..start } } else { node.span });
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}

/// Keeps what may be a credential from being shown in a quell.yml that does not parse: all but the first key of
/// each line.
pub(crate) fn mask_lines(at: At<'_>) {
    let mut start = 0;
    for line in at.text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let key = line.split_once(':').map_or(indent, |(key, _)| key.len() + 1);
        let (from, end) = (start + key, start + line.trim_end().len());
        if from < end {
            at.mask(Span { start: from, end, line: 1, column: 1 });
        }
        start += line.len();
    }
}
