//! What is allowed and most likely not meant: warnings beyond syntax, one concern a file.
//!
//! A lint speaks only when it is sure. What it cannot know (an alert's other labels, a template's value) counts in
//! favour of what is written: silence is better than a false alarm.
//!
//! Most look at one rule or playbook while its tree is at hand ([`rules`], [`playbook`]); those that compare several
//! get what they need as [`Facts`] and run when all files are read ([`link`]).

use super::build::playbook::BuiltPlaybook;
use super::build::rule::BuiltRule;
use super::build::schedule::BuiltSchedule;
use super::codes;
use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::diagnostic::Sink;
use super::diagnostic::Span;
use super::link::Gathered;
use super::yaml::Node;
use super::yaml::Value;
use crate::decide::condition::Member;
use crate::model::config::Config;
use crate::model::matcher::Matcher;
use crate::model::playbook::Rate;
use crate::model::playbook::Verification;
use crate::model::rule::Check;
use crate::model::window::Window;

mod contradiction;
mod flush;
mod grouping;
mod healthy;
mod limits;
mod missing;
mod query;
mod severity;
mod shadow;
mod sources;
mod timing;
mod unused;
mod values;
mod when;

pub(crate) use contradiction::literals;

/// What the lints over several files need of one rule or schedule.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Whether it was looked at: nothing is wrong with it otherwise.
    sound: bool,
    group_by: Option<Span>,
    verify: Span,
    /// Whether no alert satisfies its matchers.
    never: bool,
    /// What its `when` says that labels are.
    equal: Vec<Matcher>,
    /// Members of `labels` and `annotations` that every alert it takes has.
    sure: Box<[Member]>,
    /// Severities that its matchers or labels name.
    severities: Vec<(String, Span)>,
}

/// What they need of one playbook.
#[derive(Debug, Default)]
pub(crate) struct PlaybookFacts {
    rate: Option<(Rate, Span)>,
    concurrent: Option<(u32, Span)>,
    /// Members that its steps print or compare, and the line of the first.
    needed: Vec<(Member, u32)>,
    /// Lines of its probes that ask Prometheus, and of those that ask Alertmanager.
    asks: Vec<(sources::Source, Span)>,
}

/// What they need of one check.
#[derive(Debug, Default)]
pub(crate) struct CheckFacts {
    asks: Option<(sources::Source, Span)>,
    severities: Vec<(String, Span)>,
}

/// Looks at the rules of one file; as many facts as rules.
pub(crate) fn rules(at: At<'_>, file: &Node, built: &[BuiltRule]) -> Vec<Facts> {
    let items = items(file, "rules");
    built.iter().map(|built| rule(at, named(&items, "name", built.name_span), built)).collect()
}

fn rule(at: At<'_>, node: Option<&Node>, built: &BuiltRule) -> Facts {
    let Some(node) = node else { return Facts::default() };
    let span = |key| node.get(key).map_or(Span::default(), |it| it.span);
    let mut facts = Facts {
        group_by: node.get("group_by").map(|it| it.span),
        verify: span("verify"),
        ..Facts::default()
    };
    // what follows from an error is not worth a second word
    if at.is_wrong(node.span) {
        return facts;
    }
    facts.sound = true;
    facts.severities = severity::named(node, &built.rule);
    facts.equal = when::look(at, node, &built.rule);
    facts.never = contradiction::check(at, node, "rule", &built.rule.matchers, &facts.equal);
    if !facts.never {
        facts.sure = missing::rule(at, node, &built.rule).into_iter().collect();
    }
    verification(at, node, built.rule.verify.as_ref());
    facts
}

fn verification(at: At<'_>, node: &Node, verify: Option<&Verification>) {
    if let Some((written, verify)) = node.get("verify").zip(verify) {
        let query = query::probe(at, written, &verify.probe);
        healthy::probe(at, written, &verify.probe);
        timing::verification(at, written, verify, query.as_ref());
        for (written, metric) in items(written, "unharmed").into_iter().zip(&verify.unharmed) {
            query::measure(at, written, &metric.measure);
            healthy::worse(at, written, &metric.worse);
        }
    }
}

/// Looks at the schedules of one file; as many facts as schedules.
pub(crate) fn schedules(at: At<'_>, file: &Node, built: &[BuiltSchedule]) -> Vec<Facts> {
    let items = items(file, "schedules");
    let facts = |it: &BuiltSchedule| schedule(at, named(&items, "name", it.name_span), it);
    built.iter().map(facts).collect()
}

fn schedule(at: At<'_>, node: Option<&Node>, built: &BuiltSchedule) -> Facts {
    let Some(node) = node.filter(|node| !at.is_wrong(node.span)) else {
        return Facts::default();
    };
    verification(at, node, built.schedule.rule.verify.as_ref());
    Facts {
        sound: true,
        verify: node.get("verify").map_or(Span::default(), |it| it.span),
        sure: missing::schedule(at, node, &built.schedule).into_iter().collect(),
        severities: severity::given(node, &built.schedule.labels),
        ..Facts::default()
    }
}

