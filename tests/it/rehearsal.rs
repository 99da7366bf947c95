//! The rehearsal against the real engine: the same alerts and words, on the same virtual times, must come to the same
//! decisions, journals and notices. The engine runs whole, on SQLite and with real processes; only its clock is moved by
//! hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use quell::app::App;
use quell::clock::Clock;
use quell::decide::changed;
use quell::decide::glass;
use quell::decide::respond;
use quell::decide::tell;
use quell::decide::trust;
use quell::library;
use quell::library::Library;
use quell::model::alert::Alert;
use quell::model::alert::AlertStatus;
use quell::model::alert::Delivery;
use quell::model::decision::Decision;
use quell::model::incident::Notice;
use quell::model::incident::RunId;
use quell::model::labels::Labels;
use quell::model::run::Event;
use quell::model::run::Health;
use quell::model::run::Observation;
use quell::model::run::Outcome;
use quell::model::run::RunState;
use quell::model::time::after;
use quell::model::time::since;
use quell::model::window::Effect;
use quell::model::window::OneOff;
use quell::rehearse::Memory;
use quell::rehearse::World;
use quell::rehearse::happening::Happening;
use quell::rehearse::happening::What;
use quell::rehearse::people::About;
use quell::rehearse::people::Word;
use quell::rehearse::script::Seen;
use quell::rehearse::script::Tried;
use quell::rehearse::script::Which;
use quell::store::people::Speaker;
use quell::store::people::Spoken;
use quell::store::people::Word as StoredWord;
use quell::store::runs::RunRow;
use tempfile::TempDir;

use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::wait::PATIENCE;
use crate::support::wait::until;

/// While a verification watches, the clock moves at most so far at once: else the worker's lease would end, and another one
/// would find the run as if its worker had died.
const WATCHED: Duration = Duration::from_secs(20);

const START: &str = "2026-01-05T10:00:00Z";

/// FOLDER is where the files lie that say what a probe sees and how a step exits.
const FILES: &str = r#"
rules:
  - name: edge
    match: [alertname="Errors", service=~"edge.*"]
    target: service/{{ labels.service }}
    response: [{ playbook: call }]
  - name: pair
    match: [alertname="Errors", service="pair"]
    target: service/pair
    response: [{ playbook: restart, with: { unit: pair }, mode: approve, approvals: 2 }]
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
  - name: guarded
    match: [alertname="Errors", service="guarded"]
    target: service/guarded
    response: [{ playbook: drain, with: { unit: guarded } }]
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
      unharmed: [{ name: latency, scrape: { url: "PAGE/latency", select: latency }, worse: value > before * 1.2 }]
  - name: api
    match: [alertname="Errors", service!=""]
    target: service/{{ labels.service }}
    response:
      - { playbook: drain, with: { unit: "{{ labels.service }}" } }
      - { playbook: restart, with: { unit: "{{ labels.service }}" }, mode: approve }
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
    limits: { settle: 30s, cooldown: 10m }
    page: { unless_fixed_within: 4m }
schedules:
  - name: nightly
    cron: "30 12 * * *"
    playbook: drain
    with: { unit: nightly }
    labels: { severity: critical }
"#;

const PLAYBOOKS: &str = r#"
playbook: drain
parameters: { unit: { type: string, required: true } }
steps:
  - name: take out
    command: { shell: "exit $(cat FOLDER/step)" }
    undo: { command: { argv: ["true", "{{ unit }}"] } }
  - name: settle
    wait: 1m
on_resolve:
  - name: put in
    command: { shell: "exit $(cat FOLDER/step)" }
---
playbook: call
steps:
  - name: call
    http: { method: POST, url: "PEOPLEdeny" }
---
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: restart
    if: unit != "none"
    command: { shell: "exit $(cat FOLDER/step)" }
    on_unknown: ask
"#;

const SETTINGS: &str = "
listen: 127.0.0.1:0
storage: sqlite:FOLDER/quell.db
pause_file: FOLDER/quell.pause
mode: auto
channels:
  chat: { webhook: { url: PEOPLE } }
  pager: { webhook: { url: PEOPLE, pages: true } }
