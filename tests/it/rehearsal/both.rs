//! Plays a script in both worlds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use quell::library;
use quell::model::alert::Alert;
use quell::model::alert::AlertStatus;
use quell::model::labels::Labels;
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
use tempfile::TempDir;

use super::FILES;
use super::PLAYBOOKS;
use super::SETTINGS;
use super::START;
use super::log::rehearsed;
use super::real::Real;
use crate::support::recorder::Answer;
use crate::support::recorder::Recorder;
use crate::support::wait::PATIENCE;
use crate::support::wait::until;

/// While a verification watches, the clock moves at most so far at once: else the worker's lease would end, and another one
/// would find the run as if its worker had died.
const WATCHED: Duration = Duration::from_secs(20);

/// What playbook `call` is told, but for numbers.
const DENIED: &str = "`http://127.0.0.1:1` answered 401; it refuses the step's credential; name a server of targets.http";

/// What happens in both worlds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Say {
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

pub(super) fn latency(page: &Recorder, code: u8) {
    let answer = match code {
        0 => Answer::status(200).body("latency 0.2\n"),
        1 => Answer::status(200).body("latency 0.9\n"),
        _ => Answer::status(503),
    };
    page.always("/latency", answer);
}

pub(super) fn write(folder: &Path, name: &str, code: u8) {
    // whole or not at all: a process may be reading it
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, code.to_string()).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

pub(super) fn firing(service: &str, at: Timestamp) -> Alert {
    let labels: Labels = [("alertname", "Errors"), ("severity", "critical"), ("service", service)]
        .into_iter()
        .collect();
    quell::rehearse::firing(labels, at)
}

pub(super) fn resolved(service: &str, at: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Resolved,
        ends_at: Some(at),
        ..firing(service, START.parse().unwrap())
    }
}

pub(super) fn deploy(effect: Effect, now: Timestamp) -> OneOff {
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
            for rule in ["api", "pair", "guarded", "twins"] {
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
            let tried = Tried { outcome, ..Tried::default() };
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

/// Plays a script in both worlds, and compares them whenever anything has happened.
pub(super) async fn agree(script: &[(u64, Say)], ends: u64) {
    // boxed, or each test is as large as both worlds
    Box::pin(play(script, ends)).await;
}

async fn play(script: &[(u64, Say)], ends: u64) {
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
        let tried = Tried { outcome, ..Tried::default() };
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
