//! What happens in a test.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Names;
use super::labels;
use crate::library::build::rule::all_matchers;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::Opt;
use crate::library::raw::test::RawAdded;
use crate::library::raw::test::RawComesTo;
use crate::library::raw::test::RawCounted;
use crate::library::raw::test::RawEvent;
use crate::library::raw::test::RawOutcome;
use crate::library::raw::test::RawSays;
use crate::library::raw::test::RawSees;
use crate::library::raw::test::RawSet;
use crate::library::raw::test::RawStanding;
use crate::library::raw::test::RawWatchdogIs;
use crate::library::raw::test::RawWord;
use crate::library::scenario::ComesTo;
use crate::library::scenario::Deed;
use crate::library::scenario::Says;
use crate::library::scenario::Scripted;
use crate::library::scenario::Spoken;
use crate::library::scenario::Whose;
use crate::model::labels::Labels;

/// Keys of an event that say what happens.
const DEEDS: &str = "alert, resolve, probe, step, silence, unsilence, alertmanager, approve, reject, ack, answer, cancel, \
                     take, give_back, break_glass, pause, resume, window, window_ends, changed, promote, restart, population, watchdog or clock";

/// One event; `before` is the time of the one before it.
pub(super) fn event(
    names: Names<'_>,
    found: Found<RawEvent>,
    before: Duration,
) -> Option<Scripted> {
    let Found { value: mut raw, span, .. } = found;
    let at = names.time(raw.at.take()).unwrap_or(before);
    let beside = raw.annotations.is_some() || raw.truncated.is_some() || raw.starts.is_some();
    if beside && raw.alert.is_none() {
        names.wrong_keys(
            span,
            "`annotations`, `truncated` and `starts` go with `alert`",
            "add `alert`, or remove them",
        );
    }
    let mut deeds = deeds(names, raw, span);
    if deeds.len() != 1 {
        let got = deeds.len();
        let message = format!("an event is exactly one thing that happens, and this is {got}");
        names.wrong_keys(span, message, &format!("expected one of {DEEDS}"));
        return None;
    }
    let what = deeds.pop().flatten()?;
    Some(Scripted { at, span, what })
}

/// One item a key that was written; `None` where its value is wrong.
fn deeds(
    names: Names<'_>,
    raw: RawEvent,
    span: crate::library::diagnostic::Span,
) -> Vec<Option<Deed>> {
    let mut deeds = Vec::new();
    let annotations = raw.annotations.and_then(Field::found).map(|it| labels(it.value));
    let truncated = raw.truncated.and_then(Field::found).map_or(0, |it| u64::from(it.value));
    let starts = names.time(raw.starts);
    if let Some(field) = raw.alert {
        let labels = field.found().map(|it| labels(it.value));
        if labels.as_ref().is_some_and(Labels::is_empty) {
            names.wrong_keys(span, "an alert without labels", "write `alert: { alertname: … }`");
        }
        deeds.push(labels.map(|labels| Deed::Fire {
            labels,
            annotations: annotations.unwrap_or_default(),
            truncated,
            starts,
        }));
    }
    if let Some(field) = raw.resolve {
        deeds.push(field.found().map(|it| Deed::Resolve(labels(it.value))));
    }
    if let Some(field) = raw.probe {
        deeds.push(field.found().and_then(|it| sees(names, it)));
    }
    if let Some(field) = raw.step {
        deeds.push(field.found().and_then(|it| comes_to(names, it)));
    }
    for (field, says) in [(raw.silence, Some(Says::Silenced)), (raw.unsilence, None)] {
        if let Some(field) = field {
            let of = field.found().map(|it| labels(it.value));
            deeds.push(of.map(|of| Deed::Alertmanager { of, says }));
        }
    }
    if let Some(field) = raw.alertmanager {
        deeds.push(field.found().and_then(|it| says(names, it)));
    }
    for (field, key) in [
        (raw.approve, "approve"),
        (raw.reject, "reject"),
        (raw.ack, "ack"),
        (raw.answer, "answer"),
        (raw.cancel, "cancel"),
        (raw.take, "take"),
        (raw.give_back, "give_back"),
        (raw.break_glass, "break_glass"),
    ] {
        if let Some(field) = field {
            deeds.push(field.found().and_then(|it| word(names, it, key)));
        }
    }
    if raw.pause.is_some() {
        deeds.push(names.scope(raw.pause).map(Deed::Pause));
    }
    if raw.resume.is_some() {
        deeds.push(names.scope(raw.resume).map(Deed::Resume));
    }
    if let Some(field) = raw.window {
        deeds.push(field.found().and_then(|it| window(names, it)));
    }
    if let Some(field) = raw.window_ends {
        deeds.push(field.found().map(|it| Deed::WindowEnds(it.value)));
    }
    if let Some(field) = raw.changed {
        deeds.push(field.found().map(|it| Deed::Changed(it.value)));
    }
    if raw.promote.is_some() {
        deeds.push(names.rule(raw.promote).map(|it| Deed::Promote(it.value)));
    }
    if raw.restart.is_some() {
        deeds.push(Some(Deed::Restart));
    }
    if let Some(field) = raw.population {
        deeds.push(field.found().and_then(|it| population(names, it)));
    }
    if let Some(field) = raw.watchdog {
        let arrives = field.found().map(|it| it.value == RawWatchdogIs::Back);
        deeds.push(arrives.map(|arrives| Deed::Watchdog { arrives }));
    }
    if let Some(field) = raw.clock {
        deeds.push(field.found().and_then(|it| clock(names, it)));
    }
    deeds
}

