//! `for_each`, and how fast.

use super::probe;
use super::text;
use super::text::Names;
use crate::decide::parameters::is_template;
use crate::decide::plan;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::ShareText;
use crate::library::raw::TemplateText;
use crate::library::raw::playbook::RawAmong;
use crate::library::raw::playbook::RawBetween;
use crate::library::raw::playbook::RawItems;
use crate::library::suggest::short;
use crate::model::playbook::Among;
use crate::model::playbook::Between;
use crate::model::playbook::Each;
use crate::model::playbook::Items;
use crate::model::playbook::Share;

/// The keys that only make sense beside `for_each`.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) waves: Opt<List<ShareText>>,
    pub(crate) bake: Opt<DurationText>,
    pub(crate) between: Opt<RawBetween>,
    pub(crate) max_targets: Opt<u32>,
    pub(crate) domain: Opt<TemplateText>,
    pub(crate) among: Opt<RawAmong>,
}

/// What a step is done for. The items see what the step sees, and not themselves.
pub(crate) fn each(
    at: At<'_>,
    items: Option<Found<RawItems>>,
    pace: Pace,
    names: Names<'_>,
) -> Option<Each> {
    let Pace { waves, bake, between, max_targets, domain, among } = pace;
    let keys = [
        ("waves", waves.as_ref().map(Field::span)),
        ("bake", bake.as_ref().map(Field::span)),
        ("between", between.as_ref().map(Field::span)),
        ("max_targets", max_targets.as_ref().map(Field::span)),
        ("domain", domain.as_ref().map(Field::span)),
        ("among", among.as_ref().map(Field::span)),
    ];
    let needs = if items.is_none() { "for_each" } else { "waves" };
    for (key, span) in keys {
        let Some(span) = span else { continue };
        let of_waves = matches!(key, "bake" | "between");
        if items.is_none() || of_waves && waves.is_none() {
            let message = format!("`{key}` without `{needs}`");
            let label = match needs {
                "waves" => "without `waves` there is one wave, and nothing between waves",
                _ => "it says how fast a `for_each` goes",
            };
            at.report(span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
    }
    let waves = waves.and_then(Field::found);
    let between = between.and_then(Field::found).and_then(|it| self::between(at, it, names));
    let bake = text::duration_or(at, bake.and_then(Field::found), std::time::Duration::ZERO);
    let (items, known) = self::items(at, items?, names);
    let waves = waves.map(|it| self::waves(at, it, known)).unwrap_or_default();
    let of_item = [names.variables, &plan::OF_ITEMS].concat();
    let of_item = Names { variables: &of_item, ..names };
    Some(Each {
        items,
        waves,
        bake,
        between,
        max_targets: max_targets.and_then(Field::found).map(|it| text::positive(at, &it)),
        domain: domain.and_then(Field::found).map(|it| text::template(at, it, of_item)),
        among: among.and_then(Field::found).and_then(|it| self::among(at, it, names)),
    })
}

/// The items, and how many they are when that is known.
fn items(at: At<'_>, found: Found<RawItems>, names: Names<'_>) -> (Items, Option<usize>) {
    let Found { value, span, written } = found;
    match value {
        RawItems::Expression(text) if is_template(&text.0) => {
            let message = "expected an expression, got a template";
            let label = "write it without `{{ }}`, or a list of templates";
            at.report(span, Diagnostic::error(codes::CONDITION, message).label(label));
            (Items::Expression(text.0), None)
        }
        RawItems::Expression(text) => {
            (Items::Expression(text::list(at, Found { value: text, span, written }, names)), None)
        }
        RawItems::List(list) => {
            if list.is_empty() {
                let message = "an empty list: there is nothing to do it for";
                at.report(span, Diagnostic::error(codes::VALUE, message));
            }
            let count = list.len();
            let mut seen: Vec<String> = Vec::new();
            for item in list.into_iter().filter_map(Field::found) {
                let place = item.span;
                let text = text::template(at, item, names);
                if seen.contains(&text) {
                    let message = format!("item `{}` is in the list twice", short(&text));
                    at.report(place, Diagnostic::error(codes::VALUE, message));
                }
                seen.push(text);
            }
            (Items::Listed(seen), Some(count))
        }
    }
}

fn waves(at: At<'_>, found: Found<List<ShareText>>, known: Option<usize>) -> Vec<Share> {
    let mut waves: Vec<Share> = Vec::new();
    let span = found.span;
    let written: Vec<Found<ShareText>> = found.value.into_iter().filter_map(Field::found).collect();
    for wave in &written {
        let Some(share) = share(&wave.value.0) else {
            let message = format!("`{}` is neither a count nor a part", short(&wave.value.0));
            let label = "write a number above zero, or one from 1% to 100%";
            at.report(wave.span, Diagnostic::error(codes::WAVES, message).label(label));
            return waves;
        };
        let grows = match (waves.last(), share) {
            (Some(Share::Count(before)), Share::Count(count)) => *before < count,
            (Some(Share::Percent(before)), Share::Percent(part)) => *before < part,
            (Some(Share::Percent(100)), Share::Count(_)) => false,
            (Some(_) | None, _) => true,
        };
        if !grows {
            let message = format!("wave {share} does not go beyond the one before");
            let label = "waves are how many items are done in all at their end";
            at.report(wave.span, Diagnostic::error(codes::WAVES, message).label(label));
        }
        waves.push(share);
    }
    let all = match (waves.last(), known) {
        (Some(Share::Percent(part)), _) => *part == 100,
        (Some(Share::Count(count)), Some(items)) => {
            usize::try_from(*count).is_ok_and(|it| it >= items)
        }
        (Some(Share::Count(_)), None) | (None, _) => false,
    };
    if !all {
        let place = written.last().map_or(span, |wave| wave.span);
        let message = "the last wave does not reach all items";
        let found = Diagnostic::error(codes::WAVES, message).label("end with 100%");
        at.report(place, found);
    }
    waves
}

pub(crate) fn share(text: &str) -> Option<Share> {
    let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    match text.trim().strip_suffix('%') {
        Some(part) if digits(part) => {
            part.parse().ok().filter(|part| (1..=100).contains(part)).map(Share::Percent)
        }
        None if digits(text.trim()) => {
            text.trim().parse().ok().filter(|count| *count > 0).map(Share::Count)
        }
        Some(_) | None => None,
    }
}

fn among(at: At<'_>, found: Found<RawAmong>, names: Names<'_>) -> Option<Among> {
    let Found { value: raw, span, .. } = found;
    let query = raw.promql.need(at, span, "`among`", "promql");
    let query = query.map(|it| text::template(at, it, names));
    let label = raw.label.need(at, span, "`among`", "label").and_then(|it| text::name(at, it));
    Some(Among { query: query?, label: label?.value })
}

fn between(at: At<'_>, found: Found<RawBetween>, names: Names<'_>) -> Option<Between> {
    let Found { value: raw, span, .. } = found;
    let probe = raw.probe.need(at, span, "`between`", "probe")?;
    let probe = probe::probe(at, "the probe", probe.span, probe.value, names);
    let within = text::duration_or(at, raw.within.and_then(Field::found), probe::STEP_WITHIN);
    Some(Between { probe: probe?, within })
}
