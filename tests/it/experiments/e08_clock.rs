//! The wall clock jumps an hour, summer time begins and ends, an alert comes from 2099: no slot early, twice or left out, and
//! no cooldown gets shorter (G13).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::quell::Quell;
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
/// twice is taken once.
#[tokio::test]
async fn e08_summer_time() {
    let rules = r#"
schedules:
  - { name: nightly, cron: "30 2 * * *", timezone: Europe/Berlin, playbook: note, with: { slot: "{{ labels.slot }}" } }
  - { name: hourly, cron: "0 * * * *", timezone: Europe/Berlin, playbook: note, with: { slot: "{{ labels.slot }}" } }
"#;
    let tests = "
tests:
  - name: summer time begins
    at: 2026-03-28T12:00:00Z
    expect:
      - { at: 36h1m, rule: 'schedule:nightly', runs: 1 }
      - { at: 36h1m, rule: 'schedule:hourly', runs: 36 }
  - name: summer time ends
    at: 2026-10-24T12:00:00Z
    expect:
      - { at: 36h1m, rule: 'schedule:nightly', runs: 1 }
      - { at: 36h1m, rule: 'schedule:hourly', runs: 36 }
";
    let files = [("rules/r.yml", rules), ("playbooks/note.yml", NOTE), ("rules/r.test.yml", tests)];
    let quell = Quell::prepare(
        "targets: { http: { plant: { url: http://127.0.0.1:1 } } }\nmode: auto\n",
        &files,
    );
    let said = quell.cli(&["test"]).await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    println!("experiment 8, both edges of summer time in the simulator: every slot once");
}
