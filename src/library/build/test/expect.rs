//! What must come of a test.

use super::Names;
use super::labels;
use super::wanted;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::test::RawExpect;
use crate::library::raw::test::RawKind;
use crate::library::raw::test::RawTold;
use crate::library::raw::test::RawVerdict;
use crate::library::scenario::Expect;
use crate::library::scenario::Of;
use crate::library::scenario::Told;
use crate::library::scenario::VerdictWord;
use crate::library::scenario::Wanted;
use crate::library::suggest::did_you_mean;
use crate::library::suggest::short;
use crate::library::suggest::words;
use crate::model::incident::IncidentStatus;
use crate::model::incident::NoticeKind;
use crate::model::run::RunState;

/// What `rule` says when no rule took the alert.
const NONE: &str = "none";

const STATES: [RunState; 14] = [
    RunState::Planned,
    RunState::AwaitingApproval,
    RunState::Running,
    RunState::InDoubt,
    RunState::Verifying,
    RunState::Undoing,
    RunState::Fixed,
    RunState::Failed,
    RunState::Stuck,
    RunState::Cancelled,
    RunState::Expired,
    RunState::Rejected,
    RunState::Observed,
    RunState::Superseded,
];
const STATUSES: [IncidentStatus; 3] =
    [IncidentStatus::Open, IncidentStatus::Acknowledged, IncidentStatus::Resolved];

/// One expectation.
pub(super) fn expect(names: Names<'_>, found: Found<RawExpect>) -> Expect {
    let Found { value: raw, span, .. } = found;
    let nothing = set(raw.nothing);
    let mut runs = set(raw.runs);
    if let Some(nothing) = nothing {
        if nothing.value {
            runs = Some(Wanted { value: 0, span: nothing.span });
        } else {
            let label = "name the `playbook`, or remove it";
            names.wrong_keys(nothing.span, "`nothing: false` says nothing", label);
        }
    }
    let expect = Expect {
        at: names.time(raw.at),
        span,
        of: Of {
            rule: rule(names, raw.rule),
            alert: raw.alert.and_then(Field::found).map(|it| wanted(it.map(labels))),
            target: set(raw.target),
            playbook: names.playbook(raw.playbook).map(wanted),
            remedy: set(raw.remedy),
        },
        verdict: raw.verdict.and_then(Field::found).map(|it| {
            wanted(it.map(|verdict| match verdict {
                RawVerdict::Proceed => VerdictWord::Proceed,
                RawVerdict::Ask => VerdictWord::Ask,
                RawVerdict::Hold => VerdictWord::Hold,
                RawVerdict::Refuse => VerdictWord::Refuse,
            }))
        }),
        guard: names.guard(raw.guard),
        reason: set(raw.reason),
        mode: set(raw.mode),
        steps: lines(raw.steps),
        plan: lines(raw.plan),
        run: word(names, raw.run, "a state of a run", &STATES.map(|it| (it.as_str(), it))),
        outcome: set(raw.outcome),
        runs,
        incident: word(
            names,
            raw.incident,
            "a state of an incident",
            &STATUSES.map(|it| (it.as_str(), it)),
        ),
        incidents: set(raw.incidents),
        escalated: set(raw.escalated),
        notifications: told(names, raw.notifications),
    };
    // a wrong key may be what it was meant to say
    if says_nothing(&expect) && !names.at.is_wrong(span) {
        let label = "say what must hold, such as `verdict`, `steps`, `run` or `nothing: true`";
        names.wrong_keys(span, "an expectation that cannot fail", label);
    }
    expect
}

fn says_nothing(expect: &Expect) -> bool {
    let Expect { of, verdict, guard, reason, mode, steps, plan, run, outcome, .. } = expect;
    let Expect { runs, incident, incidents, escalated, notifications, .. } = expect;
    let of_something = of.rule.is_some() || of.playbook.is_some() || of.remedy.is_some();
    !of_something
        && verdict.is_none()
        && guard.is_none()
        && reason.is_none()
        && mode.is_none()
        && steps.is_none()
        && plan.is_none()
        && run.is_none()
        && outcome.is_none()
        && runs.is_none()
        && incident.is_none()
        && incidents.is_none()
        && escalated.is_none()
        && notifications.is_empty()
}

fn set<T>(raw: Opt<T>) -> Option<Wanted<T>> {
    raw.and_then(Field::found).map(wanted)
}

fn rule(names: Names<'_>, raw: Opt<String>) -> Option<Wanted<Option<String>>> {
    let written = raw.as_ref().and_then(Field::get);
    if written.is_some_and(|it| it == NONE) {
        return raw.and_then(Field::found).map(|it| wanted(it.map(|_| None)));
    }
    names.rule(raw).map(|it| wanted(it.map(Some)))
}

fn lines(raw: Opt<List<String>>) -> Option<Wanted<Vec<String>>> {
    let found = raw.and_then(Field::found)?;
    let read =
        |list: List<String>| list.into_iter().filter_map(Field::found).map(|it| it.value).collect();
    Some(wanted(found.map(read)))
}

/// One of a few words, with blanks, dashes or underscores between their parts.
fn word<T: Copy>(
    names: Names<'_>,
    raw: Opt<String>,
    what: &str,
    known: &[(&str, T)],
) -> Option<Wanted<T>> {
    let found = raw.and_then(Field::found)?;
    let written = found.value.replace(['-', '_'], " ");
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == written) {
        return Some(Wanted { value: *value, span: found.span });
    }
    let list: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let message = format!("`{}` is not {what}", short(&found.value));
    let label = did_you_mean(&written, list.iter().copied());
    let wrong = Diagnostic::error(codes::UNKNOWN_WORD, message).label(label);
    names.at.report(found.span, wrong.note(format!("expected {}", words(&list, "or"))));
    None
}

fn told(names: Names<'_>, raw: Opt<List<RawTold>>) -> Vec<Wanted<Told>> {
    let list = raw.and_then(Field::found).map(|it| it.value).unwrap_or_default();
    let one = |found: Found<RawTold>| {
        let Found { value: raw, span, .. } = found;
        let kind = raw.kind.and_then(Field::found).map(|it| match it.value {
            RawKind::Opened => NoticeKind::Opened,
            RawKind::Progress => NoticeKind::Progress,
            RawKind::NeedsYou => NoticeKind::NeedsYou,
            RawKind::Acknowledged => NoticeKind::Acknowledged,
            RawKind::Resolved => NoticeKind::Resolved,
        });
        let value = Told {
            channel: names.channel(raw.channel),
            kind,
            text: set(raw.text).map(|it| it.value),
            headline: set(raw.headline).map(|it| it.value),
            count: set(raw.count).map(|it| it.value),
        };
        Wanted { value, span }
    };
    list.into_iter().filter_map(Field::found).map(one).collect()
}
