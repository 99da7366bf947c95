//! Compares one expectation with what was seen.

use std::sync::Arc;

use super::Failure;
use super::Record;
use crate::decide::machine::State;
use crate::decide::matching::Match;
use crate::decide::plan;
use crate::decide::respond;
use crate::decide::tell;
use crate::library::Library;
use crate::library::Span;
use crate::library::scenario::Expect;
use crate::library::scenario::Of;
use crate::library::scenario::Told;
use crate::library::scenario::Wanted;
use crate::model::decision::Decision;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::labels::Labels;
use crate::model::playbook::What;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::rehearse::World;
use crate::rehearse::happening::kind_word;
use crate::rehearse::happening::verdict_word;
use crate::rehearse::script::contains;

/// What of an expectation does not hold now.
pub(super) fn judge(
    expect: &Expect,
    library: &Library,
    world: &World<'_>,
    seen: &Record,
) -> Vec<Failure> {
    let mut judge = Judge { expect, library, world, seen, failures: Vec::new() };
    // when nothing is there to speak of, what it is like cannot be said
    if judge.of() {
        judge.decision();
        judge.runs();
        judge.incidents();
        judge.told();
    }
    judge.failures
}

struct Judge<'a> {
    expect: &'a Expect,
    library: &'a Library,
    world: &'a World<'a>,
    seen: &'a Record,
    failures: Vec<Failure>,
}

type Run<'a> = &'a (RunId, Arc<Plan>, Vec<String>);

impl<'a> Judge<'a> {
    fn fail(&mut self, span: Span, message: String, label: String) {
        self.fail_with(span, message, label, Vec::new());
    }

    fn fail_with(&mut self, span: Span, message: String, label: String, notes: Vec<String>) {
        self.failures.push(Failure { at: self.world.now(), span, message, label, notes });
    }

    fn fits_rule(&self, rule: &str) -> bool {
        match self.expect.of.rule.as_ref().map(|it| it.value.as_deref()) {
            None => true,
            Some(wanted) => wanted.unwrap_or_default() == rule,
        }
    }

    fn fits_labels(&self, labels: &Labels) -> bool {
        self.expect.of.alert.as_ref().is_none_or(|it| contains(labels, &it.value))
    }