fn population(names: Names<'_>, found: Found<RawCounted>) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let rule = raw.rule.need(names.at, span, "`population`", "rule")?;
    let rule = names.rule(Some(Field::of(rule)))?.value;
    let count = |raw: Opt<u32>| raw.and_then(Field::found).map(|it| u64::from(it.value));
    Some(Deed::Population { rule, total: count(raw.of), unhealthy: count(raw.unhealthy) })
}

fn clock(names: Names<'_>, found: Found<RawSet>) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).ok();
    match (raw.forward, raw.back) {
        (Some(by), None) => Some(Deed::Clock(milliseconds(names.time(Some(by))?)?)),
        (None, Some(by)) => Some(Deed::Clock(-milliseconds(names.time(Some(by))?)?)),
        _ => {
            let label = "write `clock: { forward: 1h }` or `clock: { back: 1h }`";
            names.wrong_keys(span, "a clock is set one way", label);
            None
        }
    }
}

fn sees(names: Names<'_>, found: Found<RawSees>) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let health = raw.is.need(names.at, span, "a probe", "is").map(|it| it.value);
    let measured = raw.measured.and_then(Field::found).map(|it| it.value);
    let count = [raw.rule.is_some(), raw.check.is_some(), raw.playbook.is_some()];
    if count.iter().filter(|it| **it).count() != 1 || raw.playbook.is_some() != raw.step.is_some() {
        names.wrong_keys(
            span,
            "whose probe is it?",
            "name a `rule`, a `check`, or a `playbook` and its `step`",
        );
        return None;
    }
    let playbook = names.playbook(raw.playbook).map(|it| it.value);
    let step = names.step(raw.step, playbook.as_ref()).map(|it| it.value);
    if (raw.proof.is_some() || raw.unharmed.is_some()) && raw.rule.is_none()
        || raw.proof.is_some() && raw.unharmed.is_some()
    {
        let label = "write `rule`, and one of them";
        names.wrong_keys(span, "`proof` and `unharmed` go with `rule`, one at a time", label);
        return None;
    }
    let proof = names.proof(raw.proof);
    let rule = names.rule(raw.rule);
    let unharmed = names.metric(raw.unharmed, rule.as_ref().map(|it| it.value.as_str()));
    let rule = rule.map(|it| match (proof, unharmed) {
        (Some(proof), _) => Whose::Proof(it.value, proof),
        (None, Some(metric)) => Whose::Unharmed(it.value, metric),
        (None, None) => Whose::Rule(it.value),
    });
    let check = names.check(raw.check).map(|it| Whose::Check(it.value));
    let step = playbook.zip(step).map(|(playbook, step)| Whose::Step(playbook, step));
    Some(Deed::Probe { whose: rule.or(check).or(step)?, health: health?, measured })
}

fn comes_to(names: Names<'_>, found: Found<RawComesTo>) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let playbook = names.playbook(raw.playbook).map(|it| it.value);
    let step = names.step(raw.step, playbook.as_ref()).map(|it| it.value);
    let is = raw.is.need(names.at, span, "a step", "is")?.value;
    let reason = raw.reason.and_then(Field::found).map(|it| it.value);
    let output = raw.output.and_then(Field::found).map(|it| it.value);
    if output.is_some() && is != RawOutcome::Done {
        names.wrong_keys(span, "only a step that is done has an output", "remove `output`");
    }
    let found = raw.found.and_then(Field::found).map(|it| it.value.0).unwrap_or_default();
    let found = found.into_iter().filter_map(|it| Some((it.0.found()?.value, it.1.found()?.value)));
    let found = found.collect();
    let reason = || reason.unwrap_or_else(|| "the test says so".to_owned());
    let comes_to = match is {
        RawOutcome::Done => ComesTo::Done(output.unwrap_or_default()),
        RawOutcome::Fails => ComesTo::Fails { reason: reason(), retryable: true },
        RawOutcome::Refused => ComesTo::Fails { reason: reason(), retryable: false },
        RawOutcome::Denied => ComesTo::Denied(reason()),
        RawOutcome::Unknown => ComesTo::Unknown(reason()),
    };
    Some(Deed::Step {
        playbook,
        step,
        nth: raw.nth.and_then(Field::found).map(|it| it.value),
        undo: raw.undo.and_then(Field::found).is_some_and(|it| it.value),
        comes_to,
        takes: names.time(raw.takes).unwrap_or_default(),
        found,
    })
}

