//! The wall clock jumps an hour, summer time begins and ends, an alert comes from 2099: no slot early, twice or left out, and
//! no cooldown gets shorter (G13).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use crate::experiments::rig;
use crate::experiments::rig::RESTART;
use crate::experiments::rig::Rig;
use crate::support::postgres;
use crate::support::quell::Quell;
use crate::support::recorder::Answer;
use crate::support::wait;

/// Debian's libfaketime: the wall clock of a process is what a file says.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut found = folders.map(|it| it.unwrap().path().join("faketime/libfaketime.so.1"));
    found.find(|it| it.exists()).unwrap_or_else(|| panic!("no libfaketime: run tests/install.sh"))
}

/// quell whose wall clock can be set, and whose monotonic clock cannot.
fn with_a_clock(quell: Quell) -> Quell {
    let file = quell.folder().join("clock");
    fs::write(&file, "+0").unwrap();
    quell
        .with_env("LD_PRELOAD", library().to_str().unwrap())
        .with_env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .with_env("FAKETIME_NO_CACHE", "1")
        .with_env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Sets the wall clock so many seconds ahead of the true one.
fn set(quell: &Quell, seconds: i64) {
    let next = quell.folder().join("clock.next");
    fs::write(&next, format!("{seconds:+}")).unwrap();
    fs::rename(next, quell.folder().join("clock")).unwrap();
}

const NOTE: &str = r#"
playbook: note
parameters: { slot: { type: string, required: true } }
steps:
  - name: note
    http: { server: plant, method: POST, url: "/note/{{ slot }}" }
    on_unknown: retry
"#;

/// How often each slot was begun.
fn slots(rig: &Rig) -> BTreeMap<String, usize> {
    let mut slots = BTreeMap::new();
    for effect in rig.plant.effects() {
        *slots.entry(effect.unit).or_default() += 1;
    }
    slots
}

async fn more_slots(rig: &Rig, count: usize) {
    rig.plant.affected(rig.plant.effects().len() + count).await;
}

#[tokio::test]
async fn e08_slots_when_the_clock_jumps() {
    let mut rig = Rig::new().await;
    // after a jump nothing begins for so long
    rig.config["limits"] = json!({ "rate": "1000 per 1h", "max_skew": "2s" });
    rig.rules = json!({ "schedules": [{
        "name": "tick", "cron": "* * * * * *", "playbook": "note",
        "with": { "slot": "{{ labels.slot | replace(':', '-') }}" },
    }] });
    rig.playbooks = vec![("note.yml", NOTE.to_owned())];
    let mut quell = with_a_clock(rig.quell());
    quell.serve().await;
    more_slots(&rig, 2).await;
    // ahead: the slots of an hour are missed, and those of the new time are begun
    set(&quell, 3600);
    more_slots(&rig, 3).await;
    let ahead = slots(&rig);
    // and back: what was begun is not begun again
    set(&quell, 0);
    let schedules = quell.cli(&["schedules", "--json"]).await.json();
    let before = schedules[0]["state"]["last_slot"].as_str().unwrap().to_owned();
    quell.restart().await;
    quell.hang_up();
    wait::until("the files are in force again", wait::PATIENCE, async || {
        let log = quell.log();
        if log.contains("are in force") { Ok(()) } else { Err(log) }
    })
    .await;
    let after = quell.cli(&["schedules", "--json"]).await.json();
    let last = after[0]["state"]["last_slot"].as_str().unwrap();
    assert!(last >= before.as_str(), "{last} after {before}");
    set(&quell, 3660);
    more_slots(&rig, 2).await;
    let all = slots(&rig);
    assert!(all.values().all(|count| *count == 1), "{all:#?}");
    assert!(ahead.keys().all(|slot| all.contains_key(slot)), "{all:#?}");
    rig::audit_holds(&quell).await;
    rig.report(8, "slots while the clock jumps an hour ahead and back", None);
}

#[tokio::test]
async fn e08_cooldown_when_the_clock_jumps() {
    let rig = Rig::new().await;
    let mut quell = with_a_clock(rig.quell());
    quell.serve().await;
    rig.plant.sicken("a");
    rig::post(&quell, "firing", "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    rig::post(&quell, "resolved", "a").await;
    for jump in [3600, -3600] {
        set(&quell, jump);
        rig.plant.sicken("a");
        let body = rig::body("firing", &[rig::alert("firing", "a", "2026-01-05T10:06:00Z")]);
        quell.post("/api/v1/webhook/alertmanager", &body).await;
        wait::until("it is held", wait::PATIENCE, async || {
            let decisions = quell.get("/api/v1/decisions?limit=1").await;
            let last = decisions["items"][0].clone();
            let held = ["hold", "refuse"].contains(&last["verdict"]["is"].as_str().unwrap_or(""));
            if held { Ok(()) } else { Err(last) }
        })
        .await;
    }
    assert_eq!(rig.plant.effects().len(), 1, "a cooldown of 5m ended at once");
    rig.report(8, "cooldown while the clock jumps an hour ahead and back", Some(Duration::ZERO));
}

const WAIT: &str = r#"
playbook: later
parameters: { unit: { type: string, required: true } }
steps:
  - { name: pause, wait: 12s }
  - name: restart
    http: { server: plant, method: POST, url: "/restart/{{ unit }}" }
    on_unknown: retry
"#;

/// How long each of the waits below lasts, in seconds, and by how much a busy machine may be late.
const LASTS: f64 = 12.0;
const LATE: f64 = 8.0;

/// Where the recorder stands for a chat that is told when nobody acknowledges, and for one that is down at first.
const ASKED: &str = "/asked";
const DOWN: &str = "/down";

/// A `wait` step, an approval, a held page, an acknowledgement and the retry of a notification wait at once, while the clock is
/// set, quell is stopped, the clock is set back to what it was, and quell is started again: none is over early, none is an
/// hour late.
async fn waits_over_a_jump(hours: i64) {
    let mut rig = Rig::new().await;
    let chat = |path: &str| json!({ "slack": { "webhook_url": rig.people.url(path) } });
    let (asked, down) = (chat(ASKED), chat(DOWN));
    rig.config["channels"]["asked"] = asked;
    rig.config["channels"]["down"] = down;
    rig.config["severities"]["critical"] = json!({
        "notify": ["pager", "down"], "ack_within": "12s", "escalate_to": ["asked"] });
    rig.config["limits"] = json!({ "max_skew": "1s", "rate": "100 per 1h" });
    rig.plant.is_beyond_help();
    let rule = |unit: &str| {
        let mut rule = rig.rules["rules"][0].clone();
        rule["name"] = json!(unit);
        rule["match"] = json!([format!("unit=\"{unit}\"")]);
        rule
    };
    let (mut waits, mut asks, mut holds) = (rule("waits"), rule("asks"), rule("holds"));
    waits["response"][0]["playbook"] = json!("later");
    asks["mode"] = json!("approve");
    holds["page"] = json!({ "unless_fixed_within": "12s" });
    holds["verify"]["within"] = json!("1m");
    rig.rules["rules"] = json!([waits, asks, holds]);
    let approved = RESTART.replace("steps:", "approve_within: 12s\nsteps:");
    rig.playbooks = vec![("restart.yml", approved), ("later.yml", WAIT.to_owned())];
    rig.people.next(DOWN, Answer::status(503).header("retry-after", "12"));
    let mut quell = with_a_clock(rig.quell());
    quell.serve().await;
    let units = ["waits", "asks", "holds"];
    for unit in units {
        rig.plant.sicken(unit);
    }
    let began = Instant::now();
    let alerts = units.map(|unit| rig::alert("firing", unit, rig::STARTED));
    quell.post("/api/v1/webhook/alertmanager", &rig::body("firing", &alerts)).await;
    wait::until("all of them wait", wait::PATIENCE, async || {
        let mut runs = rig::runs(&quell).await;
        runs.sort_by_key(|it| it.split(' ').next_back().map(str::to_owned));
        let states: Vec<_> =
            runs.iter().filter_map(|it| it.split_once(' ')).map(|it| it.1).collect();
        let expected = ["restart awaiting approval", "later running", "restart verifying"];
        if states == expected && !rig.people.requests(DOWN).is_empty() {
            Ok(())
        } else {
            Err(states.join(", "))
        }
    })
    .await;
    let all_wait = Instant::now();
    set(&quell, hours * 3600);
    noticed(&quell, 1).await;
    quell.stop().await;
    set(&quell, 0);
    quell.serve().await;
    noticed(&quell, 2).await;
    let mut over: BTreeMap<&str, Duration> = BTreeMap::new();
    wait::until("all waits are over", wait::PATIENCE, async || {
        let runs = rig::runs(&quell).await;
        let retried: Vec<_> =
            rig.people.requests(DOWN).iter().map(|it| it.json()["text"].clone()).collect();
        let said = |path: &str, words: &str| {
            let requests = rig.people.requests(path);
            requests.iter().any(|it| String::from_utf8_lossy(&it.body).contains(words))
        };
        for (what, is_over) in [
            ("the wait", rig.plant.effects().iter().any(|it| it.unit == "waits")),
            ("the approval", runs.iter().any(|it| it.ends_with("expired"))),
            ("the held page", said(rig::PAGER, "not fixed within 12s")),
            ("the acknowledgement", said(ASKED, "nobody has acknowledged it")),
            ("the retry", retried.iter().skip(1).any(|it| *it == retried[0])),
        ] {
            if is_over {
                over.entry(what).or_insert_with(|| began.elapsed());
            }
        }
        if over.len() == 5 { Ok(()) } else { Err((over.clone(), runs)) }
    })
    .await;
    let waited_for = all_wait.duration_since(began).as_secs_f64();
    for (what, after) in &over {
        let after = after.as_secs_f64();
        assert!(after >= LASTS, "{what} was over after {after:.1} s: {over:#?}");
        assert!(
            after <= LASTS + waited_for + LATE,
            "{what} was over after {after:.1} s: {over:#?}"
        );
    }
    let journal = quell.cli(&["runs", "r-1"]).await;
    assert!(journal.out.contains("the wall clock was set"), "{journal:?}");
    rig::audit_holds(&quell).await;
    rig.report(8, &format!("five waits while the clock is {hours} h off, over a restart"), None);
}

/// Replicas whose hosts are hours apart, and one of which is set: they go by the clock of the database, so nothing happens.
#[tokio::test]
async fn e08_replicas_whose_clocks_differ_postgres() {
    let mut rig = Rig::new().await;
    rig.config["storage"] = postgres::database().await.into();
    let right = rig.serve().await;
    let mut wrong = with_a_clock(rig.quell());
    set(&wrong, 7200);
    wrong.serve().await;
    rig.plant.sicken("a");
    rig::post(&wrong, "firing", "a").await;
    rig::until_runs(&right, &["r-1 restart fixed"]).await;
    for (replica, expected) in [(&right, 0.0), (&wrong, 7200.0)] {
        let offset = replica.metric("quell_clock_offset_seconds").await.unwrap();
        assert!((offset - expected).abs() < 4.0, "{offset} instead of {expected}");
    }
    set(&wrong, -3600);
    wait::until("the new offset is measured", wait::PATIENCE, async || {
        let offset = wrong.metric("quell_clock_offset_seconds").await.unwrap();
        if (offset + 3600.0).abs() < 4.0 { Ok(()) } else { Err(offset) }
    })
    .await;
    let incident = wrong.get("/api/v1/incidents/i-1").await;
    let opened: Timestamp = incident["incident"]["opened_at"].as_str().unwrap().parse().unwrap();
    let age = rig::now().duration_since(opened);
    assert!(age.abs() < jiff::SignedDuration::from_mins(2), "{age:?}");
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into());
    for replica in [&right, &wrong] {
        assert!(!replica.log().contains("the wall clock was set"), "{}", replica.log());
    }
    rig::audit_holds(&right).await;
    rig.report(8, "two replicas whose clocks are hours apart", None);
}

/// Waits until the log says so often that the clock was set.
async fn noticed(quell: &Quell, times: usize) {
    wait::until("the jump is noticed", wait::PATIENCE, async || {
        let log = quell.log();
        if log.matches("what waits was moved with it").count() >= times { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
#[ignore = "half a minute: tests/run experiments"]
async fn e08_waits_when_the_clock_jumps_ahead_and_back() {
    waits_over_a_jump(1).await;
}

#[tokio::test]
#[ignore = "half a minute: tests/run experiments"]
async fn e08_waits_when_the_clock_jumps_back_and_ahead() {
    waits_over_a_jump(-1).await;
}

#[tokio::test]
async fn e08_an_alert_from_2099() {
    let rig = Rig::new().await;
    let quell = rig.serve().await;
    rig.plant.sicken("a");
    let body = rig::body("firing", &[rig::alert("firing", "a", "2099-01-01T00:00:00Z")]);
    quell.post("/api/v1/webhook/alertmanager", &body).await;
    rig::decided(&quell, "in the future", 1).await;
    // and its resolution, which seems to lie before it
    let mut resolved = rig::alert("resolved", "a", "2099-01-01T00:00:00Z");
    resolved["endsAt"] = json!(rig::now());
    quell.post("/api/v1/webhook/alertmanager", &rig::body("resolved", &[resolved])).await;
    wait::until("it is over", wait::PATIENCE, async || {
        let incident = quell.get("/api/v1/incidents/i-1").await;
        if incident["incident"]["status"] == "resolved" { Ok(()) } else { Err(incident) }
    })
    .await;
    assert_eq!(rig.plant.effects(), []);
    // the same unit by a clock that is right
    rig::post(&quell, "firing", "a").await;
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into());
    rig.report(8, "an alert that began in 2099, and one that did not", None);
}

/// Both edges of summer time in Berlin, in the simulator: a minute that does not exist is made up for, and one that comes
/// twice is taken once; a wait over either is as long as it should be.
#[tokio::test]
async fn e08_summer_time() {
    let rules = r#"
schedules:
  - { name: nightly, cron: "30 2 * * *", timezone: Europe/Berlin, playbook: note, with: { slot: "{{ labels.slot }}" } }
  - { name: hourly, cron: "0 * * * *", timezone: Europe/Berlin, playbook: note, with: { slot: "{{ labels.slot }}" } }
  - { name: early, cron: "30 1 * * *", timezone: Europe/Berlin, playbook: three-hours }
"#;
    let tests = "
tests:
  - name: summer time begins
    at: 2026-03-28T12:00:00Z
    expect:
      - { at: 36h1m, rule: 'schedule:nightly', runs: 1 }
      - { at: 36h1m, rule: 'schedule:hourly', runs: 36 }
  - name: a wait while summer time begins
    at: 2026-03-28T23:30:00Z
    expect:
      - { at: 3h59m59s, rule: 'schedule:early', run: running }
      - { at: 4h1s, rule: 'schedule:early', run: fixed }
  - name: a wait while summer time ends
    at: 2026-10-24T22:30:00Z
    expect:
      - { at: 3h59m59s, rule: 'schedule:early', run: running }
      - { at: 4h1s, rule: 'schedule:early', run: fixed }
  - name: summer time ends
    at: 2026-10-24T12:00:00Z
    expect:
      - { at: 36h1m, rule: 'schedule:nightly', runs: 1 }
      - { at: 36h1m, rule: 'schedule:hourly', runs: 36 }
";
    let waits = "playbook: three-hours\nsteps: [{ name: pause, wait: 3h }]\n";
    let files = [
        ("rules/r.yml", rules),
        ("playbooks/note.yml", NOTE),
        ("playbooks/three-hours.yml", waits),
        ("rules/r.test.yml", tests),
    ];
    let quell = Quell::prepare(
        "targets: { http: { plant: { url: http://127.0.0.1:1 } } }\nmode: auto\n",
        &files,
    );
    let said = quell.cli(&["test"]).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    println!("experiment 8, both edges of summer time in the simulator: every slot once");
}