    /// Decisions that the expectation is about, the latest last.
    fn decisions(&self) -> impl Iterator<Item = &'a Arc<Decision>> {
        let of = &self.expect.of;
        self.seen.decisions.iter().filter(move |it| {
            self.fits_rule(&it.rule)
                && self.seen.alerts.get(&it.episode).is_some_and(|it| self.fits_labels(it))
                && fits(of.target.as_ref(), &it.target)
                && fits(of.playbook.as_ref(), &it.playbook)
        })
    }

    fn the_runs(&self) -> Vec<Run<'a>> {
        let of = &self.expect.of;
        let remedy = of.remedy.as_ref().map(|it| it.value);
        let fits_run = |plan: &Plan| {
            self.fits_rule(&plan.rule)
                && self.fits_labels(&plan.labels)
                && fits(of.target.as_ref(), &plan.target)
                && fits(of.playbook.as_ref(), &plan.playbook.name)
                // what takes measures back is asked for by its number
                && remedy.map_or(plan.remedy > 0, |remedy| remedy == plan.remedy)
        };
        self.seen.runs.iter().filter(|(_, plan, _)| fits_run(plan)).collect()
    }

    fn the_incidents(&self) -> Vec<&'a Incident> {
        let troubles = self.world.incidents.values();
        let mine = troubles.filter(|it| {
            let labels = it.episodes.iter().filter_map(|id| self.seen.alerts.get(id));
            self.fits_rule(&it.incident.rule) && labels.into_iter().any(|it| self.fits_labels(it))
        });
        mine.map(|it| &it.incident).collect()
    }

    /// Whether there is anything to speak of.
    fn of(&mut self) -> bool {
        let Of { rule, alert, playbook, remedy, .. } = &self.expect.of;
        if let Some(alert) = alert
            && !self.seen.alerts.values().any(|it| contains(it, &alert.value))
        {
            let label = "none fired until then".to_owned();
            self.fail(alert.span, "no alert has these labels".to_owned(), label);
            return false;
        }
        if let Some(rule) = rule {
            let taken = self.seen.decisions.iter().any(|it| {
                self.fits_rule(&it.rule)
                    && self.seen.alerts.get(&it.episode).is_some_and(|it| self.fits_labels(it))
            });
            // a rule whose run is under way has decided; one that waits for nothing has an incident
            if !taken && self.the_incidents().is_empty() {
                self.not_taken(rule);
                return false;
            }
        }
        let runs_wanted = self.expect.runs.is_some();
        if let Some(playbook) = playbook
            && !runs_wanted
            && self.decisions().next().is_none()
            && self.the_runs().is_empty()
        {
            let message = format!("playbook {} was not considered", playbook.value);
            let label = self.latest_words();
            self.fail(playbook.span, message, label);
            return false;
        }
        if let Some(remedy) = remedy
            && !runs_wanted
            && self.the_runs().is_empty()
        {
            let message = format!("there was no run of remedy {}", remedy.value);
            let label = self.latest_words();
            self.fail(remedy.span, message, label);
            return false;
        }
        true
    }

    fn not_taken(&mut self, rule: &Wanted<Option<String>>) {
        let mut notes = Vec::new();
        let mut alerts: Vec<&Labels> =
            self.seen.alerts.values().filter(|it| self.fits_labels(it)).collect();
        alerts.sort_unstable();
        let message = match &rule.value {
            None => "a rule took the alert".to_owned(),
            Some(name) => format!("rule {name} took no alert"),
        };
        for labels in &alerts {
            let matches = self.library.rules.explain(labels, &Labels::default());
            for (it, found) in matches {
                let relevant = match &rule.value {
                    None => found == Match::Selected,
                    Some(name) => *name == it.name || found == Match::Selected,
                };
                if relevant {
                    notes.push(format!("{labels}: rule {} {}", it.name, match_words(&found)));
                }
            }
        }
        if alerts.is_empty() {
            notes.push("no alert fired until then".to_owned());
        }
        let label = match &rule.value {
            None => "expected none".to_owned(),
            Some(_) => String::new(),
        };
        self.fail_with(rule.span, message, label, notes);
    }

    fn latest_words(&self) -> String {
        match self.seen.decisions.iter().rev().find(|it| self.fits_rule(&it.rule)) {
            None => "nothing was decided until then".to_owned(),
            Some(decision) => format!("the latest decision: {}", decision_words(decision)),
        }
    }

    fn decision(&mut self) {
        let Expect { verdict, guard, reason, .. } = self.expect;
        let first = verdict.as_ref().map(|it| it.span).or(guard.as_ref().map(|it| it.span));
        let Some(span) = first.or(reason.as_ref().map(|it| it.span)) else { return };
        let Some(decision) = self.decisions().last().map(Arc::clone) else {
            let label = "nothing was decided until then".to_owned();
            return self.fail(span, "there is no decision".to_owned(), label);
        };
        let words = decision_words(&decision);
        if let Some(wanted) = verdict
            && wanted.value.as_str() != verdict_word(&decision.verdict)
        {
            let expected = wanted.value.as_str();
            let message =
                format!("expected verdict {expected}, got {}", verdict_word(&decision.verdict));
            self.fail_with(wanted.span, message, words.clone(), rulings(&decision));
        } else if let Some(wanted) = guard {
            let gave: Vec<&str> = decision
                .rulings
                .iter()
                .filter(|it| it.verdict.caution() == decision.verdict.caution())
                .map(|it| it.guard.as_str())
                .collect();
            if !gave.contains(&wanted.value.as_str()) {
                let word = verdict_word(&decision.verdict);
                let message = format!("guard {} did not say {word}", wanted.value);
                self.fail_with(wanted.span, message, words.clone(), rulings(&decision));
            }
        }
        if let Some(wanted) = reason {
            let of_guard = decision
                .rulings
                .iter()
                .filter(|ruling| guard.as_ref().is_some_and(|guard| guard.value == ruling.guard));
            let mut reasons =
                of_guard.map(|it| it.reason.as_str()).chain([decision.reason.as_str()]);
            if !reasons.any(|it| it.contains(&wanted.value)) {
                let label = format!("it is: {}", decision.reason);
                self.fail(wanted.span, "the reason does not say this".to_owned(), label);
            }
        }
    }

    fn runs(&mut self) {
        let Expect { mode, steps, plan, run, outcome, runs, .. } = self.expect;
        let found = self.the_runs();
        if let Some(wanted) = runs
            && wanted.value as usize != found.len()
        {
            let message =
                format!("expected {}, got {}", count(wanted.value as usize), count(found.len()));
            let notes = found.iter().map(|run| self.run_words(run)).collect();
            let label = if found.is_empty() { self.latest_words() } else { String::new() };
            self.fail_with(wanted.span, message, label, notes);
        }
        let spans = [
            mode.as_ref().map(|it| it.span),
            steps.as_ref().map(|it| it.span),
            plan.as_ref().map(|it| it.span),
            run.as_ref().map(|it| it.span),
            outcome.as_ref().map(|it| it.span),
        ];
        let Some(span) = spans.into_iter().flatten().next() else { return };
        let Some(latest) = found.last().copied() else {
            let label = self.latest_words();
            return self.fail(span, "there is no run".to_owned(), label);
        };
        let (id, its_plan, lines) = latest;
        if let Some(wanted) = mode
            && wanted.value != its_plan.mode
        {
            let (expected, got) = (wanted.value.as_str(), its_plan.mode.as_str());
            let message = format!("expected a run in mode {expected}, got {got}");
            self.fail(wanted.span, message, String::new());
        }
        if let Some(wanted) = steps {
            self.lines(wanted, lines, "the steps are others");
        }
        if let Some(wanted) = plan {
            self.lines(wanted, &plan_lines(*id, its_plan), "the plan is another");
        }
        let work = self.world.runs.get(id);
        let state = work.map_or(RunState::Planned, |work| work.past.state);
        let told = work.map(|work| tell::outcome_line(&work.plan, &work.state)).unwrap_or_default();
        if let Some(wanted) = run
            && wanted.value != state
        {
            let message =
                format!("expected a run that is {}, got {}", wanted.value.as_str(), state.as_str());
            self.fail(wanted.span, message, told.clone());
        }
        if let Some(wanted) = outcome
            && !told.contains(&wanted.value)
        {
            let label = format!("it is: {told}");
            self.fail(wanted.span, "the outcome does not say this".to_owned(), label);
        }
    }

    fn lines(&mut self, wanted: &Wanted<Vec<String>>, seen: &[String], message: &str) {
        if wanted.value != seen {
            let notes = std::iter::once("- expected, + seen:".to_owned());
            let notes = notes.chain(diff(&wanted.value, seen)).collect();
            self.fail_with(wanted.span, message.to_owned(), String::new(), notes);
        }
    }

    fn run_words(&self, (id, plan, _): Run<'_>) -> String {
        let state = self.world.runs.get(id).map_or(RunState::Planned, |work| work.past.state);
        format!("{id}: {} on {}, {}", plan.playbook.name, plan.target, state.as_str())
    }

    fn incidents(&mut self) {
        let Expect { incident, incidents, escalated, .. } = self.expect;
        let found = self.the_incidents();
        if let Some(wanted) = incidents
            && wanted.value as usize != found.len()
        {
            let message = format!("expected {} incidents, got {}", wanted.value, found.len());
            let words = |it: &&Incident| format!("{} {}: {}", it.id, it.title, it.status.as_str());
            let notes = found.iter().map(words).collect();
            self.fail_with(wanted.span, message, String::new(), notes);
        }
        let Some(span) =
            incident.as_ref().map(|it| it.span).or(escalated.as_ref().map(|it| it.span))
        else {
            return;
        };
        let Some(latest) = found.last().copied() else {
            let label = self.latest_words();
            return self.fail(span, "there is no incident".to_owned(), label);
        };
        if let Some(wanted) = incident
            && wanted.value != latest.status
        {
            let (expected, got) = (wanted.value.as_str(), latest.status.as_str());
            let message = format!("expected an incident that is {expected}, got {got}");
            self.fail(wanted.span, message, format!("{} {}", latest.id, latest.title));
        }
        if let Some(wanted) = escalated
            && wanted.value != latest.escalated
        {
            let message = if latest.escalated {
                "the incident was given to people"
            } else {
                "the incident was not given to people"
            };
            self.fail(wanted.span, message.to_owned(), format!("{} {}", latest.id, latest.title));
        }
    }

    fn told(&mut self) {
        let of_mine = |id: IncidentId| {
            self.world.incidents.get(&id).is_some_and(|it| self.fits_rule(&it.incident.rule))
        };
        let mine: Vec<&Arc<Owed>> = self
            .seen
            .told
            .iter()
            .filter(|it| of_mine(it.notice.incident) && self.fits_labels(&it.notice.labels))
            .collect();
        for wanted in &self.expect.notifications {
            let matching = mine.iter().filter(|it| tells(it, &wanted.value)).count();
            let expected = wanted.value.count;
            let holds = match expected {
                Some(count) => matching == count as usize,
                None => matching > 0,
            };
            if holds {
                continue;
            }
            let message = match expected {
                None => "nobody was told this".to_owned(),
                Some(count) => format!("expected {count} such notifications, got {matching}"),
            };
            let mut notes: Vec<String> = mine.iter().map(|it| told_words(it)).collect();
            let label = match notes.len() {
                0 if self.world.config.channels.is_empty() => {
                    "there are no channels: `quell test` reads them from quell.yml".to_owned()
                }
                0 => "nobody was told anything until then".to_owned(),
                _ => String::new(),
            };
            notes.dedup();
            self.fail_with(wanted.span, message, label, notes);
        }
    }
}

