//! `PromQL` of probes and verifications.

use std::time::Duration;

use super::inside;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::promql;
use crate::library::promql::Filter;
use crate::library::promql::Masked;
use crate::library::promql::Odd;
use crate::library::promql::Wrong;
use crate::library::yaml::Node;
use crate::model::playbook::Measure;
use crate::model::probe::Probe;

/// What is known of a query that parses.
#[derive(Debug)]
pub(super) struct Query {
    /// The longest time it looks back over.
    pub(super) longest_range: Option<Duration>,
}

/// Looks at the query of a probe, whose tree is `node`. `None` when it has none or it could not be read.
pub(super) fn probe(at: At<'_>, node: &Node, probe: &Probe) -> Option<Query> {
    let Probe::Promql { query, .. } = probe else { return None };
    look(at, node, query)
}

/// Looks at the query of a metric that must not get worse.
pub(super) fn measure(at: At<'_>, node: &Node, measure: &Measure) -> Option<Query> {
    let Measure::Promql { query } = measure else { return None };
    look(at, node, query)
}

fn look(at: At<'_>, node: &Node, query: &str) -> Option<Query> {
    let written = node.get("promql")?;
    let masked = Masked::of(query)?;
    let parsed = promql::parse(&masked.text).or_else(|wrong| match &masked.with_numbers {
        Some(text) => promql::parse(text).map_err(|_| {
            Wrong::Unknown("a template stands where it cannot be told what it becomes".to_owned())
        }),
        None => Err(wrong),
    });
    let expr = match parsed {
        Ok(expr) => expr,
        Err(Wrong::Syntax(reason, offset)) => {
            let label = remedy(&masked.text, &reason, offset);
            let found = Diagnostic::error(codes::PROMQL, format!("this is no PromQL: {reason}"));
            at.report(inside(at, written, offset), found.label(label));
            return None;
        }
        Err(Wrong::Unknown(reason)) => {
            let message = format!("this PromQL was not checked: {reason}");
            let found = Diagnostic::warning(codes::PROMQL_UNCHECKED, message)
                .label("ask the server itself: `promtool check` or its query page");
            at.report(written.span, found);
            return None;
        }
    };
    if let Some(odd) = promql::odd(&expr) {
        report(at, written, &masked.text, odd);
    }
    Some(Query { longest_range: promql::longest_range(&expr) })
}

/// What to write instead of what does not parse.
fn remedy(text: &str, reason: &str, offset: usize) -> &'static str {
    let (before, rest) = text.split_at_checked(offset).unwrap_or_default();
    let unexpected = reason.starts_with("unexpected");
    if unexpected && rest.starts_with('=') {
        "write `==` to compare"
    } else if unexpected && before.trim_end().ends_with(['=', '~']) {
        "the value of a label needs quotes around it"
    } else if reason.contains("got instant vector") {
        "give it a range, as in `rate(x[5m])`"
    } else if reason.ends_with("is not closed") {
        "close it"
    } else {
        ""
    }
}

fn report(at: At<'_>, written: &Node, text: &str, odd: Odd) {
    let place =
        |sign| promql::place_of(text, sign).map_or(written.span, |it| inside(at, written, it));
    let (span, found) = match odd {
        Odd::Constant => (
            written.span,
            Diagnostic::warning(
                codes::COMPARES_NOTHING,
                "this query reads no series: it says the same whatever happens",
            )
            .label("name a metric"),
        ),
        Odd::Range => (
            written.span,
            Diagnostic::warning(
                codes::COMPARES_NOTHING,
                "this query gives ranges of samples, and a range has no value to judge",
            )
            .label("put it into a function, as in `rate(…)` or `max_over_time(…)`"),
        ),
        Odd::Vanishes(Filter::Comparison(sign)) => (
            place(sign),
            Diagnostic::warning(
                codes::VANISHES,
                format!(
                    "`{sign}` takes away the series for which it is false, and no sample is unknown"
                ),
            )
            .label(format!("compare in `healthy`, or write `{sign} bool`")),
        ),
        Odd::Vanishes(Filter::Absent) => (
            written.span,
            Diagnostic::warning(
                codes::VANISHES,
                "`absent` gives nothing when the series is there, and no sample is unknown",
            )
            .label("add `or vector(0)`, and judge that by `value == 0.0`"),
        ),
    };
    at.report(span, found);
}
