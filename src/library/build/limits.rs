//! `limits:` of quell.yml, and the watchdog.

use std::time::Duration;

use super::rule;
use super::text;
use super::text::place;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::config::RawLimits;
use crate::library::raw::config::RawStorm;
use crate::library::raw::config::RawWatchdog;
use crate::model::config::Limits;
use crate::model::config::StormLimits;
use crate::model::config::WatchdogSource;
use crate::model::rule::Set;

pub(crate) fn limits(at: At<'_>, raw: RawLimits) -> Limits {
    let mut limits = Limits::default();
    if let Some(found) = raw.rate.and_then(Field::found)
        && let Some(value) = text::rate(at, &found)
    {
        limits.rate = Set { value, place: place(at, found.span) };
    }
    if let Some(found) = raw.concurrent.and_then(Field::found) {
        let value = text::positive(at, &found);
        limits.concurrent = Set { value, place: place(at, found.span) };
    }
    for (field, limit) in [
        (raw.max_age, &mut limits.max_age),
        (raw.cooldown, &mut limits.cooldown),
        (raw.quiet, &mut limits.quiet),
        (raw.max_skew, &mut limits.max_skew),
    ] {
        if let Some(found) = field.and_then(Field::found)
            && let Some(value) = text::duration(at, &found)
        {
            *limit = Set { value, place: place(at, found.span) };
        }
    }
    for (field, limit) in [
        (raw.service_rate, &mut limits.service_rate),
        (raw.ineffective, &mut limits.ineffective),
        (raw.failures, &mut limits.failures),
        (raw.chronic, &mut limits.chronic),
        (raw.flapping, &mut limits.flapping),
    ] {
        if let Some(found) = field.and_then(Field::found)
            && let Some(value) = text::rate(at, &found)
        {
            *limit = Set { value, place: place(at, found.span) };
        }
    }
    if let Some(found) = raw.demote_after.and_then(Field::found)
        && let Some(value) = text::rate_of_one(at, &found)
    {
        limits.demote_after = Set { value, place: place(at, found.span) };
    }
    for (field, limit) in
        [(raw.max_unhealthy, &mut limits.max_unhealthy), (raw.max_drop, &mut limits.max_drop)]
    {
        if let Some(found) = field.and_then(Field::found)
            && let Some(value) = text::percent(at, &found)
        {
            *limit = Set { value, place: place(at, found.span) };
        }
    }
    if let Some(found) = raw.max_targets.and_then(Field::found) {
        let value = text::positive(at, &found);
        limits.max_targets = Set { value, place: place(at, found.span) };
    }
    if let Some(found) = raw.storm.and_then(Field::found) {
        let span = found.span;
        limits.storm = Set { value: storm(at, found.value), place: place(at, span) };
    }
    limits
}

fn storm(at: At<'_>, raw: RawStorm) -> StormLimits {
    let silent = Limits::default().storm.value;
    StormLimits {
        targets: raw
            .targets
            .and_then(Field::found)
            .map_or(silent.targets, |it| text::positive(at, &it)),
        within: text::duration_or(at, raw.within.and_then(Field::found), silent.within),
        cooldown: text::duration_or(at, raw.cooldown.and_then(Field::found), silent.cooldown),
    }
}

/// Without a time in the file.
const WATCHDOG_WITHIN: Duration = Duration::from_mins(10);

pub(crate) fn watchdog(at: At<'_>, found: Found<RawWatchdog>) -> Option<WatchdogSource> {
    let Found { value: raw, span, .. } = found;
    let matchers = raw.matchers.need(at, span, "`watchdog`", "match")?;
    let matchers_span = matchers.span;
    let matchers = rule::all_matchers(at, matchers.value);
    if matchers.is_empty() && !at.is_wrong(matchers_span) {
        let message = "no matcher: every alert would be the watchdog";
        at.report(matchers_span, Diagnostic::error(codes::VALUE, message));
    }
    let within = raw.within.and_then(Field::found);
    let within_span = within.as_ref().map_or(span, |it| it.span);
    let value = text::duration_or(at, within, WATCHDOG_WITHIN);
    if value.is_zero() {
        let message = "expected a time above 0s";
        at.report(within_span, Diagnostic::error(codes::VALUE, message));
    }
    Some(WatchdogSource { matchers, within: Set { value, place: place(at, within_span) } })
}