fn fits(wanted: Option<&Wanted<String>>, is: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.value == is)
}

fn count(runs: usize) -> String {
    match runs {
        0 => "no run".to_owned(),
        1 => "1 run".to_owned(),
        many => format!("{many} runs"),
    }
}

fn decision_words(decision: &Decision) -> String {
    let verdict = verdict_word(&decision.verdict);
    match decision.playbook.as_str() {
        "" => decision.reason.clone(),
        playbook if decision.verdict.caution() == 1 => {
            format!("{playbook}: {verdict}, by {}", respond::deciding(decision))
        }
        playbook => format!("{playbook}: {verdict}, {}", decision.reason),
    }
}

/// What each guard that did not proceed says.
fn rulings(decision: &Decision) -> Vec<String> {
    decision
        .rulings
        .iter()
        .filter(|it| it.verdict.caution() > 0)
        .map(|it| format!("guard {}: {}: {}", it.guard, verdict_word(&it.verdict), it.reason))
        .collect()
}

fn match_words(found: &Match) -> String {
    match found {
        Match::Selected => "takes it".to_owned(),
        Match::Matcher { matcher, value: None } => {
            format!("does not: {matcher}, and the alert has no such label")
        }
        Match::Matcher { matcher, value: Some(value) } => {
            format!("does not: {matcher}, and the alert has {value:?}")
        }
        Match::When => "does not: its `when` is false".to_owned(),
        Match::WhenUnknown(why) => format!("does not: its `when` is unknown: {why}"),
        Match::TakenBy(rule) => format!("does not: rule {rule} comes first"),
    }
}

