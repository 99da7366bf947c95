//! alertmanager.yml: receivers and routes, as far as they concern quell.

use std::path::Path;
use std::time::Duration;

use super::wrong;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::files::Reader;
use crate::library::yaml::Node;
use crate::library::yaml::Value;
use crate::model::matcher;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;
use crate::model::time::parse_duration;

/// The end of the URL that quell listens on.
const PATH: &str = "/api/v1/webhook/alertmanager";
/// Routes inside routes.
const MAX_DEPTH: usize = 48;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// One node of the tree of routes, with what it inherits.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) receiver: String,
    /// All must hold; `None` for one that could not be read, which may match anything.
    pub(super) matchers: Vec<Option<Matcher>>,
    pub(super) go_on: bool,
    pub(super) routes: Vec<Route>,
    pub(super) span: Span,
    pub(super) group_interval: Placed<Duration>,
    pub(super) repeat_interval: Placed<Duration>,
}

/// A `webhook_configs` entry that posts to quell.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) receiver: String,
    pub(super) url: Span,
    pub(super) send_resolved: Option<Placed<bool>>,
    pub(super) max_alerts: Option<Placed<i64>>,
    pub(super) payload: Option<Span>,
    pub(super) timeout: Option<Placed<Duration>>,
    pub(super) has_credentials: bool,
}

/// What of alertmanager.yml concerns quell.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) file: String,
    pub(super) root: Route,
    pub(super) webhooks: Vec<Webhook>,
}

impl Routing {
    /// Whether a receiver posts to quell.
    pub(super) fn is_quell(&self, receiver: &str) -> bool {
        self.webhooks.iter().any(|it| it.receiver == receiver)
    }
}

/// Reads it. `None` when no receiver posts to quell, or it is no such file; both are reported.
pub(super) fn read(
    reader: &mut Reader<'_>,
    path: &Path,
    quell_url: Option<&str>,
) -> Option<Routing> {
    let mut found = None;
    reader.documents(path, &mut |at, node| found = one(at, node, quell_url));
    found
}

fn one(at: At<'_>, node: &Node, quell_url: Option<&str>) -> Option<Routing> {
    mask(at, node, "");
    let (Some(route), Some(receivers)) = (node.get("route"), node.get("receivers")) else {
        let message = format!("{} has no `route` and `receivers`", at.file);
        wrong(
            at,
            node,
            codes::NOT_ALERTMANAGER,
            message,
            "expected a configuration of Alertmanager",
        );
        return None;
    };
    let receivers = list(receivers);
    let names: Vec<&str> = receivers.iter().map(|it| text(it, "name")).collect();
    let global = node.get("global").and_then(|it| it.get("http_config"));
    let mut webhooks = Vec::new();
    for receiver in &receivers {
        let name = text(receiver, "name");
        for webhook in receiver.get("webhook_configs").into_iter().flat_map(list) {
            webhooks.extend(webhook_of(name, webhook, global, quell_url));
        }
    }
    if webhooks.is_empty() {
        let message = match quell_url {
            Some(_) => "no receiver posts to the URL of --quell-url".to_owned(),
            None => format!("no receiver posts to a URL that ends in {PATH}"),
        };
        let place = node.get("receivers").map_or(node.span, |it| it.span);
        at.report(
            place,
            Diagnostic::warning(codes::NO_RECEIVER, message)
                .label("add one, or name the URL under which quell is reached with --quell-url"),
        );
    }
    let minutes = |count: u64| Placed { value: Duration::from_mins(count), span: route.span };
    let defaults =
        Inherited { receiver: "", group_interval: minutes(5), repeat_interval: minutes(4 * 60) };
    let root = route_of(at, route, &defaults, &names, 0)?;
    // what follows from a mistake is not worth a second word
    (!webhooks.is_empty() && !at.is_wrong(node.span)).then(|| Routing {
        file: at.file.to_owned(),
        root,
        webhooks,
    })
}

