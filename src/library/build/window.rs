//! Windows of quell.yml.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::rule::all_matchers;
use super::schedule;
use super::text;
use super::text::place;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span as Where;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::InstantText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::ScheduleText;
use crate::library::raw::config::RawEffect;
use crate::library::raw::config::RawWindow;
use crate::library::suggest::short;
use crate::model::window::Effect;
use crate::model::window::LONGEST;
use crate::model::window::Span;
use crate::model::window::Window;

/// All windows; their names are unique.
pub(crate) fn windows(at: At<'_>, raw: List<RawWindow>) -> Vec<Window> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut windows = Vec::new();
    for found in raw.into_iter().filter_map(Field::found) {
        windows.extend(window(at, found, &mut seen));
    }
    windows
}

fn window(at: At<'_>, found: Found<RawWindow>, seen: &mut BTreeMap<String, u32>) -> Option<Window> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a window", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    if let Some(name) = &name {
        if let Some(line) = seen.get(&name.value) {
            let message = format!("window `{}` is here twice", name.value);
            let label = format!("first on line {line}");
            at.report(name.span, Diagnostic::error(codes::DUPLICATE_NAME, message).label(label));
        }
        seen.entry(name.value.clone()).or_insert(name.span.line);
    }
    let effect = raw.effect.need(at, near, "a window", "effect");
    let matchers = raw.matchers.and_then(Field::found);
    let matchers = matchers.map(|it| all_matchers(at, it.value)).unwrap_or_default();
    let lasts = raw.lasts.and_then(Field::found);
    let lasts = lasts.and_then(|it| Some((text::duration(at, &it)?, it.span)));
    let from = raw.from.and_then(Field::found);
    let until = raw.until.and_then(Field::found);
    let cron = raw.cron.and_then(Field::found);
    let span = match (cron, from, until) {
        (Some(cron), None, None) => recurring(at, cron, lasts, raw.timezone),
        (None, Some(from), Some(until)) if lasts.is_none() && raw.timezone.is_none() => {
            once(at, &from, &until)
        }
        _ => {
            let message = "a window is recurring or once";
            let label = "write `cron` and `for` (and `timezone`), or `from` and `until`";
            at.report(near, Diagnostic::error(codes::SHAPE, message).label(label));
            None
        }
    };
    let name = name?;
    Some(Window {
        span: span?,
        effect: effect?.value.into(),
        matchers,
        reason: raw.reason.and_then(Field::found).map(|it| it.value).unwrap_or_default(),
        place: place(at, name.span),
        name: name.value,
    })
}

impl From<RawEffect> for Effect {
    fn from(raw: RawEffect) -> Self {
        match raw {
            RawEffect::Observe => Self::Observe,
            RawEffect::Refuse => Self::Refuse,
            RawEffect::AllowOnly => Self::AllowOnly,
        }
    }
}

fn recurring(
    at: At<'_>,
    cron: Found<ScheduleText>,
    lasts: Option<(Duration, Where)>,
    timezone: Opt<String>,
) -> Option<Span> {
    let timezone = schedule::timezone(at, timezone);
    schedule::cron(at, &cron);
    let Some((lasts, span)) = lasts else {
        let message = "missing key `for`";
        let label = "a recurring window needs `for`: how long it lasts";
        at.report(cron.span, Diagnostic::error(codes::MISSING_KEY, message).label(label));
        return None;
    };
    if lasts.is_zero() || lasts > LONGEST {
        let message = "a window lasts more than 0s and at most a year";
        at.report(span, Diagnostic::error(codes::VALUE, message));
    }
    Some(Span::Recurring { cron: cron.value.0, timezone, lasts })
}

fn once(at: At<'_>, from: &Found<InstantText>, until: &Found<InstantText>) -> Option<Span> {
    let (begins, ends) = (instant(at, from), instant(at, until));
    let (begins, ends) = (begins?, ends?);
    if ends <= begins {
        let message = "the window ends before it begins";
        at.report(until.span, Diagnostic::error(codes::VALUE, message));
    }
    Some(Span::Once { from: begins, until: ends })
}

fn instant(at: At<'_>, found: &Found<InstantText>) -> Option<Timestamp> {
    let read = found.value.0.trim().parse::<Timestamp>();
    if read.is_err() {
        let message = format!("`{}` is not an instant", short(&found.value.0));
        let label = "write date, time and offset, such as 2026-01-05T10:00:00Z or 2026-01-05T11:00:00+01:00";
        at.report(found.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    read.ok()
}
