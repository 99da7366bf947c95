//! quell dies, or is told to stop, in the middle of a step.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use crate::crashes::story::Story;
use crate::support::process;
use crate::support::shop::Fault;
use crate::support::wait;

const RESTART: &str = "
playbook: restart
steps:
  - name: restart
    http: { method: POST, url: SHOP/restart }
    timeout: 20s
    on_unknown: ON_UNKNOWN
";

/// Writes down its process, and ends when somebody reads what it has to say.
const COMMAND: &str = r#"
playbook: restart
steps:
  - name: restart
    command: { shell: 'echo $$ >> processes; echo done > report', directory: "FOLDER" }
    timeout: 20s
"#;

const EACH: &str = "
playbook: restart
steps:
  - name: restart
    for_each: [x, y, z]
    waves: [1, 100%]
    bake: 2s
    http: { method: POST, url: SHOP/restart }
    timeout: 20s
    on_unknown: ask
";

/// A rule with this one remedy, for the fault that a restart mends.
async fn story(playbook: &str) -> Story {
    let story = Story::new("retry").await;
    let folder = story.quell.folder().display().to_string();
    let playbook = playbook.replace("SHOP", &story.shop.url("")).replace("FOLDER", &folder);
    story.quell.write("playbooks/restart.yml", &playbook);
    let rules = fs::read_to_string(story.quell.folder().join("rules/shop.yml")).unwrap();
    let one =
        rules.replace("[{ playbook: flush }, { playbook: restart }]", "[{ playbook: restart }]");
    assert_ne!(rules, one);
    story.quell.write("rules/shop.yml", &one);
    story
}

/// Waits until a run is in this state.
async fn until_run_is(story: &Story, state: &str) -> Value {
    wait::until(&format!("run r-1 is {state}"), wait::PATIENCE, async || {
        let shown = story.quell.cli(&["runs", "r-1", "--json"]).await;
        let run = serde_json::from_str::<Value>(&shown.out).unwrap_or_default()["run"].take();
        if run["state"] == state { Ok(run) } else { Err((run, shown.err)) }
    })
    .await
}

async fn until_told(story: &Story, kind: &str) -> Value {
    wait::until(&format!("people are told: {kind}"), wait::PATIENCE, async || {
        let requests = story.people.requests("/hook");
        let mut notices = requests.iter().map(|request| request.json()["notice"].take());
        notices.find(|notice| notice["kind"] == kind).ok_or_else(|| story.told())
    })
    .await
}

/// The story up to a kill -9 between the effect and its answer; then quell is back.
async fn killed_before_the_answer(on_unknown: &str) -> Story {
    let mut story = story(&RESTART.replace("ON_UNKNOWN", on_unknown)).await;
    story.shop.gate().shut();
    story.quell.serve().await;
    story.shop.affected(1).await;
    // as if the restart had not come through, so that the alert goes on
    story.shop.inject(Fault::LeakedPool);
    story.quell.kill9();
    story.shop.gate().open();
    story.quell.serve().await;
    story
}

#[tokio::test]
async fn a_step_that_may_be_repeated_is_repeated_with_the_same_key() {
    let story = killed_before_the_answer("retry").await;
    until_run_is(&story, "fixed").await;
    assert_eq!(story.effects(), [("r-1/1".to_owned(), 2)].into());
}

