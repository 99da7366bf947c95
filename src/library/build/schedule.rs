//! Schedules, and what checks and windows share with them: cron expressions and time zones.

use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use croner::parser::CronParser;
use croner::parser::Year;
use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::probe;
use super::rule;
use super::rule::BuiltRemedy;
use super::text;
use super::text::place;
use crate::decide::parameters::is_template;
use crate::decide::schedule::ALERT;
use crate::decide::slots;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::Opt;
use crate::library::raw::ScheduleText;
use crate::library::raw::rule::RawSchedule;
use crate::library::suggest::short;
use crate::model::playbook::Mode;
use crate::model::probe::Probe;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::RuleLimits;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Schedule;
use crate::model::rule::Set;

/// Labels that a schedule gives its episodes itself.
const OWN: [&str; 3] = ["alertname", "schedule", "slot"];

/// Slots that jitter is compared with.
const LOOKED_AT: usize = 8;

/// A schedule whose playbook is not looked up yet.
#[derive(Debug)]
pub(crate) struct BuiltSchedule {
    /// Its rule has no response yet.
    pub(crate) schedule: Schedule,
    pub(crate) file: String,
    pub(crate) name_span: Span,
    pub(crate) remedy: BuiltRemedy,
}

/// One schedule. `None` when it cannot be read.
pub(crate) fn schedule(at: At<'_>, found: Found<RawSchedule>) -> Option<BuiltSchedule> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(at, span, "a schedule", "name").and_then(|name| text::name(at, name));
    let near = name.as_ref().map_or(span, |name| name.span);
    let timezone = timezone(at, raw.timezone);
    let when = raw.cron.need(at, near, "a schedule", "cron");
    let comes = when.as_ref().is_some_and(|it| cron(at, it));
    let playbook = raw.playbook.need(at, near, "a schedule", "playbook");
    let with = rule::with(at, raw.with);
    let target = raw.target.and_then(Field::found).map(|it| target(at, it));
    let mode = raw.mode.and_then(Field::found);
    let tier = raw.tier.and_then(Field::found);
    let tier = text::tier(at, tier.as_ref());
    let approvals = raw.approvals.and_then(Field::found);
    let approvals = text::approvals(at, approvals.as_ref());
    let verify = raw.verify.and_then(Field::found);
    let verify = verify.and_then(|it| {
        let span = it.span;
        let verify = probe::verification(at, it, rule::NAMES)?;
        if verify.probe == Probe::Alert {
            let message = "a schedule has no alert that could go away";
            let label = "verify with another probe, or leave `verify` out";
            at.report(span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
        Some(verify)
    });
    let jitter = raw.jitter.and_then(Field::found);
    let own_labels = raw.labels.as_ref().and_then(Field::get);
    for (key, _) in own_labels.map(|it| it.0.as_slice()).unwrap_or_default() {
        if let Some(name) = key.get().filter(|name| OWN.contains(&name.as_str())) {
            let message = format!("a schedule gives the label `{name}` itself");
            let note = format!("its episodes have alertname=\"{ALERT}\", schedule and slot");
            at.report(key.span(), Diagnostic::error(codes::VALUE, message).note(note));
        }
    }
    let labels = rule::labels(at, raw.labels);
    let (name, when, playbook) = (name?, when?.value.0, playbook?);
    let jitter = jitter.map(|it| jitter_of(at, &it, comes.then_some((&*when, &*timezone))));
    let here = place(at, name.span);
    let own = Rule {
        name: format!("{SCHEDULE}{}", name.value),
        description: raw.description.and_then(Field::found).map(|it| it.value).unwrap_or_default(),
        matchers: Vec::new(),
        when: None,
        group_by: Vec::new(),
        target: target.unwrap_or_else(|| default_target(&name.value)),
        response: Vec::new(),
        verify,
        limits: RuleLimits::default(),
        population: None,
        redundancy_group: None,
        page: None,
        updates: None,
        mode: mode.map_or_else(
            || Set::default_of(Mode::Auto),
            |mode| Set { value: mode.value, place: place(at, mode.span) },
        ),
        go_on: false,
        place: here.clone(),
    };
    let remedy = BuiltRemedy {
        remedy: Remedy {
            playbook: playbook.value,
            with: std::collections::BTreeMap::new(),
            mode: None,
            tier,
            approvals,
            place: place(at, playbook.span),
        },
        playbook_span: playbook.span,
        with,
    };
    let schedule = Schedule {
        name: name.value,
        cron: when,
        timezone,
        overlap: raw.overlap.and_then(Field::found).map_or(Overlap::Skip, |it| it.value),
        missed: raw.missed.and_then(Field::found).map_or(Missed::Skip, |it| it.value),
        jitter: jitter.unwrap_or_default(),
        labels,
        rule: Arc::new(own),
        place: here,
    };
    Some(BuiltSchedule { schedule, file: at.file.to_owned(), name_span: name.span, remedy })
}

/// `schedule/NAME`, as one part, whatever characters the name has.
fn default_target(name: &str) -> String {
    let plain = |c: char| if c == '/' || c == '{' || c == '}' { '-' } else { c };
    format!("schedule/{}", name.chars().map(plain).collect::<String>())
}

fn target(at: At<'_>, found: Found<String>) -> String {
    let template = is_template(&found.value);
    if template || found.value.is_empty() || found.value.split('/').any(str::is_empty) {
        let message = if template {
            "the target of a schedule is plain text, without templates"
        } else {
            "a target has no empty part"
        };
        at.report(found.span, Diagnostic::error(codes::VALUE, message));
    }
    found.value
}

/// Reports jitter that would let a slot begin after the next one.
fn jitter_of(
    at: At<'_>,
    found: &Found<crate::library::raw::DurationText>,
    cron: Option<(&str, &str)>,
) -> Duration {
    let Some(jitter) = text::duration(at, found) else { return Duration::ZERO };
    let Some((cron, timezone)) = cron else { return jitter };
    let mut slots = Vec::new();
    let mut last = Timestamp::UNIX_EPOCH;
    while let Some(slot) = slots::next(cron, timezone, last).filter(|_| slots.len() < LOOKED_AT) {
        slots.push(slot);
        last = slot;
    }
    let gaps = slots.iter().zip(slots.iter().skip(1));
    let shortest = gaps.map(|(a, b)| crate::model::time::since(*b, *a)).min();
    if let Some(shortest) = shortest.filter(|it| jitter >= *it) {
        let message = "the jitter is not shorter than the time between two slots";
        let label = format!("slots are {} apart", crate::model::time::show_duration(shortest));
        at.report(found.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    jitter
}

/// An IANA time zone; UTC when silent.
pub(crate) fn timezone(at: At<'_>, field: Opt<String>) -> String {
    let Some(zone) = field.and_then(Field::found) else { return "UTC".to_owned() };
    if TimeZone::get(&zone.value).is_err() {
        let message = format!("unknown time zone `{}`", short(&zone.value));
        let label = "expected an IANA name such as Europe/Berlin";
        at.report(zone.span, Diagnostic::error(codes::TIMEZONE, message).label(label));
    }
    zone.value
}

/// What each field of a cron expression may be, seconds first.
const FIELDS: [&str; 6] = [
    "seconds go from 0 to 59",
    "minutes go from 0 to 59",
    "hours go from 0 to 23",
    "days of the month go from 1 to 31, or `L` for the last",
    "months go from 1 to 12, or JAN to DEC",
    "days of the week go from 0 to 7, both Sunday, or SUN to SAT",
];

/// Reports a schedule that cannot be read, or that never comes; says whether it does.
pub(crate) fn cron(at: At<'_>, cron: &Found<ScheduleText>) -> bool {
    let text = &cron.value.0;
    let fields = text.split_whitespace().count();
    if !text.trim_start().starts_with('@') && !(5..=6).contains(&fields) {
        let message = format!("expected five fields, or six with seconds first, got {fields}");
        let label = "minute, hour, day of month, month, day of week: `0 2 * * *`";
        at.report(cron.span, Diagnostic::error(codes::CRON, message).label(label));
        return false;
    }
    let read = match parse(text) {
        Ok(read) => read,
        Err(reason) => {
            let (offset, label) = wrong_field(text).unzip();
            let message = format!("`{}` is not a schedule: {reason}", short(text));
            let found = Diagnostic::error(codes::CRON, message).label(label.unwrap_or_default());
            at.report(at.inside(cron.span, text, offset), found);
            return false;
        }
    };
    // Any instant will do: a schedule without a year comes in every span of 28 regular years, or never. croner
    // searches up to the year 5000, so the last such span bounds what a date that never comes costs.
    let start = date(4960, 1, 1).to_zoned(TimeZone::UTC);
    let comes = start.is_ok_and(|start| read.find_next_occurrence(&start, false).is_ok());
    if !comes {
        let message = format!("`{}` never comes: no date is like that", short(text));
        let label = "write a day that the month has, or `L` for its last one";
        at.report(cron.span, Diagnostic::error(codes::CRON, message).label(label));
    }
    comes
}

fn parse(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.trim_end_matches('.');
        lowercase_first(reason.rsplit_once(": ").map_or(reason, |(_, reason)| reason))
    })
}

/// Where the only field stands that cannot be read, and what it may be.
fn wrong_field(text: &str) -> Option<(usize, &'static str)> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let wrong = (0..fields.len()).find(|wrong| {
        let others = fields.iter().enumerate().map(|(at, it)| if at == *wrong { "*" } else { *it });
        parse(&others.collect::<Vec<_>>().join(" ")).is_ok()
    })?;
    let may_be = FIELDS.get(FIELDS.len().checked_sub(fields.len())?..)?.get(wrong)?;
    let before: usize = text.len() - text.trim_start().len();
    let mut offset = before;
    for field in fields.iter().take(wrong) {
        let rest = text.get(offset + field.len()..)?;
        offset += field.len() + (rest.len() - rest.trim_start().len());
    }
    Some((offset, may_be))
}

fn lowercase_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