severities: { critical: { notify: [chat, pager], ack_within: 20m, escalate_to: [chat] } }
windows: [{ name: freeze, from: 2026-01-05T11:00:00Z, until: 2026-01-05T11:10:00Z, effect: refuse }]
unmatched: [chat]
";

/// What playbook `call` is told, but for numbers.
const DENIED: &str = "`http://127.0.0.1:1` answered 401; it refuses the step's credential; name a server of targets.http";

/// What happens in both worlds.
#[derive(Debug, Clone, Copy)]
enum Say {
    Fire(&'static str),
    Resolve(&'static str),
    /// The verification exits with this: 0 healthy, 1 unhealthy, 2 unknown.
    Sees(u8),
    /// Steps exit with this.
    Exits(u8),
    /// Latency is 0 as before, 1 worse, 2 not to be seen.
    Harm(u8),
    Approve,
    ApproveAs(&'static str),
    Reject,
    Acknowledge,
    Take,
    GiveBack,
    BreakGlass(&'static str, u64),
    Cancel,
    Pause,
    Resume,
    /// Somebody adds a window with this effect, for an hour.
    Adds(Effect),
    /// It is ended.
    Ends,
    /// Somebody changed this target.
    Changed(&'static str),
    /// A person trusts the rule again.
    Promotes,
}

/// Everything that people could read afterwards, in an order of its own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    decisions: Vec<String>,
    runs: Vec<String>,
    notices: Vec<String>,
}

fn decision_line(decision: &Decision) -> String {
    let verdict = decision.verdict.as_str();
    let by = respond::deciding(decision);
    format!("{} {} {} {verdict}: {by}", decision.episode, decision.rule, decision.playbook)
}

fn notice_line(channel: &str, notice: &Notice) -> String {
    let headline: String = notice.headline.chars().filter(|c| !c.is_ascii_digit()).collect();
    format!("{} {channel} {:?}: {headline}", notice.incident, notice.kind)
}

fn run_lines(run: RunId, events: impl Iterator<Item = (Timestamp, String)>) -> String {
    events.fold(format!("{run}"), |mut text, (at, event)| {
        write!(text, "\n  {at} {event}").unwrap();
        text
    })
}

/// An event without what a real process adds to it.
fn event_words(plan: &quell::model::run::Plan, event: &Event) -> String {
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

/// The engine in a folder of its own.
struct Real {
    app: App,
    folder: TempDir,
    page: Recorder,
}

impl Real {
    async fn start(folder: TempDir, library: Library, page: Recorder) -> Self {
        let clock = Clock::manual(START.parse().unwrap());
        Self { app: App::start(library, clock).await.unwrap(), folder, page }
    }

    /// Moves the clock under a verification, and waits until it has looked again and its lease is renewed.
    async fn watch_until(&self, at: Timestamp) {
        let looks = self.folder.path().join("looks");
        let count = || fs::read(&looks).map_or(0, |bytes| bytes.len());
        self.come_to(at);
        let before = count();
        until("the verification looks", PATIENCE, async || {
            let now = count();
            // a look that begins after another one begins after that one's lease
            if now >= before + 3 { Ok(()) } else { Err(now) }
        })
        .await;
    }

    fn come_to(&self, at: Timestamp) {
        let clock = &self.app.engine.clock;
        clock.advance(since(at, clock.now()));
        self.app.engine.wake.all();
    }

    async fn say(&self, say: Say) {
        let store = &self.app.engine.store;
        let runs = store.runs(None, None, 1).await.unwrap();
        let now = self.app.engine.clock.now();
        match say {
            Say::Fire(service) => self.deliver(firing(service, now)).await,
            Say::Resolve(service) => self.deliver(resolved(service, now)).await,
            Say::Sees(code) => write(self.folder.path(), "probe", code),
            Say::Exits(code) => write(self.folder.path(), "step", code),
            Say::Approve => self.word(&runs[0], "dana", approve(&runs[0])).await,
            Say::ApproveAs(who) => self.word(&runs[0], who, approve(&runs[0])).await,
            Say::Harm(code) => latency(&self.page, code),
            Say::Reject => {
                let word = StoredWord::Reject { reason: "no".to_owned() };
                self.word(&runs[0], "dana", word).await;
            }
            Say::Take | Say::GiveBack => {
                let incident = store.incidents(None, None, 1).await.unwrap()[0].id;
                let library = self.app.engine.library.load_full();
                let told = store.channels_told(incident).await.unwrap();
                let take = matches!(say, Say::Take);
                let owed = |it: &quell::model::incident::Incident| {
                    let notice = if take {
                        tell::taken(it, "dana", now)
                    } else {
                        tell::given_back(it, "dana", now)
                    };
                    quell::decide::audience::to_channels(&library.config, &notice, &told)
                };
                let (_, done) = if take {
                    store.take_incident(incident, "dana", None, owed).await.unwrap()
                } else {
                    store.give_back_incident(incident, owed).await.unwrap()
                };
                assert!(done);
            }
            Say::BreakGlass(scope, seconds) => {
                let config = &self.app.engine.library.load_full().config;
                let lasts = Duration::from_secs(seconds);
                let asked = glass::Asked { scope, by: ("dana", 4), reason: "outage", lasts };
                let new = glass::ask(config, asked, now).unwrap();
                let make = |it: &_| (glass::incident(it), glass::told(config, it));
                store.break_glass(&new, make).await.unwrap();
            }
            Say::Acknowledge => {
                let incident = store.incidents(None, None, 1).await.unwrap()[0].id;
                let library = self.app.engine.library.load_full();
                let told = store.channels_told(incident).await.unwrap();
                let owed = |it: &quell::model::incident::Incident| {
                    let notice = tell::acknowledged(it, "dana", now);
                    quell::decide::audience::to_channels(&library.config, &notice, &told)
                };
                store.acknowledge(incident, "dana", None, owed).await.unwrap();
            }
            Say::Cancel => drop(store.cancel_run(runs[0].id, "dana").await.unwrap()),
            Say::Pause => drop(store.pause("all", "dana", "").await.unwrap()),
            Say::Resume => {
                store.resume("all").await.unwrap();
                store.wake_all_episodes().await.unwrap();
            }
            Say::Adds(effect) => store.add_window(&deploy(effect, now)).await.unwrap(),
            Say::Ends => store.end_window("deploy", "dana").await.unwrap(),
            Say::Changed(target) => {
                let change = changed::told(target, "dana", "", now).unwrap();
                store.add_change(&change).await.unwrap();
            }
            Say::Promotes => {
                let library = self.app.engine.library.load_full();
                let rule = library.rules.rules().iter().find(|it| it.name == "api").unwrap();
                let last = store.trust("api").await.unwrap();
                let trust = trust::promotion(
                    &library.config,
                    rule,
                    last.as_ref(),
                    None,
                    "dana",
                    "mended",
                    now,
                );
                store.promote(last.as_ref(), &trust.unwrap()).await.unwrap();
            }
        }
        self.app.engine.wake.all();
    }

    async fn word(&self, run: &RunRow, name: &str, word: StoredWord) {
        let library = self.app.engine.library.load_full();
        let speaker = Speaker { name, tier: 4, link: None };
        let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
        self.app.engine.store.say(run.id, speaker, word, owed).await.unwrap();
    }

    async fn deliver(&self, alert: Alert) {
        let (source, receiver) = ("test".to_owned(), String::new());
        let delivery = Delivery { source, receiver, truncated: 0, alerts: vec![alert] };
        self.app.engine.intake.accept(delivery).await.unwrap();
    }

    async fn log(&self) -> Log {
        let store = &self.app.engine.store;
        let mut log = Log::default();
        let mut decisions = store.decisions(None, None, 1000).await.unwrap();
        decisions.reverse();
        log.decisions = decisions.iter().map(|it| decision_line(&it.decision)).collect();
        let mut runs = store.runs(None, None, 1000).await.unwrap();
        runs.reverse();
        for run in runs {
            let plan = store.plan(run.id).await.unwrap().unwrap();
            let entries = store.journal(run.id).await.unwrap();
            let events = entries.iter().map(|it| (it.at, event_words(&plan, &it.event)));
            log.runs.push(run_lines(run.id, events));
        }
        let mut incidents = store.incidents(None, None, 1000).await.unwrap();
        incidents.reverse();
        for incident in incidents {
            let told = store.notifications_of(incident.id).await.unwrap();
            log.notices.extend(told.iter().map(|it| notice_line(&it.channel, &it.notice)));
        }
        log.sorted()
    }
}

impl Log {
    /// Of two things that happen at the same instant, the engine may do either first.
    fn sorted(mut self) -> Self {
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

fn approve(run: &RunRow) -> StoredWord {
    StoredWord::Approve { digest: run.digest.clone() }
}

fn latency(page: &Recorder, code: u8) {
    let answer = match code {
        0 => Answer::status(200).body("latency 0.2\n"),
        1 => Answer::status(200).body("latency 0.9\n"),
        _ => Answer::status(503),
    };
    page.always("/latency", answer);
}

fn write(folder: &Path, name: &str, code: u8) {
    // whole or not at all: a process may be reading it
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, code.to_string()).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

fn firing(service: &str, at: Timestamp) -> Alert {
    let labels: Labels = [("alertname", "Errors"), ("severity", "critical"), ("service", service)]
        .into_iter()
        .collect();
    quell::rehearse::firing(labels, at)
}

fn resolved(service: &str, at: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Resolved,
        ends_at: Some(at),
        ..firing(service, START.parse().unwrap())
    }
}

fn deploy(effect: Effect, now: Timestamp) -> OneOff {
    OneOff {
        name: "deploy".into(),
        effect,
        matchers: Vec::new(),
        reason: "deploy 41".into(),
        by: "dana".into(),
        at: now,
        from: now,
        until: after(now, Duration::from_hours(1)),
        ended_by: None,
    }
}

fn rehearse(world: &mut World<'_>, say: Say) {
    let now = world.now();
    let about = About::default();
    match say {
        Say::Fire(service) => drop(world.alert(now, &firing(service, now), "test", 0)),
        Say::Resolve(service) => drop(world.alert(now, &resolved(service, now), "test", 0)),
        Say::Sees(code) => {
            let health = [Health::Healthy, Health::Unhealthy, Health::Unknown][usize::from(code)];
            let seen =
                Observation { health, measured: format!("exit {code} in 3 ms"), denied: false };
            for rule in ["api", "pair", "guarded"] {
                let seen = seen.clone();
                world.script(now, |script| script.probe(Seen::Rule(rule), seen));
            }
        }
        Say::Harm(code) => {
            let health = [Health::Healthy, Health::Unhealthy, Health::Unknown][usize::from(code)];
            // as the page and the comparison say it
            let measured = [
                "0.2, 0.2 before (worse: value > before * 1.2)",
                "0.9, 0.2 before (worse: value > before * 1.2)",
                "http://127.0.0.1:1 answered 503",
            ];
            let measured = measured[usize::from(code)].to_owned();
            let seen = Observation { health, measured, denied: false };
            world.script(now, |script| script.probe(Seen::Unharmed("guarded", "latency"), seen));
        }
        Say::Exits(code) => {
            let which = Which { playbook: None, step: None, nth: None, undo: false };
            let failed = Outcome::Failed { reason: "exit 1 in 3 ms".into(), retryable: true };
            let outcome = if code == 0 { Tried::default().outcome } else { failed };
            let tried = Tried { outcome, takes: Duration::ZERO };
            world.script(now, |script| script.step(which, tried));
        }
        Say::Approve => world.say("dana", &about, Word::Approve).unwrap(),
        Say::Reject => world.say("dana", &about, Word::Reject("no".into())).unwrap(),
        Say::ApproveAs(who) => world.say(who, &about, Word::Approve).unwrap(),
        Say::Acknowledge => world.acknowledge("dana", &about).unwrap(),
        Say::Take => world.take_over("dana", &about).unwrap(),
        Say::GiveBack => world.give_back("dana", &about).unwrap(),
        Say::BreakGlass(scope, seconds) => {
            world.break_glass("dana", scope, "outage", Duration::from_secs(seconds)).unwrap();
        }
        Say::Cancel => world.say("dana", &about, Word::Cancel).unwrap(),
        Say::Pause => world.pause("all", "dana", ""),
        Say::Resume => world.resume("all").unwrap(),
        Say::Adds(effect) => world.add_window(&deploy(effect, now)).unwrap(),
        Say::Ends => world.end_window("deploy").unwrap(),
        Say::Changed(target) => world.changed(target, "dana", "").unwrap(),
        Say::Promotes => world.promote("api", None, "dana", "mended").unwrap(),
    }
}

fn rehearsed(world: &World<'_>, happened: &[Happening]) -> Log {
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

/// Plays a script in both worlds, and compares them whenever anything has happened.
async fn agree(script: &[(u64, Say)], ends: u64) {
    let folder = TempDir::new().unwrap();
    let people = Recorder::start().await;
    people.always("/deny", Answer::status(401));
    let path = folder.path().display().to_string();
    let page = Recorder::start().await;
    latency(&page, 0);
    for (name, text) in
        [("quell.yml", SETTINGS), ("rules/r.yml", FILES), ("playbooks/p.yml", PLAYBOOKS)]
    {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = text.replace("FOLDER", &path).replace("PEOPLE", &people.url("/"));
        let text = text.replace("PAGE", &page.url(""));
        fs::write(file, text).unwrap();
    }
    write(folder.path(), "probe", 1);
    write(folder.path(), "step", 0);
    let load = || {
        let loaded = library::load(Some(&folder.path().join("quell.yml")), &|_| None);
        let shown = loaded.render(false);
        loaded.library.unwrap_or_else(|| panic!("{shown}"))
    };
    let library = load();
    let start: Timestamp = START.parse().unwrap();
    let at = |seconds: u64| after(start, Duration::from_secs(seconds));
    let new = || {
        let mut world = World::with(&library, &library.config, Memory::Whole, start);
        rehearse(&mut world, Say::Sees(1));
        let which = Which { playbook: Some("call".into()), step: None, nth: None, undo: false };
        let outcome = Outcome::Denied { credentials: Vec::new(), reason: DENIED.into() };
        let tried = Tried { outcome, takes: Duration::ZERO };
        world.script(start, |script| script.step(which, tried));
        world
    };
    // first the rehearsal alone, to know when something happens
    let mut world = new();
    for (seconds, say) in script {
        world.come_to(at(*seconds));
        rehearse(&mut world, *say);
    }
    world.run_until(at(ends));
    let quiet = |it: &Happening| matches!(it.what, What::Decided { news: false, .. });
    let mut moments: Vec<Timestamp> =
        world.happenings().filter(|it| !quiet(it)).map(|it| it.at).collect();
    moments.extend(script.iter().map(|(seconds, _)| at(*seconds)));
    moments.push(at(ends));
    moments.sort_unstable();
    moments.dedup();
    // then both side by side
    let real_library = load();
    let mut world = new();
    let mut happened = Vec::new();
    let real = Real::start(folder, real_library, page).await;
    for moment in moments {
        let verifying =
            |world: &World<'_>| world.journals().any(|(.., state)| state == RunState::Verifying);
        while verifying(&world) && since(moment, world.now()) > WATCHED {
            let next = after(world.now(), WATCHED);
            world.come_to(next);
            real.watch_until(next).await;
        }
        real.come_to(moment);
        world.come_to(moment);
        for (_, say) in script.iter().filter(|(seconds, _)| at(*seconds) == moment) {
            rehearse(&mut world, *say);
            real.say(*say).await;
        }
        world.run_until(moment);
        happened.extend(world.happenings());
        let expected = rehearsed(&world, &happened);
        until(&format!("the engine does what was rehearsed by {moment}"), PATIENCE, async || {
            let seen = real.log().await;
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:#?}\nrehearsed {expected:#?}"))
            }
        })
        .await;
    }
    // what it would still do, it does before it stops
    let expected = rehearsed(&world, &happened);
    assert!(!expected.decisions.is_empty(), "nothing was decided");
    assert_eq!(real.log().await, expected);
    real.app.stop().await;
}

#[tokio::test]
async fn a_remedy_that_helps() {
    let script = [
        (7, Say::Fire("api")),
        (110, Say::Sees(0)),
        (300, Say::Resolve("api")),
        (400, Say::Fire("api")),
    ];
    agree(&script, 410).await;
}

#[tokio::test]
async fn remedies_that_do_not_help() {
    let script = [(7, Say::Fire("api")), (500, Say::Approve)];
    agree(&script, 900).await;
}

#[tokio::test]
async fn a_step_that_fails_and_a_person_who_says_no() {
    let script =
        [(3, Say::Exits(1)), (7, Say::Fire("api")), (100, Say::Reject), (200, Say::Resolve("api"))];
    agree(&script, 300).await;
}

#[tokio::test]
async fn an_alert_that_resolves_while_a_person_is_asked() {
    let script = [(3, Say::Exits(1)), (7, Say::Fire("api")), (100, Say::Resolve("api"))];
    agree(&script, 200).await;
}

#[tokio::test]
async fn nobody_approves_and_nobody_acknowledges() {
    let script = [(3, Say::Exits(1)), (7, Say::Fire("api"))];
    agree(&script, 2 * 3600).await;
}

#[tokio::test]
async fn a_person_stops_it_and_takes_it() {
    let script = [(7, Say::Fire("api")), (50, Say::Acknowledge), (61, Say::Cancel)];
    agree(&script, 1800).await;
}

#[tokio::test]
async fn g05_what_flaps_is_one_incident_until_it_is_quiet() {
    let script = [
        (7, Say::Fire("api")),
        (15, Say::Resolve("api")),
        (37, Say::Fire("api")),
        (45, Say::Resolve("api")),
        (67, Say::Fire("api")),
        (75, Say::Resolve("api")),
        (97, Say::Fire("api")),
        (105, Say::Resolve("api")),
    ];
    agree(&script, 600).await;
}

#[tokio::test]
async fn a_pause_holds_and_its_end_lets_go() {
    let script = [(3, Say::Pause), (7, Say::Fire("api")), (150, Say::Resume), (230, Say::Sees(0))];
    agree(&script, 400).await;
}

#[tokio::test]
async fn a_page_is_held_until_its_time_is_over() {
    let script = [(7, Say::Fire("api")), (200, Say::Fire("web")), (320, Say::Sees(0))];
    agree(&script, 500).await;
}

#[tokio::test]
async fn g16_what_gets_worse_is_undone() {
    let script = [(7, Say::Fire("guarded")), (80, Say::Harm(1)), (300, Say::Harm(0))];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g16_what_cannot_be_measured_holds_and_later_counts_as_unknown() {
    let script = [
        (3, Say::Harm(2)),
        (7, Say::Fire("guarded")),
        (60, Say::Harm(0)),
        (100, Say::Harm(2)),
        (140, Say::Sees(0)),
    ];
    agree(&script, 400).await;
}

#[tokio::test]
async fn a_window_refuses_until_its_end() {
    let script = [(3700, Say::Fire("api")), (4150, Say::Fire("api")), (4300, Say::Sees(0))];
    agree(&script, 4500).await;
}

#[tokio::test]
async fn a_window_that_was_added_refuses_until_it_is_ended() {
    let script = [
        (3, Say::Adds(Effect::Refuse)),
        (7, Say::Fire("api")),
        (700, Say::Ends),
        (850, Say::Sees(0)),
    ];
    agree(&script, 1000).await;
}

#[tokio::test]
async fn what_was_observed_in_a_window_that_was_added_is_judged_again_when_it_is_ended() {
    let script = [
        (3, Say::Adds(Effect::Observe)),
        (7, Say::Fire("api")),
        (300, Say::Ends),
        (800, Say::Sees(0)),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn a_window_that_begins_before_the_first_step_holds_it_until_it_is_ended() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (50, Say::Exits(0)),
        (60, Say::Adds(Effect::Refuse)),
        (100, Say::Approve),
        (400, Say::Ends),
        (405, Say::Sees(0)),
    ];
    agree(&script, 700).await;
}

#[tokio::test]
async fn what_a_window_holds_before_a_step_for_too_long_is_given_up() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (60, Say::Adds(Effect::Refuse)),
        (100, Say::Approve),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn what_somebody_changed_is_only_proposed_for_a_while() {
    let script = [
        (3, Say::Changed("service/api")),
        (7, Say::Fire("api")),
        (50, Say::Approve),
        (60, Say::Fire("web")),
        (1900, Say::Resolve("api")),
        (2600, Say::Fire("api")),
    ];
    agree(&script, 2700).await;
}

#[tokio::test]
async fn a_change_while_an_alert_settles_counts_for_all_below_it() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (36, Say::Changed("service")),
        (50, Say::Exits(0)),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn a_rule_that_does_not_help_asks_until_a_person_trusts_it_again() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (100, Say::Fire("web")),
        (200, Say::Fire("stock")),
        (300, Say::Fire("mail")),
        (400, Say::Promotes),
        (500, Say::Fire("cart")),
    ];
    agree(&script, 600).await;
}

#[tokio::test]
async fn a_schedule_runs_at_its_time_and_the_next_slot_ends_what_failed() {
    let slot = 9000;
    let script = [(slot - 60, Say::Exits(1)), (slot + 600, Say::Exits(0))];
    agree(&script, slot + 24 * 3600 + 300).await;
}

#[tokio::test]
async fn what_cannot_be_seen_and_what_no_rule_takes() {
    let script = [(3, Say::Sees(2)), (7, Say::Fire("api")), (9, Say::Fire(""))];
    agree(&script, 60).await;
}

#[tokio::test]
async fn g19_a_refused_credential_holds_what_uses_it_and_is_told() {
    let script = [(7, Say::Fire("edge-a")), (100, Say::Fire("edge-b"))];
    agree(&script, 300).await;
}

#[tokio::test]
async fn g11_two_people_approve_and_the_glass_is_broken() {
    let script = [
        (7, Say::Fire("pair")),
        (60, Say::ApproveAs("dana")),
        (90, Say::ApproveAs("erin")),
        (200, Say::Resolve("pair")),
    ];
    agree(&script, 300).await;
    let script = [
        (7, Say::Fire("pair")),
        (60, Say::ApproveAs("dana")),
        (70, Say::BreakGlass("rule:pair", 600)),
        (90, Say::Sees(0)),
    ];
    agree(&script, 800).await;
}

#[tokio::test]
async fn g11_a_run_planned_behind_broken_glass_needs_nobody() {
    let script = [
        (3, Say::BreakGlass("target:service/pair", 300)),
        (7, Say::Fire("pair")),
        (60, Say::Sees(0)),
    ];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g15_a_person_takes_over_between_two_steps_and_gives_back() {
    let script =
        [(7, Say::Fire("api")), (50, Say::Take), (200, Say::GiveBack), (400, Say::Resolve("api"))];
    agree(&script, 500).await;
}

#[tokio::test]
async fn g15_what_a_person_took_over_is_not_begun_until_it_is_given_back() {
    let script = [
        (7, Say::Fire("pair")),
        (20, Say::Take),
        (100, Say::GiveBack),
        (130, Say::ApproveAs("erin")),
        (140, Say::Reject),
    ];
    agree(&script, 300).await;
}

#[tokio::test]
async fn g15_an_acknowledgement_makes_an_automatic_remedy_a_proposal() {
    let script = [(7, Say::Fire("api")), (20, Say::Acknowledge), (100, Say::Approve)];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g15_an_acknowledgement_while_a_remedy_is_at_work_lets_it_end_and_proposes_the_next() {
    let script = [(7, Say::Fire("api")), (50, Say::Acknowledge), (250, Say::Approve)];
    agree(&script, 500).await;
}
