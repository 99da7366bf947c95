//! `alertmanager:` of quell.yml.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::config::endpoint;
use super::secret::Secrets;
use super::text;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::config::RawAlertmanager;
use crate::library::raw::config::RawEndpoint;
use crate::library::raw::config::RawReconcile;
use crate::model::alert::LOCAL;
use crate::model::config::Endpoint;
use crate::model::config::Ingest;
use crate::model::config::Reconcile;

/// Where it is, and how alerts are found that its webhook did not tell.
pub(super) fn alertmanager(
    secrets: &Secrets<'_>,
    found: Found<RawAlertmanager>,
    ingest: &Ingest,
) -> (Endpoint, Reconcile) {
    let at = secrets.at;
    let (mut receiver, mut sources, mut reconcile) = (None, None, None);
    let server = found.map(|raw| {
        (receiver, sources, reconcile) = (raw.receiver, raw.sources, raw.reconcile);
        RawEndpoint { url: raw.url, headers: raw.headers }
    });
    let server = endpoint(secrets, server);
    let receiver = receiver.and_then(Field::found).and_then(|it| text::name(at, it));
    let times = reconcile.and_then(Field::found).map(|it| times(at, it.value));
    let reconcile = Reconcile {
        receiver: receiver.map(|it| it.value),
        sources: known_sources(at, sources, ingest),
        ..times.unwrap_or_default()
    };
    (server, reconcile)
}

fn times(at: At<'_>, raw: RawReconcile) -> Reconcile {
    let default = Reconcile::default();
    let (hour, day) = (Duration::from_hours(1), Duration::from_hours(24));
    Reconcile {
        every: within(at, raw.every, default.every, Duration::from_secs(1)..=hour, "1s to 1h"),
        missed_after: within(
            at,
            raw.missed_after,
            default.missed_after,
            Duration::ZERO..=day,
            "0s to 1d",
        ),
        settled_after: within(
            at,
            raw.settled_after,
            default.settled_after,
            Duration::ZERO..=day,
            "0s to 1d",
        ),
        ..default
    }
}

fn within(
    at: At<'_>,
    field: Opt<DurationText>,
    default: Duration,
    range: RangeInclusive<Duration>,
    words: &str,
) -> Duration {
    let Some(found) = field.and_then(Field::found) else { return default };
    let Some(value) = text::duration(at, &found) else { return default };
    if !range.contains(&value) {
        let message = format!("expected a time from {words}, such as 5m");
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    value
}

/// Names of ingest tokens: another source is a mistake that would leave its episodes open for ever.
fn known_sources(at: At<'_>, field: Opt<List<String>>, ingest: &Ingest) -> Vec<String> {
    let given = field.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let mut sources = Vec::new();
    for found in given.into_iter().filter_map(Field::found) {
        let known = ingest.tokens.iter().any(|it| it.name == found.value);
        if !known && (found.value != LOCAL || !ingest.tokens.is_empty()) {
            let message = "expected the name of a token of `ingest.tokens`";
            let label = format!("or `{LOCAL}`, this host, where there are no tokens");
            at.report(found.span, Diagnostic::error(codes::VALUE, message).label(label));
        }
        sources.push(found.value);
    }
    sources
}
