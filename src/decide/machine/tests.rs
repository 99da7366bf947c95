//! The run machine, by table and by exhaustion.

mod approval;
mod ask;
mod clock;
mod each;
mod exhaustion;
mod harm;
mod hold;
mod previous;
mod properties;
mod slices;
mod steps;
mod stopping;
mod table;
mod undo;
mod verification;
mod waves;

use std::collections::BTreeMap;

use super::*;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::Ask;
use crate::model::playbook::Between;
use crate::model::playbook::Each;
use crate::model::playbook::Items;
use crate::model::playbook::Measure;
use crate::model::playbook::OnFailure;
use crate::model::playbook::Playbook;
use crate::model::playbook::PlaybookLimits;
use crate::model::playbook::Retry;
use crate::model::playbook::Share;
use crate::model::playbook::Undo;
use crate::model::playbook::Unharmed;
use crate::model::playbook::Verification;
use crate::model::probe::Probe;
use crate::model::run::Intent;
use crate::model::run::Observation;
use crate::model::run::Sample;
use crate::model::run::Stop;
use crate::model::run::Taken;
use crate::model::time::since;

const DIGEST: &str = "d16e57";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Seconds after the run was planned.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_607_200 + seconds).unwrap()
}

fn command(program: &str) -> Action {
    Action::Command(Command { argv: vec![program.to_owned()], ..Command::default() })
}

/// An action with an undo that is tried once, and about which a person is asked.
pub(crate) fn action(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        what: What::Action(command(name)),
        condition: None,
        each: None,
        hold: None,
        timeout: seconds(60),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown: OnUnknown::Ask,
        undo: Some(Undo::Action(Box::new(command("undo")))),
        line: 1,
    }
}

fn without_undo(step: Step) -> Step {
    Step { undo: None, ..step }
}

fn probe(name: &str) -> Step {
    let what = What::Probe { probe: Probe::Alert, within: seconds(60) };
    Step { what, undo: None, ..action(name) }
}

fn wait(name: &str, time: Duration) -> Step {
    Step { what: What::Wait(time), undo: None, ..action(name) }
}

/// Done for each of some items, in waves with so much time between them.
fn for_each(step: Step, waves: &[Share], bake: Duration) -> Step {
    let items = Items::Expression("steps.find.output.lines".into());
    let each = Each {
        items,
        waves: waves.to_vec(),
        bake,
        between: None,
        max_targets: None,
        domain: None,
        among: None,
    };
    Step { each: Some(each), ..step }
}

/// The same, and what must be healthy between the waves.
fn guarded(step: Step) -> Step {
    let between = Some(Between { probe: Probe::Alert, within: seconds(60) });
    Step { each: step.each.map(|each| Each { between, ..each }), ..step }
}

fn ask(name: &str, within: Duration) -> Step {
    let ask = Ask { question: "really?".into(), answers: BTreeMap::new(), tier: 1, within };
    Step { what: What::Ask(ask), undo: None, ..action(name) }
}

/// Anybody may say yes to it, and nothing limits it.
pub(crate) fn playbook(steps: Vec<Step>) -> Playbook {
    Playbook {
        name: "playbook".into(),
        description: String::new(),
        parameters: BTreeMap::new(),
        tier: 1,
        approvals: 1,
        approve_within: Duration::from_hours(1),
        mode: Mode::Auto,
        limits: PlaybookLimits::default(),
        acts_on: Vec::new(),
        cache: None,
        rollback: None,
        steps,
        on_resolve: Vec::new(),
        file: "playbooks/playbook.yml".into(),
        line: 1,
    }
}

/// Verified within a minute, holding for half of one.
pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        incident: IncidentId(1),
        episode: EpisodeId(1),
        fingerprint: "f".into(),
        rule: "rule".into(),
        remedy: 1,
        remedies: 1,
        target: "target".into(),
        mode: Mode::Auto,
        tier: 1,
        approvals: 1,
        proposed_by: String::new(),
        lists: BTreeMap::new(),
        playbook: playbook(steps),
        parameters: BTreeMap::new(),
        labels: Labels::default(),
        annotations: Labels::default(),
        verify: Some(Verification {
            probe: Probe::Alert,
            within: seconds(60),
            hold: seconds(30),
            unharmed: Vec::new(),
        }),
        glass: None,
        group: String::new(),
        left_version: String::new(),
        approve_until: None,
        rules_digest: String::new(),
        taken: serde_json::Map::new(),
    }
}