fn webhook_of(
    receiver: &str,
    node: &Node,
    global: Option<&Node>,
    quell_url: Option<&str>,
) -> Option<Webhook> {
    let url = node.get("url")?;
    let written = url.text.trim_end_matches('/');
    let is_quell = match quell_url {
        Some(wanted) => written.starts_with(wanted.trim_end_matches('/')),
        None => written.split('?').next().unwrap_or_default().ends_with(PATH),
    };
    if !is_quell {
        return None;
    }
    let http = node.get("http_config").or(global);
    let keys = ["authorization", "basic_auth", "oauth2", "bearer_token", "bearer_token_file"];
    let in_url = url::Url::parse(written)
        .is_ok_and(|it| !it.username().is_empty() || it.password().is_some());
    let header = http
        .and_then(|it| it.get("http_headers"))
        .is_some_and(|it| matches!(&it.value, Value::Map(entries) if entries.iter().any(|(key, _)| key.text.eq_ignore_ascii_case("authorization"))));
    Some(Webhook {
        receiver: receiver.to_owned(),
        url: url.span,
        send_resolved: node.get("send_resolved").and_then(|it| match it.value {
            Value::Bool(value) => Some(Placed { value, span: it.span }),
            _ => None,
        }),
        max_alerts: node.get("max_alerts").and_then(|it| match it.value {
            Value::Int(value) => Some(Placed { value, span: it.span }),
            _ => None,
        }),
        payload: node.get("payload").map(|it| it.span),
        timeout: duration(node, "timeout"),
        has_credentials: in_url
            || header
            || http.is_some_and(|http| keys.iter().any(|key| http.get(key).is_some())),
    })
}

#[derive(Clone)]
struct Inherited<'a> {
    receiver: &'a str,
    group_interval: Placed<Duration>,
    repeat_interval: Placed<Duration>,
}

fn route_of(
    at: At<'_>,
    node: &Node,
    above: &Inherited<'_>,
    names: &[&str],
    depth: usize,
) -> Option<Route> {
    if depth > MAX_DEPTH {
        return None;
    }
    if let Some(receiver) = node.get("receiver").filter(|it| !names.contains(&it.text.as_str())) {
        let message = format!("no receiver is named `{}`", receiver.text);
        let label = format!("`receivers` has: {}", names.join(", "));
        wrong(at, receiver, codes::NOT_ALERTMANAGER, message, &label);
    }
    let here = Inherited {
        receiver: node.get("receiver").map_or(above.receiver, |it| it.text.as_str()),
        group_interval: duration(node, "group_interval")
            .unwrap_or_else(|| above.group_interval.clone()),
        repeat_interval: duration(node, "repeat_interval")
            .unwrap_or_else(|| above.repeat_interval.clone()),
    };
    let place = ["receiver", "matchers", "match", "match_re"];
    let span = place.iter().find_map(|key| node.get(key)).map_or(node.span, |it| it.span);
    Some(Route {
        receiver: here.receiver.to_owned(),
        // the root takes everything
        matchers: if depth == 0 { Vec::new() } else { matchers(at, node) },
        go_on: node.get("continue").is_some_and(|it| it.value == Value::Bool(true)),
        routes: node
            .get("routes")
            .into_iter()
            .flat_map(list)
            .filter_map(|it| route_of(at, it, &here, names, depth + 1))
            .collect(),
        span,
        group_interval: here.group_interval,
        repeat_interval: here.repeat_interval,
    })
}

/// `matchers`, and the older `match` and `match_re`: all of them must hold.
fn matchers(at: At<'_>, node: &Node) -> Vec<Option<Matcher>> {
    let mut all = Vec::new();
    for item in node.get("matchers").into_iter().flat_map(list) {
        match matcher::parse_many(&item.text, matcher::Grammar::Fallback) {
            Ok(read) => all.extend(read.into_iter().map(Some)),
            Err(error) => {
                all.push(None);
                let span = at.inside(item.span, &item.text, Some(error.at));
                at.report(span, Diagnostic::error(codes::MATCHER, error.message));
            }
        }
    }
    for (key, op) in [("match", Op::Equal), ("match_re", Op::Regex)] {
        if let Some(Value::Map(entries)) = node.get(key).map(|it| &it.value) {
            let read =
                entries.iter().map(|(name, value)| Matcher::new(&name.text, op, &value.text));
            all.extend(read.map(Result::ok));
        }
    }
    all
}

fn duration(node: &Node, key: &str) -> Option<Placed<Duration>> {
    let found = node.get(key)?;
    parse_duration(&found.text).ok().map(|value| Placed { value, span: found.span })
}

fn text<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).map_or("", |it| it.text.as_str())
}

fn list(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::List(items) => items.iter().map(|it| &**it).collect(),
        _ => Vec::new(),
    }
}

/// Keys whose values are shown; everything else may be a credential.
const SHOWN: [&str; 13] = [
    "receiver",
    "name",
    "matchers",
    "match",
    "match_re",
    "group_by",
    "group_wait",
    "group_interval",
    "repeat_interval",
    "continue",
    "send_resolved",
    "max_alerts",
    "timeout",
];

fn mask(at: At<'_>, node: &Node, key: &str) {
    match &node.value {
        _ if SHOWN.contains(&key) => {}
        Value::List(items) => items.iter().for_each(|it| mask(at, it, key)),
        Value::Map(entries) => {
            for (key, value) in entries {
                mask(at, value, &key.text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text => {
            at.mask(node.span);
        }
    }
}