/// The actions of a plan, rendered as far as they can be before anything was done.
fn plan_lines(run: RunId, plan: &Plan) -> Vec<String> {
    let context = plan::step_context(plan, &run.to_string(), &State::empty(plan));
    let steps = plan.playbook.steps.iter();
    steps
        .filter_map(|step| match &step.what {
            What::Action(action) => Some(match plan::render_action(action, &context) {
                Ok(action) => tell::action_line(&action),
                Err(_) => tell::action_line(action),
            }),
            What::Probe { .. } | What::Wait(_) => None,
        })
        .collect()
}

fn tells(owed: &Owed, wanted: &Told) -> bool {
    let notice = &owed.notice;
    let mut texts = std::iter::once(&notice.headline).chain(&notice.details).chain(&notice.tried);
    wanted.channel.as_ref().is_none_or(|it| *it == owed.channel)
        && wanted.kind.is_none_or(|it| it == notice.kind)
        && wanted.headline.as_ref().is_none_or(|it| *it == notice.headline)
        && wanted.text.as_ref().is_none_or(|it| texts.any(|text| text.contains(it)))
}

fn told_words(owed: &Owed) -> String {
    format!("{} ({}): {}", owed.channel, kind_word(owed.notice.kind), owed.notice.headline)
}

/// Lines that both have, that are missing (`-`) and that are too many (`+`), in order.
pub(super) fn diff(expected: &[String], seen: &[String]) -> Vec<String> {
    // length of the longest common part from each pair of lines on
    let mut common = vec![vec![0_usize; seen.len() + 1]; expected.len() + 1];
    let at = |table: &[Vec<usize>], i: usize, j: usize| {
        table.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default()
    };
    for (i, left) in expected.iter().enumerate().rev() {
        for (j, right) in seen.iter().enumerate().rev() {
            let length = if left == right {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = length;
            }
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (expected.get(i), seen.get(j)) {
            (Some(left), Some(right)) if left == right => {
                lines.push(format!("  {left}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right)
                if right.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) =>
            {
                lines.push(format!("- {left}"));
                i += 1;
            }
            (_, Some(right)) => {
                lines.push(format!("+ {right}"));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}