/// The same, and latency must not get worse.
fn unharmed(mut plan: Plan) -> Plan {
    let measure = Measure::Promql { query: "latency".into() };
    let metric = Unharmed { name: "latency".into(), measure, worse: "value > before".into() };
    plan.verify.as_mut().unwrap().unharmed.push(metric);
    plan
}

fn in_mode(mode: Mode, plan: Plan) -> Plan {
    Plan { mode, ..plan }
}

fn unverified(plan: Plan) -> Plan {
    Plan { verify: None, ..plan }
}

/// A run that is written entry by entry, each at the time that `at` says.
#[derive(Debug, Clone)]
struct Run {
    plan: Plan,
    state: State,
    now: Timestamp,
}

impl Run {
    /// Before the first entry.
    fn unplanned(plan: Plan) -> Self {
        Self { state: State::empty(&plan), plan, now: at(0) }
    }

    /// After the first entry.
    fn planned(plan: Plan) -> Self {
        Self::unplanned(plan).then(planned())
    }

    fn at(self, seconds: i64) -> Self {
        Self { now: at(seconds), ..self }
    }

    fn entry(&self, event: Event) -> Entry {
        Entry { seq: self.state.seq + 1, at: self.now, event }
    }

    fn then(self, event: Event) -> Self {
        let entry = self.entry(event);
        let state = apply(&self.plan, self.state, &entry).unwrap();
        Self { state, ..self }
    }

    /// Begins a step, and ends it.
    fn step(self, step: usize, outcome: Outcome) -> Self {
        self.begin(step, 1).then(ended(step, outcome))
    }

    fn begin(self, step: usize, attempt: u32) -> Self {
        let effect = self.effect();
        let spot = of_step(step);
        assert_eq!(effect, Effect::Begin { spot, attempt }, "{:?}", self.state.phase);
        self.then(started(step, attempt))
    }

    /// Begins an item of a `for_each`, and ends it.
    fn item(self, spot: Spot, outcome: Outcome) -> Self {
        self.begin_item(spot, 1).then(over(spot, outcome))
    }

    fn begin_item(self, spot: Spot, attempt: u32) -> Self {
        assert_eq!(self.effect(), Effect::Begin { spot, attempt }, "{:?}", self.state.phase);
        self.then(begun(spot, attempt))
    }

    fn undo_item(self, spot: Spot, outcome: Outcome) -> Self {
        assert_eq!(self.effect(), Effect::Undo { spot }, "{:?}", self.state.phase);
        self.then(undo_begun(spot)).then(undo_over(spot, outcome))
    }

    fn undo(self, step: usize, outcome: Outcome) -> Self {
        assert_eq!(self.effect(), Effect::Undo { spot: of_step(step) }, "{:?}", self.state.phase);
        self.then(undo_started(step)).then(undo_ended(step, outcome))
    }

    /// What the worker that claims it after a crash writes.
    fn crash(self) -> Self {
        assert_eq!(self.effect(), Effect::Write(Event::Interrupted), "{:?}", self.state.phase);
        self.then(Event::Interrupted)
    }

    fn refuses(&self, event: &Event) {
        let illegal =
            apply(&self.plan, self.state.clone(), &self.entry(event.clone())).unwrap_err();
        assert_eq!((&illegal.phase, &illegal.event), (&self.state.phase, event));
    }

    fn effect(&self) -> Effect {
        next(&self.plan, &self.state, self.now)
    }

    fn ends(&self, expected: RunState, reason: &str) {
        assert_eq!(self.state.phase, Phase::Final(expected), "{}", self.state.reason);
        assert_eq!(self.state.reason, reason);
        assert_eq!(self.effect(), Effect::Over);
    }
}

fn dry_run(step: usize, outcome: Outcome) -> Event {
    Event::DryRun { step, action: Box::new(command("a")), outcome }
}

fn planned() -> Event {
    Event::Planned { digest: DIGEST.to_owned() }
}

fn approved(digest: &str) -> Event {
    Event::Approved { by: "ada".into(), digest: digest.to_owned() }
}

fn approved_by(by: &str) -> Event {
    Event::Approved { by: by.to_owned(), digest: DIGEST.to_owned() }
}

fn lifted() -> Event {
    Event::Lifted { by: "eve".into(), reason: "outage".into() }
}

fn rejected() -> Event {
    Event::Rejected { by: "ada".into(), reason: "not now".into() }
}

fn intent(step: usize) -> Intent {
    Intent { action: None, previous: None, timeout: seconds(60), key: format!("r-1/{}", step + 1) }
}

fn item(step: usize, item: usize) -> Spot {
    Spot { step, item: Some(item) }
}

fn begun(Spot { step, item }: Spot, attempt: u32) -> Event {
    Event::StepStarted { step, item, attempt, intent: intent(step) }
}

