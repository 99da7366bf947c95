//! One crash at each commit of the whole story, and the same end every time.

use futures_util::future::join_all;
use serde_json::Value;

use crate::crashes::story::Story;

/// Stories told at once.
const AT_ONCE: u32 = 4;

#[tokio::test]
async fn a_crash_at_any_commit_changes_nothing_of_the_end() {
    let mut crashed = 0;
    loop {
        let next = crashed + 1..=crashed + AT_ONCE;
        let died: Vec<bool> = join_all(next.map(crash_at)).await;
        crashed += u32::try_from(died.iter().filter(|died| **died).count()).unwrap();
        if died.contains(&false) {
            break;
        }
    }
    // two runs of six entries and one of three, with a point before and after each, and what led to them
    assert!(
        crashed >= 40,
        "only {crashed} points were passed: is the story the one that was meant?"
    );
}

/// Tells the story with a crash at this point and a second start; says whether the point was reached.
pub(crate) async fn crash_at(point: u32) -> bool {
    let mut story = Story::new("retry").await;
    story.quell = story.quell.with_env("QUELL_CRASH_AT", &point.to_string());
    story.quell.launch();
    let mut ended = story.plays().await;
    if ended.is_none() {
        ended = Some(story.quell.stop().await);
    }
    let died = !ended.unwrap().success();
    story.quell.without_env("QUELL_CRASH_AT");
    if died {
        story.quell.serve().await;
        let ended = story.plays().await;
        assert_eq!(ended, None, "crash {point}: it died once more");
        let status = story.quell.stop().await;
        assert!(status.success(), "crash {point}: {status}");
    }
    same_end(&story, point).await;
    died
}

pub(crate) async fn same_end(story: &Story, point: u32) {
    let effects = story.effects();
    let keys: Vec<&str> = effects.keys().map(String::as_str).collect();
    assert_eq!(keys, ["r-1/1", "r-2/1", "r-3/1"], "crash {point}");
    for (key, count) in &effects {
        let run = key.trim_end_matches("/1");
        let journal = story.journal(run).await;
        let at = |name: &str| journal.iter().position(|event| event.get(name).is_some());
        let last_at = |name: &str| journal.iter().rposition(|event| event.get(name).is_some());
        let (began, ended) = (last_at("step_started"), at("step_ended"));
        assert!(began < ended, "crash {point}: {run} did again what was done: {journal:#?}");
        let interrupted = journal.iter().any(|event| event == "interrupted");
        let at_most = if interrupted { 2 } else { 1 };
        assert!(*count <= at_most, "crash {point}: {key} {count} times: {journal:#?}");
    }
    let runs = story.quell.cli(&["runs", "--json"]).await.json();
    let mut states: Vec<_> = runs.as_array().unwrap().iter().map(words).collect();
    states.sort();
    let expected = ["r-1 flush failed", "r-2 restart fixed", "r-3 restart fixed"];
    assert_eq!(states, expected, "crash {point}");
    let incidents = story.quell.cli(&["incidents", "--all", "--json"]).await.json();
    let [incident] = incidents.as_array().unwrap().as_slice() else {
        panic!("crash {point}: {incidents:#}")
    };
    assert_eq!(incident["status"], "resolved", "crash {point}");
    let mut told = story.told();
    told.sort();
    assert_eq!(told, ["opened", "progress", "progress", "progress", "resolved"], "crash {point}");
    for state in ["dead", "pending"] {
        let left = story.quell.cli(&["notifications", "--state", state, "--json"]).await.json();
        assert_eq!(left, Value::Array(Vec::new()), "crash {point}");
    }
    let audit = story.quell.cli(&["audit", "verify"]).await;
    assert_eq!(audit.code, 0, "crash {point}: {audit:#?}");
}

fn words(run: &Value) -> String {
    let word = |key: &str| run[key].as_str().unwrap().to_owned();
    format!("{} {} {}", word("id"), word("playbook"), word("state"))
}
