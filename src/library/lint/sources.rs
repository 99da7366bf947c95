//! Probes with nobody to ask: they are unknown for ever, and unknown never acts.

use super::Gathered;
use super::Span;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::model::config::Config;
use crate::model::playbook::Measure;
use crate::model::playbook::Verification;
use crate::model::probe::Probe;

/// A server of quell.yml that a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Prometheus,
    Alertmanager,
}

impl Source {
    fn key(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
        }
    }

    fn is_there(self, config: &Config) -> bool {
        match self {
            Self::Prometheus => config.prometheus.is_some(),
            Self::Alertmanager => config.alertmanager.is_some(),
        }
    }
}

/// Whom a probe asks.
pub(super) fn of(probe: &Probe) -> Option<Source> {
    match probe {
        Probe::Promql { .. } => Some(Source::Prometheus),
        Probe::Alert => Some(Source::Alertmanager),
        _ => None,
    }
}

/// Whom a verification asks: of several, one that is not there.
fn of_verification(verify: &Verification, config: &Config) -> Option<Source> {
    let metrics = verify.unharmed.iter().filter_map(|it| match it.measure {
        Measure::Promql { .. } => Some(Source::Prometheus),
        Measure::Scrape { .. } => None,
    });
    let asked: Vec<Source> = of(&verify.probe).into_iter().chain(metrics).collect();
    asked.iter().find(|it| !it.is_there(config)).or(asked.first()).copied()
}

/// Reports them. A rule without `verify` that has remedies asks whether the alert is gone.
pub(super) fn check(sink: &Sink, config: &Config, gathered: &Gathered) {
    for (built, facts) in gathered.rules.iter().zip(&gathered.facts) {
        if built.remedies.is_empty() || !facts.sound {
            continue;
        }
        let (source, span, silent) = match &built.rule.verify {
            Some(verify) => match of_verification(verify, config) {
                Some(source) => (source, facts.verify, false),
                None => continue,
            },
            None => (Source::Alertmanager, built.name_span, true),
        };
        if !source.is_there(config) {
            report(At { file: &built.file, text: "", sink }, span, source, silent);
        }
    }
    for (built, facts) in gathered.schedules.iter().zip(&gathered.schedule_facts) {
        let verify = built.schedule.rule.verify.as_ref().filter(|_| facts.sound);
        let source = verify.and_then(|it| of_verification(it, config));
        let source = source.filter(|it| !it.is_there(config));
        if let Some(source) = source {
            report(At { file: &built.file, text: "", sink }, facts.verify, source, false);
        }
    }
    for ((check, _), facts) in gathered.checks.iter().zip(&gathered.check_facts) {
        if let Some((source, span)) = facts.asks.filter(|(source, _)| !source.is_there(config)) {
            report(At { file: &check.place.file, text: "", sink }, span, source, false);
        }
    }
    for (built, facts) in gathered.playbooks.iter().zip(&gathered.playbook_facts) {
        for (source, span) in facts.asks.iter().filter(|(source, _)| !source.is_there(config)) {
            report(At { file: &built.playbook.file, text: "", sink }, *span, *source, false);
        }
    }
}

fn report(at: At<'_>, span: Span, source: Source, silent: bool) {
    let key = source.key();
    let message = if silent {
        format!(
            "without `verify`, a remedy has helped when the alert is gone, and quell.yml has no `{key}` to ask"
        )
    } else {
        format!("this asks {}, and quell.yml has no `{key}`: it is always unknown", name(source))
    };
    let label = if silent {
        format!("add `verify`, or `{key}: {{ url: … }}` to quell.yml")
    } else {
        format!("add `{key}: {{ url: … }}` to quell.yml")
    };
    at.report(span, Diagnostic::warning(codes::NOBODY_TO_ASK, message).label(label));
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Prometheus => "Prometheus",
        Source::Alertmanager => "Alertmanager",
    }
}
