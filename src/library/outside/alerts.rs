//! Which alerts no rule of quell takes, which rules no alert feeds, and which alerts never arrive.

use super::alertmanager::Routing;
use super::labels::Known;
use super::labels::Truth;
use super::prometheus::Alert;
use super::prometheus::Alerts;
use super::route;
use crate::decide::check;
use crate::library::build::rule::BuiltRule;
use crate::library::candidates::Candidates;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::link::Gathered;
use crate::library::lint::literals;
use crate::library::suggest::nearest;
use crate::model::config::Config;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::matcher::Op;

/// Reports them.
pub(super) fn check(
    sink: &Sink,
    config: Option<&Config>,
    gathered: &Gathered,
    alerts: &Alerts,
    routing: Option<&Routing>,
) {
    // people are told of them: only what looks like a slip is a warning
    let unmatched = config.map(|it| it.unmatched.join(", ")).unwrap_or_default();
    let mut told: Vec<&str> = Vec::new();
    let candidates = Candidates::of(&gathered.rules);
    for alert in &alerts.alerts {
        let at = At { file: &alert.file, text: "", sink };
        let takers = candidates.for_alert(&alert.name);
        let taken = takers.into_iter().any(|it| takes(it, alert, alerts) != Truth::No);
        let arrives =
            routing.is_none_or(|it| route::may_arrive(it, &alert.labels, &alerts.external));
        match (taken, arrives) {
            // as it should be; or it is for somebody else, and goes there
            (true, true) | (false, false) => {}
            (true, false) => {
                let message = format!("alert `{}` never reaches quell", alert.name);
                let found = Diagnostic::warning(codes::ALERT_ELSEWHERE, message);
                let label = "no route that it can take posts to quell";
                at.report(alert.span, found.label(label));
            }
            (false, true) => {
                let message = format!("no rule matches alert `{}`", alert.name);
                let found = Diagnostic::warning(codes::UNMATCHED_ALERT, message);
                match why_untaken(gathered, alert, alerts) {
                    Some(why) => at.report(alert.span, found.label(why)),
                    None if unmatched.is_empty() => {
                        let label = "quell only stores it, unless `unmatched:` says whom to tell";
                        at.report(alert.span, found.label(label));
                    }
                    None => told.push(&alert.name),
                }
            }
        }
    }
    if !told.is_empty() {
        let names = told.join(", ");
        let remark = format!("no rule matches these alerts, and `{unmatched}` is told: {names}");
        sink.push(Diagnostic::remark(remark));
    }
    for built in gathered.rules.iter().filter(|it| it.selects) {
        let by_check = gathered.checks.iter().any(|(it, _)| {
            let labels = check::labels(it);
            let blind = check::blind_labels(it);
            [labels, blind].iter().any(|labels| all_match(&built.rule.matchers, labels))
        });
        if by_check || alerts.alerts.iter().any(|it| takes(built, it, alerts) != Truth::No) {
            continue;
        }
        let message = format!("no alert matches rule `{}`", built.rule.name);
        let found = Diagnostic::warning(codes::RULE_WITHOUT_ALERT, message);
        At { file: &built.file, text: "", sink }
            .report(built.name_span, found.label(why_unfed(built, alerts)));
    }
}

fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|it| it.matches(labels))
}

/// Whether a rule takes an alert, whatever its other labels are.
fn takes(built: &BuiltRule, alert: &Alert, alerts: &Alerts) -> Truth {
    if !built.selects {
        return Truth::Maybe;
    }
    all(&built.rule.matchers, &alert.labels, alerts)
}

fn all(matchers: &[Matcher], labels: &Known, alerts: &Alerts) -> Truth {
    let mut all = Truth::Yes;
    for matcher in matchers {
        match labels.satisfies(matcher, &alerts.external) {
            Truth::No => return Truth::No,
            Truth::Maybe => all = Truth::Maybe,
            Truth::Yes => {}
        }
    }
    all
}

/// Names of alerts that a rule asks for.
fn asked(built: &BuiltRule) -> Vec<&str> {
    let names = built.rule.matchers.iter().filter(|it| it.name() == "alertname");
    names
        .flat_map(|it| match it.op() {
            Op::Equal => vec![it.value()],
            Op::Regex => literals(it.value()).unwrap_or_default(),
            Op::NotEqual | Op::NotRegex => Vec::new(),
        })
        .collect()
}

/// The matcher that is in the way, and what the alert has instead.
fn in_the_way(built: &BuiltRule, alert: &Alert, alerts: &Alerts) -> Option<String> {
    let refuses = |it: &&Matcher| alert.labels.satisfies(it, &alerts.external) == Truth::No;
    let matcher = built.rule.matchers.iter().find(refuses)?;
    let has = match alert.labels.value(matcher.name(), &alerts.external).unwrap_or_default() {
        "" => format!("the alert has no label {}", matcher.name()),
        value => format!("the alert has \"{value}\""),
    };
    Some(format!("{matcher}, and {has}"))
}

/// What a rule that was most likely meant says otherwise.
fn why_untaken(gathered: &Gathered, alert: &Alert, alerts: &Alerts) -> Option<String> {
    let mut named = gathered.rules.iter().filter(|it| asked(it).contains(&alert.name.as_str()));
    if let Some(built) = named.next()
        && let Some(why) = in_the_way(built, alert, alerts)
    {
        return Some(format!("rule `{}` ({}) asks for {why}", built.rule.name, built.rule.place));
    }
    let near = nearest(&alert.name, gathered.rules.iter().flat_map(asked));
    let (name, built) = near.and_then(|name| {
        gathered.rules.iter().find(|it| asked(it).contains(&name)).map(|built| (name, built))
    })?;
    Some(format!("rule `{}` ({}) asks for `{name}`", built.rule.name, built.rule.place))
}

fn why_unfed(built: &BuiltRule, alerts: &Alerts) -> String {
    let asked = asked(built);
    let mut named = alerts.alerts.iter().filter(|it| asked.contains(&it.name.as_str()));
    if let Some(alert) = named.next()
        && let Some(why) = in_the_way(built, alert, alerts)
    {
        return format!("`{}` ({}:{}) is near: {why}", alert.name, alert.file, alert.span.line);
    }
    let names = || alerts.alerts.iter().map(|it| it.name.as_str());
    let near = asked.iter().find_map(|name| nearest(name, names()));
    match near {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("none of {} alerting rules can raise one", alerts.alerts.len()),
    }
}