fn over(Spot { step, item }: Spot, outcome: Outcome) -> Event {
    Event::StepEnded { step, item, outcome, jitter: 0 }
}

fn left_out(Spot { step, item }: Spot) -> Event {
    Event::StepSkipped { step, item, reason: "if: false".into() }
}

fn undo_begun(Spot { step, item }: Spot) -> Event {
    Event::UndoStarted { step, item, intent: intent(step) }
}

fn undo_over(Spot { step, item }: Spot, outcome: Outcome) -> Event {
    Event::UndoEnded { step, item, outcome }
}

fn started(step: usize, attempt: u32) -> Event {
    begun(of_step(step), attempt)
}

fn ended(step: usize, outcome: Outcome) -> Event {
    over(of_step(step), outcome)
}

fn skipped(step: usize) -> Event {
    left_out(of_step(step))
}

fn undo_started(step: usize) -> Event {
    undo_begun(of_step(step))
}

fn undo_ended(step: usize, outcome: Outcome) -> Event {
    undo_over(of_step(step), outcome)
}

fn listed(step: usize, items: &[&str]) -> Event {
    let items = items.iter().map(|item| Value::from(*item)).collect();
    Event::Listed { step, items }
}

fn looked(step: usize, item: usize, outcome: Outcome) -> Event {
    Event::Looked { step, item, outcome }
}

fn asked(step: usize) -> Event {
    Event::Asked { step, question: "really?".into() }
}

fn answered(yes: bool) -> Event {
    let answers = BTreeMap::from([(YES.to_owned(), Value::Bool(yes))]);
    Event::Answered { by: "ada".into(), answers }
}

fn settled(happened: bool) -> Event {
    Event::Settled { by: "ada".into(), happened }
}

fn seen(health: Health) -> Observation {
    Observation { health, measured: format!("looks {}", health.as_str()), denied: false }
}

fn verified(health: Health) -> Event {
    Event::Verified { seen: seen(health) }
}

fn read_back(health: Health) -> Event {
    Event::ReadBack { seen: seen(health) }
}

fn baseline() -> Event {
    let samples = vec![Sample { labels: Labels::default(), value: 0.25 }];
    Event::Baseline { taken: vec![Taken { name: "latency".into(), samples }] }
}

fn compared(health: Health) -> Event {
    Event::Compared { seen: seen(health) }
}

fn stopped(why: Stop) -> Event {
    Event::Stopped { why }
}

fn cancelled() -> Stop {
    Stop::Cancelled { by: "ada".into() }
}

fn refused() -> Stop {
    Stop::Refused { guard: "silence".into(), reason: "silenced by bob".into() }
}

fn changed() -> Stop {
    Stop::Changed { what: "playbook a was changed".into() }
}

fn taken_over() -> Stop {
    Stop::TakenOver { by: "ada".into() }
}

fn already_healthy() -> Stop {
    Stop::AlreadyHealthy { measured: "0.01".into() }
}

fn done() -> Outcome {
    Outcome::Done { summary: "exit 0".into(), output: Value::Null }
}

fn failed() -> Outcome {
    Outcome::Failed { reason: "exit 1".into(), retryable: false }
}

fn failed_for_now() -> Outcome {
    Outcome::Failed { reason: "exit 75".into(), retryable: true }
}

fn denied() -> Outcome {
    let credentials = vec!["targets.http.shop".into()];
    Outcome::Denied { credentials, reason: "answered 401".into() }
}

fn unknown() -> Outcome {
    Outcome::Unknown { reason: "timed out".into() }
}

/// A phase in a few words, steps from 0: `ready 0 try 1`.
fn show(phase: &Phase) -> String {
    match phase {
        Phase::Empty => "empty".into(),
        Phase::AwaitingApproval => "awaiting approval".into(),
        Phase::Observing => "observing".into(),
        Phase::Ready { step, item, attempt, .. } => {
            format!("ready {} try {attempt}", place(*step, *item))
        }
        Phase::InFlight { step, item, attempt } => {
            format!("in flight {} try {attempt}", place(*step, *item))
        }
        Phase::Looking { step, item, .. } => format!("looking before {step}.{item}"),
        Phase::Asking { step, .. } => format!("asking {step}"),
        Phase::Waiting { step, .. } => format!("waiting {step}"),
        Phase::ReadingBack { step, item, attempt } => {
            format!("reading back {} try {attempt}", place(*step, *item))
        }
        Phase::InDoubt { step, item, attempt } => {
            format!("in doubt {} try {attempt}", place(*step, *item))
        }
        Phase::ToVerify => "to verify".into(),
        Phase::Verifying { healthy_since, last, .. } => {
            let last = last.as_ref().map_or("nothing", |seen| seen.health.as_str());
            let holds = if healthy_since.is_some() { ", holds" } else { "" };
            format!("verifying, saw {last}{holds}")
        }
        Phase::Undoing { left } => format!("undoing [{}]", places(left)),
        Phase::UndoInFlight { spot, left } => {
            format!("undo of {} in flight, then [{}]", places(&[*spot]), places(left))
        }
        Phase::Final(state) => state.as_str().to_owned(),
    }
}