#[tokio::test]
async fn a_step_that_may_not_is_asked_about() {
    for (answer, effects) in [("did-not-happen", 2), ("happened", 1)] {
        let story = killed_before_the_answer("ask").await;
        until_run_is(&story, "in doubt").await;
        let notice = until_told(&story, "needs_you").await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(notice["headline"].as_str().unwrap(), @"restart on process/shop: in doubt: step 1 (restart): quell stopped while the step was in flight; a person must say whether it happened: quell answer r-1 happened|did-not-happen");
        }
        assert_eq!(story.effects(), [("r-1/1".to_owned(), 1)].into());
        if answer == "happened" {
            // the person looked, and it did
            story.shop.inject(Fault::None);
        }
        let said = story.quell.cli(&["answer", "r-1", answer, "--by", "dana"]).await;
        assert_eq!(said.code, 0, "{said:#?}");
        until_run_is(&story, "fixed").await;
        assert_eq!(story.effects(), [("r-1/1".to_owned(), effects)].into(), "{answer}");
        until_told(&story, "resolved").await;
        let audit = story.quell.cli(&["audit", "verify"]).await;
        assert_eq!(audit.code, 0, "{audit:#?}");
        let again = story.quell.cli(&["answer", "r-1", answer]).await;
        assert_eq!(again.code, 1, "{again:#?}");
        assert_eq!(again.err, "error[Q0408]: r-1 is fixed, not in doubt\n");
    }
}

#[tokio::test]
async fn a_crash_between_two_items_or_inside_one_repeats_none() {
    let mut story = story(EACH).await;
    story.shop.inject(Fault::Unfixable);
    story.quell.serve().await;
    // the first item is over, and its wave bakes
    story.shop.affected(1).await;
    wait::until("the first item is over", wait::PATIENCE, async || {
        let journal = story.journal("r-1").await;
        let over = journal.iter().any(|event| event["step_ended"]["item"] == 0);
        if over { Ok(()) } else { Err(journal) }
    })
    .await;
    story.quell.kill9();
    story.shop.gate().shut();
    // a reload in between changes nothing: the list is written
    story.quell.write(
        "playbooks/restart.yml",
        &EACH.replace("x, y, z", "a, b").replace("SHOP", &story.shop.url("")),
    );
    story.quell.serve().await;
    story.shop.affected(2).await;
    story.quell.kill9();
    story.shop.gate().open();
    story.quell.serve().await;
    until_run_is(&story, "in doubt").await;
    let notice = until_told(&story, "needs_you").await;
    insta::assert_snapshot!(notice["headline"].as_str().unwrap(), @"restart on process/shop: in doubt: step 1 (restart, y): quell stopped while the step was in flight; a person must say whether it happened: quell answer r-1 happened|did-not-happen");
    let said = story.quell.cli(&["answer", "r-1", "happened"]).await;
    assert_eq!(said.code, 0, "{said:#?}");
    until_run_is(&story, "failed").await;
    let once = |key: &str| (key.to_owned(), 1);
    assert_eq!(story.effects(), [once("r-1/1.1"), once("r-1/1.2"), once("r-1/1.3")].into());
}

#[tokio::test]
async fn a_command_that_died_with_quell_is_asked_about() {
    let mut story = story(COMMAND).await;
    let folder = story.quell.folder().to_owned();
    process::run("mkfifo", &[folder.join("report").to_str().unwrap()]);
    story.quell.serve().await;
    let _left = until_begun(&folder).await;
    story.quell.kill9();
    story.quell.serve().await;
    until_run_is(&story, "in doubt").await;
    let notice = until_told(&story, "needs_you").await;
    insta::assert_snapshot!(notice["headline"].as_str().unwrap(), @"restart on process/shop: in doubt: step 1 (restart): quell stopped while the step was in flight; its command was killed; a person must say whether it happened: quell answer r-1 happened|did-not-happen");
    assert_eq!(begun(&folder).len(), 1);
    story.shop.inject(Fault::None);
    let said = story.quell.cli(&["answer", "r-1", "happened"]).await;
    assert_eq!(said.code, 0, "{said:#?}");
    until_run_is(&story, "fixed").await;
    assert_eq!(begun(&folder).len(), 1, "it was begun again");
}