/// Looks at the checks of one file; as many facts as checks.
pub(crate) fn checks(at: At<'_>, file: &Node, built: &[(Check, Span)]) -> Vec<CheckFacts> {
    let items = items(file, "checks");
    built.iter().map(|(check, span)| one_check(at, named(&items, "name", *span), check)).collect()
}

fn one_check(at: At<'_>, node: Option<&Node>, check: &Check) -> CheckFacts {
    let Some(node) = node.filter(|node| !at.is_wrong(node.span)) else {
        return CheckFacts::default();
    };
    if let Some(probe) = node.get("probe") {
        query::probe(at, probe, &check.probe);
        healthy::probe(at, probe, &check.probe);
    }
    timing::check(at, node, check);
    CheckFacts {
        asks: sources::of(&check.probe)
            .zip(node.get("probe"))
            .map(|(source, probe)| (source, probe.span)),
        severities: severity::given(node, &check.labels),
    }
}

/// Looks at the windows of quell.yml: one that never matches neither freezes nor allows anything.
pub(crate) fn windows(at: At<'_>, file: &Node, windows: &[Window]) {
    let items = items(file, "windows");
    for window in windows {
        let is_it = |it: &&&Node| it.get("name").is_some_and(|name| name.text == window.name);
        if let Some(node) = items.iter().find(is_it).filter(|node| !at.is_wrong(node.span)) {
            contradiction::check(at, node, "window", &window.matchers, &[]);
        }
    }
}

/// Looks at who signs the audit: replicas make no key of their own.
pub(crate) fn audit(at: At<'_>, file: &Node, config: &Config) {
    if let Some(storage) = file.get("storage").filter(|node| !at.is_wrong(node.span))
        && config.storage.reveal().starts_with("postgres")
        && config.audit.signing_key.is_none()
    {
        let message =
            "nothing signs the audit: whoever can write to the database could change it unseen";
        let label = "write `audit: { signing_key: … }`; `quell audit key new FILE` makes a key";
        at.report(storage.span, Diagnostic::warning(codes::UNSIGNED_AUDIT, message).label(label));
    }
}

/// Looks at one playbook.
pub(crate) fn playbook(at: At<'_>, node: &Node, built: &BuiltPlaybook) -> PlaybookFacts {
    if !built.sound || at.is_wrong(node.span) {
        return PlaybookFacts::default();
    }
    unused::parameters(at, node, &built.playbook);
    flush::check(at, node, &built.playbook);
    let mut asks = Vec::new();
    let playbook = &built.playbook;
    for (key, steps) in [("steps", &playbook.steps), ("on_resolve", &playbook.on_resolve)] {
        for step in steps {
            let items = items(node, key);
            let is_it = |it: &&&Node| it.get("name").is_some_and(|name| name.text == step.name);
            let Some(written) = items.iter().find(is_it) else { continue };
            let crate::model::playbook::What::Probe { probe, .. } = &step.what else { continue };
            let Some(written) = written.get("probe") else { continue };
            query::probe(at, written, probe);
            healthy::probe(at, written, probe);
            asks.extend(sources::of(probe).map(|source| (source, written.span)));
        }
    }
    let limit = |key| node.get("limits").and_then(|it| it.get(key)).map(|it| it.span);
    PlaybookFacts {
        rate: playbook.limits.rate.zip(limit("rate")),
        concurrent: playbook.limits.concurrent.zip(limit("concurrent")),
        needed: missing::playbook(node),
        asks,
    }
}

/// Looks at what was read as a whole.
pub(crate) fn link(sink: &Sink, config: Option<&Config>, gathered: &Gathered) {
    shadow::check(sink, gathered);
    missing::in_playbooks(sink, gathered);
    values::check(sink, gathered);
    unused::playbooks(sink, gathered);
    unused::checks(sink, config, gathered);
    grouping::check(sink, gathered);
    if let Some(config) = config {
        limits::check(sink, config, gathered);
        severity::check(sink, config, gathered);
        // the defaults without a file are for a first look, and name no server on purpose
        if config.file.is_some() {
            sources::check(sink, config, gathered);
        }
    }
}

/// The items of a list under a key.
fn items<'a>(node: &'a Node, key: &str) -> Vec<&'a Node> {
    match node.get(key).map(|it| &it.value) {
        Some(Value::List(items)) => items.iter().map(|it| &**it).collect(),
        _ => Vec::new(),
    }
}

/// The item whose name stands there.
fn named<'a>(items: &[&'a Node], key: &str, span: Span) -> Option<&'a Node> {
    let found = items.iter().find(|it| it.get(key).is_some_and(|name| name.span == span));
    found.copied()
}

/// Calls `visit` with each scalar of a tree.
fn scalars<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Node)) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|it| scalars(it, visit)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| scalars(value, visit)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text => visit(node),
    }
}

/// The place of a byte of a scalar.
fn inside(at: At<'_>, scalar: &Node, offset: usize) -> Span {
    at.inside(scalar.span, &scalar.text, Some(offset))
}