fn says(names: Names<'_>, found: Found<RawSays>) -> Option<Deed> {
    let is = found.value.is.need(names.at, found.span, "`alertmanager`", "is")?.value;
    let of = found.value.of.and_then(Field::found).map(|it| labels(it.value)).unwrap_or_default();
    let says = match is {
        RawStanding::Active => Says::Active,
        RawStanding::Silenced => Says::Silenced,
        RawStanding::Inhibited => Says::Inhibited,
        RawStanding::Gone => Says::Gone,
        RawStanding::Unknown => Says::Unknown,
    };
    Some(Deed::Alertmanager { of, says: Some(says) })
}

fn window(names: Names<'_>, found: Found<RawAdded>) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let name = raw.name.need(names.at, span, "a window", "name")?.value;
    let lasts = raw.lasts.need(names.at, span, "a window", "for").map(Field::of);
    let lasts = names.time(lasts);
    let effect = raw.effect.need(names.at, span, "a window", "effect")?.value.into();
    let matchers = raw.matchers.and_then(Field::found);
    let matchers = matchers.map(|it| all_matchers(names.at, it.value)).unwrap_or_default();
    let reason = text(raw.reason).unwrap_or_default();
    Some(Deed::Window { name, lasts: lasts?, effect, matchers, reason })
}

fn answers(entries: Entries<serde_json::Value>) -> BTreeMap<String, serde_json::Value> {
    let entries = entries.0.into_iter();
    entries.filter_map(|(key, value)| Some((key.found()?.value, value.found()?.value))).collect()
}

fn word(names: Names<'_>, found: Found<RawWord>, key: &str) -> Option<Deed> {
    let Found { value: raw, span, .. } = found;
    let reason = text(raw.reason);
    let happened = raw.happened.and_then(Field::found).map(|it| it.value);
    if reason.is_some() && !matches!(key, "reject" | "break_glass") {
        names.wrong_keys(span, "`reason` goes with `reject` and `break_glass`", "remove it");
    }
    if key == "break_glass" && raw.rule.is_some() == raw.target.is_some() {
        let label = "name a `rule` or a `target`";
        names.wrong_keys(span, "what is the glass broken for?", label);
        return None;
    }
    let answers = raw.answers.and_then(Field::found).map(|it| answers(it.value));
    let step = raw.step.and_then(Field::found).map(|it| it.value);
    for (there, it) in
        [(happened.is_some(), "happened"), (answers.is_some(), "answers"), (step.is_some(), "step")]
    {
        if there && key != "answer" {
            names.wrong_keys(span, format!("`{it}` goes with `answer`"), "remove it");
        }
    }
    let word = match key {
        "approve" => Spoken::Approve,
        "reject" => Spoken::Reject(reason.unwrap_or_else(|| "no reason given".to_owned())),
        "ack" => Spoken::Acknowledge,
        "cancel" => Spoken::Cancel,
        "take" => Spoken::Take,
        "give_back" => Spoken::GiveBack,
        "break_glass" => Spoken::BreakGlass(reason.unwrap_or_else(|| "no reason given".to_owned())),
        _ => match (happened, answers, step) {
            (Some(happened), None, None) => Spoken::Answer(happened),
            (None, Some(answers), step) => Spoken::Reply { step, answers },
            _ => {
                let label = "write `answer: { happened: true }`, or `answer: { answers: { replicas: 3 } }` for a question";
                names.wrong_keys(span, "did the step happen, or what is the answer?", label);
                return None;
            }
        },
    };
    Some(Deed::Word {
        by: names.operator(raw.by),
        word,
        rule: names.rule(raw.rule).map(|it| it.value),
        target: text(raw.target),
    })
}

fn text(raw: Opt<String>) -> Option<String> {
    raw.and_then(Field::found).map(|it| it.value)
}
