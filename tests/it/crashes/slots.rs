//! A crash at each commit of a slot of a schedule: it is neither lost nor run twice.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::quell::Quell;
use crate::support::recorder::Recorder;
use crate::support::wait;

const RULES: &str = r#"
schedules:
  - { name: tick, cron: "*/2 * * * * *", playbook: note, with: { slot: "{{ labels.slot }}" } }
"#;

const NOTE: &str = "
playbook: note
parameters: { slot: { type: string, required: true } }
steps:
  - { name: note, http: { method: POST, url: HOOK, json: { slot: '{{ slot }}' } }, on_unknown: retry }
";

/// Points of two slots: opened, its incident, its decision, its run, four entries, its end; and of the start.
const POINTS: u32 = 28;

#[tokio::test]
async fn a_crash_at_any_commit_of_a_slot_neither_loses_nor_doubles_it() {
    let points: Vec<u32> = (1..=POINTS).collect();
    let mut died = 0;
    for four in points.chunks(4) {
        let ends = join_all(four.iter().map(|point| crash_at(*point))).await;
        died += ends.into_iter().filter(|died| *died).count();
    }
    assert!(died >= 20, "only {died} points were passed");
}

async fn crash_at(point: u32) -> bool {
    let people = Recorder::start().await;
    let note = NOTE.replace("HOOK", &people.url("/note"));
    let files = [("rules/tick.yml", RULES), ("playbooks/note.yml", note.as_str())];
    let config = "storage: sqlite:quell.db\nmode: auto\nrules: [rules/]\nplaybooks: [playbooks/]\n";
    let mut quell = Quell::prepare(config, &files).with_env("QUELL_CRASH_AT", &point.to_string());
    quell.launch();
    let died = wait::until("it dies", wait::PATIENCE, async || {
        if quell.ended().is_some() { Ok(true) } else { Err(slots(&people).len()) }
    })
    .await;
    let began = quell.cli(&["schedules", "--json"]).await;
    quell.without_env("QUELL_CRASH_AT");
    quell.serve().await;
    let before = slots(&people).len();
    wait::until("slots go on", wait::PATIENCE, async || {
        let now = slots(&people);
        if now.len() > before + 1 { Ok(()) } else { Err(now) }
    })
    .await;
    let listed = quell.cli(&["runs", "--json"]).await.json();
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for run in listed.as_array().unwrap() {
        let shown = quell.cli(&["runs", run["id"].as_str().unwrap(), "--json"]).await.json();
        let slot = shown["plan"]["labels"]["slot"].as_str().unwrap().to_owned();
        *runs.entry(slot).or_default() += 1;
    }
    assert!(runs.values().all(|count| *count == 1), "crash {point}: {runs:#?}");
    // the slot that was next when it died, and the one that had begun
    if began.code == 0 {
        let state = began.json()[0]["state"].clone();
        for slot in ["slot", "last_slot"] {
            let Some(slot) = state[slot].as_str() else { continue };
            assert!(runs.contains_key(slot), "crash {point}: {slot} is lost: {state:#} {runs:#?}");
        }
    }
    let status = quell.stop().await;
    assert!(status.success(), "crash {point}: {status}");
    died
}

/// Slots that were noted, each once: a request whose answer a crash cut off is sent again with the same key.
fn slots(people: &Recorder) -> BTreeMap<String, Value> {
    let requests = people.requests("/note");
    requests.iter().map(|it| (it.header("idempotency-key").to_owned(), it.json())).collect()
}
