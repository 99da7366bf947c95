//! `unharmed:` of a verification.

use super::probe::http_url;
use super::text;
use super::text::Names;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::List;
use crate::library::raw::probe::RawUnharmed;
use crate::library::suggest::short;
use crate::model::playbook::Measure;
use crate::model::playbook::Unharmed;

/// What a condition over a metric may name.
const NAMES: Names<'static> =
    Names { variables: &["value", "labels", "before"], steps: None, secrets: &[] };

/// The metrics, each name once.
pub(crate) fn unharmed(at: At<'_>, list: List<RawUnharmed>, names: Names<'_>) -> Vec<Unharmed> {
    let mut metrics: Vec<Unharmed> = Vec::new();
    for found in list.into_iter().filter_map(Field::found) {
        let span = found.value.name.span();
        let Some(metric) = one(at, found, names) else { continue };
        if metrics.iter().any(|it| it.name == metric.name) {
            let message = format!("metric `{}` is here twice", short(&metric.name));
            at.report(span, Diagnostic::error(codes::DUPLICATE_NAME, message));
        }
        metrics.push(metric);
    }
    metrics
}

fn one(at: At<'_>, found: Found<RawUnharmed>, names: Names<'_>) -> Option<Unharmed> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a metric", "name").and_then(|it| text::name(at, it));
    let worse = raw.worse.need(at, span, "a metric", "worse");
    let worse = worse.map(|it| text::condition(at, it, NAMES));
    let measure = match (raw.promql, raw.scrape) {
        (Some(query), None) => {
            query.found().map(|it| Measure::Promql { query: text::template(at, it, names) })
        }
        (None, Some(page)) => page.found().and_then(|page| {
            let url = page.value.url.need(at, page.span, "`scrape`", "url");
            let select = page.value.select.need(at, page.span, "`scrape`", "select");
            let url = url.map(|it| http_url(at, it, names));
            let select = select.map(|it| text::template(at, it, names));
            Some(Measure::Scrape { url: url?, select: select? })
        }),
        (promql, _) => {
            let what = if promql.is_some() { "two things" } else { "nothing" };
            if !at.is_wrong(span) {
                let message = format!("a metric that measures {what}");
                let label = "expected exactly one of promql, scrape";
                at.report(span, Diagnostic::error(codes::SHAPE, message).label(label));
            }
            None
        }
    };
    Some(Unharmed { name: name?.value, measure: measure?, worse: worse? })
}