#[tokio::test]
async fn a_step_under_way_ends_before_quell_stops() {
    let mut story = story(COMMAND).await;
    let folder = story.quell.folder().to_owned();
    process::run("mkfifo", &[folder.join("report").to_str().unwrap()]);
    story.quell.serve().await;
    let _left = until_begun(&folder).await;
    let log = folder.join("log");
    let stopping = wait::until("quell is told to stop", wait::PATIENCE, async || {
        let text = fs::read_to_string(&log).unwrap();
        if text.contains("stopping: ") { Ok(()) } else { Err(text) }
    });
    let (status, ()) = tokio::join!(story.quell.stop(), async {
        stopping.await;
        let report = folder.join("report");
        let read = tokio::task::spawn_blocking(|| fs::read_to_string(report).unwrap());
        assert_eq!(read.await.unwrap(), "done\n");
    });
    assert!(status.success(), "{status}");
    let journal = story.journal("r-1").await;
    let done = |event: &Value| event["step_ended"]["outcome"].get("done").is_some();
    assert!(journal.iter().any(done), "{journal:#?}");
    story.shop.inject(Fault::None);
    story.quell.serve().await;
    until_run_is(&story, "fixed").await;
    assert_eq!(begun(&folder).len(), 1, "it was begun again");
}

#[tokio::test]
async fn a_database_is_served_once() {
    let mut story = story(COMMAND).await;
    story.quell.serve().await;
    let text = fs::read_to_string(story.quell.folder().join("quell.yml")).unwrap();
    let other = text.replace(&story.quell.address(), &format!("127.0.0.1:{}", process::port()));
    assert_ne!(text, other);
    story.quell.write("other.yml", &other);
    let second = story.quell.cli(&["serve", "--config", "other.yml"]).await;
    assert_eq!(second.code, 2, "{second:#?}");
    let holder = fs::read_to_string(story.quell.folder().join("quell.db.lock")).unwrap();
    let shown = second.err.replace(holder.trim(), "N");
    insta::assert_snapshot!(shown, @r"
    warning[Q0325]: no rule or schedule uses playbook `flush`
      ┌─ playbooks/flush.yml:2:11
      │
    2 │ playbook: flush
      │           ^^^^^ name it in the `response` of a rule or in a schedule, or remove it

    4 files, 1 rule, 1 check, 2 playbooks: 1 warning
    error[Q0413]: another quell serves the database quell.db (process N)
      = stop it first, or name another file under `storage:`; several replicas need `storage: postgres://…`
    ");
    // after a kill -9 nothing is left to clean up
    story.quell.kill9();
    story.quell.serve().await;
}

/// Processes of the command so far.
fn begun(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("processes")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Waits until the command has begun; its group is killed at the latest when the test ends.
async fn until_begun(folder: &Path) -> Group {
    let group = wait::until("the command has begun", wait::PATIENCE, async || {
        begun(folder).first().copied().ok_or("not yet")
    });
    Group { leader: group.await, folder: folder.to_owned() }
}

/// A process group that is left behind on purpose.
#[derive(Debug)]
struct Group {
    leader: i32,
    folder: PathBuf,
}

impl Drop for Group {
    fn drop(&mut self) {
        // it may have ended, and its number be another's: only a process that still works in our folder is ours
        let ours = fs::read_link(format!("/proc/{}/cwd", self.leader));
        if ours.is_ok_and(|cwd| cwd == self.folder)
            && let Some(leader) = Pid::from_raw(self.leader)
        {
            let _gone = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn what_nobody_watched_does_not_count_as_held() {
    let mut story = story(&RESTART.replace("ON_UNKNOWN", "retry")).await;
    story.quell.serve().await;
    until_run_is(&story, "verifying").await;
    story.quell.kill9();
    story.quell.serve().await;
    until_run_is(&story, "fixed").await;
    let shown = story.quell.cli(&["runs", "r-1", "--json"]).await;
    let run: Value = serde_json::from_str(&shown.out).unwrap();
    let journal = run["journal"].as_array().unwrap();
    let position = |what: &dyn Fn(&Value) -> bool| journal.iter().position(|it| what(&it["event"]));
    let interrupted = position(&|event| event == "interrupted").expect("an interruption");
    let after = journal.iter().skip(interrupted + 1);
    let healthy = after.filter(|it| it["event"]["verified"]["seen"]["health"] == "healthy").count();
    assert_eq!(healthy, 2, "it must become healthy, and hold, once more: {journal:#?}");
}
