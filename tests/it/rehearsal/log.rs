//! What people could read afterwards, of either world in the same words.

use std::fmt::Write as _;

use jiff::Timestamp;
use quell::decide::respond;
use quell::decide::tell;
use quell::model::decision::Decision;
use quell::model::incident::Notice;
use quell::model::incident::RunId;
use quell::model::run::Event;
use quell::model::run::Outcome;
use quell::rehearse::World;
use quell::rehearse::happening::Happening;
use quell::rehearse::happening::What;

/// Everything that people could read afterwards, in an order of its own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) decisions: Vec<String>,
    pub(super) runs: Vec<String>,
    pub(super) notices: Vec<String>,
}

pub(super) fn decision_line(decision: &Decision) -> String {
    let verdict = decision.verdict.as_str();
    let by = respond::deciding(decision);
    format!("{} {} {} {verdict}: {by}", decision.episode, decision.rule, decision.playbook)
}

pub(super) fn notice_line(channel: &str, notice: &Notice) -> String {
    let headline: String = notice.headline.chars().filter(|c| !c.is_ascii_digit()).collect();
    format!("{} {channel} {:?}: {headline}", notice.incident, notice.kind)
}

pub(super) fn run_lines(run: RunId, events: impl Iterator<Item = (Timestamp, String)>) -> String {
    events.fold(format!("{run}"), |mut text, (at, event)| {
        write!(text, "\n  {at} {event}").unwrap();
        text
    })
}

/// An event without what a real process adds to it.
pub(super) fn event_words(plan: &quell::model::run::Plan, event: &Event) -> String {
    match event {
        Event::Planned { .. } => "planned".into(),
        Event::StepEnded { step, outcome, .. } => format!("step {step} {}", outcome_word(outcome)),
        Event::UndoEnded { step, outcome, .. } => format!("undo {step} {}", outcome_word(outcome)),
        Event::Verified { seen } => format!("verified {}", seen.health.as_str()),
        Event::Baseline { .. } => "baseline".into(),
        Event::Compared { seen } => format!("compared {}", seen.health.as_str()),
        event => tell::event_line(plan, event),
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::Denied { .. } => "denied",
        Outcome::Unknown { .. } => "unknown",
    }
}

impl Log {
    /// Of two things that happen at the same instant, the engine may do either first.
    pub(super) fn sorted(mut self) -> Self {
        let episode = |line: &String| line.split_once(' ').map(|(it, _)| it.to_owned()).unwrap();
        self.decisions.sort_by_key(episode);
        // ids grow with time, and the store leaves some out
        let mut known: Vec<String> = self.decisions.iter().map(episode).collect();
        known.dedup();
        for line in &mut self.decisions {
            let number = known.iter().position(|it| *it == episode(line)).unwrap();
            *line = format!("episode {number}{}", &line[episode(line).len()..]);
        }
        self.notices.sort();
        self
    }
}

pub(super) fn rehearsed(world: &World<'_>, happened: &[Happening]) -> Log {
    let mut log = Log::default();
    for happening in happened {
        match &happening.what {
            What::Decided { decision, news: true } => log.decisions.push(decision_line(decision)),
            What::Told(owed) => log.notices.push(notice_line(&owed.channel, &owed.notice)),
            _ => {}
        }
    }
    for (run, plan, entries, _) in world.journals() {
        let events = entries.iter().map(|it| (it.at, event_words(plan, &it.event)));
        log.runs.push(run_lines(run, events));
    }
    log.sorted()
}