fn place(step: usize, item: Option<usize>) -> String {
    item.map_or_else(|| step.to_string(), |item| format!("{step}.{item}"))
}

fn places(spots: &[Spot]) -> String {
    spots.iter().map(|it| place(it.step, it.item)).collect::<Vec<_>>().join(", ")
}

/// One event of each kind that a two-step run may meet, rightly or wrongly, by name.
fn every_event() -> Vec<(&'static str, Event)> {
    vec![
        ("planned", planned()),
        ("approved", approved(DIGEST)),
        ("approved another plan", approved("0")),
        ("lifted", lifted()),
        ("rejected", rejected()),
        ("expired", Event::Expired),
        ("dry run 0", dry_run(0, done())),
        ("observed", Event::Observed),
        ("started 0 try 1", started(0, 1)),
        ("started 0 try 2", started(0, 2)),
        ("started 1 try 1", started(1, 1)),
        ("started 7 try 1", started(7, 1)),
        ("done 0", ended(0, done())),
        ("failed 0", ended(0, failed())),
        ("failed 0 for now", ended(0, failed_for_now())),
        ("unknown 0", ended(0, unknown())),
        ("done 1", ended(1, done())),
        ("failed 1", ended(1, failed())),
        ("skipped 0", skipped(0)),
        ("skipped 1", skipped(1)),
        ("interrupted", Event::Interrupted),
        ("read back healthy", read_back(Health::Healthy)),
        ("read back unhealthy", read_back(Health::Unhealthy)),
        ("read back unknown", read_back(Health::Unknown)),
        ("settled: it happened", settled(true)),
        ("settled: it did not", settled(false)),
        ("stopped: resolved", stopped(Stop::Resolved)),
        ("stopped: already healthy", stopped(already_healthy())),
        ("stopped: refused", stopped(refused())),
        ("stopped: cancelled", stopped(cancelled())),
        ("stopped: changed", stopped(changed())),
        ("stopped: taken over", stopped(taken_over())),
        ("verify started", Event::VerifyStarted),
        ("verified healthy", verified(Health::Healthy)),
        ("verified unhealthy", verified(Health::Unhealthy)),
        ("verified unknown", verified(Health::Unknown)),
        ("undo started 0", undo_started(0)),
        ("undo started 1", undo_started(1)),
        ("undo done 0", undo_ended(0, done())),
        ("undo failed 0", undo_ended(0, failed())),
        ("undo unknown 0", undo_ended(0, unknown())),
        ("undo done 1", undo_ended(1, done())),
        ("undo failed 1", undo_ended(1, failed())),
        ("listed 0", listed(0, &["x", "y"])),
        ("listed 0, nothing", listed(0, &[])),
        ("listed 1", listed(1, &["x"])),
        ("started 0.0 try 1", begun(item(0, 0), 1)),
        ("started 0.1 try 1", begun(item(0, 1), 1)),
        ("done 0.0", over(item(0, 0), done())),
        ("failed 0.0", over(item(0, 0), failed())),
        ("unknown 0.0", over(item(0, 0), unknown())),
        ("done 0.1", over(item(0, 1), done())),
        ("skipped 0.0", left_out(item(0, 0))),
        ("skipped 0.1", left_out(item(0, 1))),
        ("looked 0.1 healthy", looked(0, 1, done())),
        ("looked 0.1 not healthy", looked(0, 1, failed_for_now())),
        ("undo started 0.0", undo_begun(item(0, 0))),
        ("undo done 0.0", undo_over(item(0, 0), done())),
        ("undo failed 0.0", undo_over(item(0, 0), failed())),
        ("asked 0", asked(0)),
        ("asked 1", asked(1)),
        ("answered yes", answered(true)),
        ("answered no", answered(false)),
        ("baseline", baseline()),
        ("baseline of nothing", Event::Baseline { taken: Vec::new() }),
        ("compared: fine", compared(Health::Healthy)),
        ("compared: worse", compared(Health::Unhealthy)),
        ("compared: unknown", compared(Health::Unknown)),
    ]
}
