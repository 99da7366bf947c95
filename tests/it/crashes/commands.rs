//! A command does not outlive quell: not when quell is killed, and not, beyond its timeout, when quell is stopped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use tokio::time::Instant;

use crate::crashes::story::Story;
use crate::support::process::is_alive;
use crate::support::wait;

/// Each writes its number and those of its children.
const COMMAND: &str = r#"
playbook: restart
steps:
  - name: restart
    command: { shell: "SCRIPT", directory: "FOLDER" }
    timeout: TIMEOUT
"#;

/// Heeds no SIGTERM, and neither does its child.
const STUBBORN: &str = "trap '' TERM; sleep 600 & echo $$ $! $PPID > pids.new; mv pids.new pids; wait; wait; sleep 600";

async fn story(script: &str, timeout: &str) -> Story {
    let story = Story::new("retry").await;
    let folder = story.quell.folder().display().to_string();
    let playbook = COMMAND.replace("SCRIPT", script).replace("FOLDER", &folder);
    story.quell.write("playbooks/restart.yml", &playbook.replace("TIMEOUT", timeout));
    let rules = fs::read_to_string(story.quell.folder().join("rules/shop.yml")).unwrap();
    let one =
        rules.replace("[{ playbook: flush }, { playbook: restart }]", "[{ playbook: restart }]");
    story.quell.write("rules/shop.yml", &one);
    story
}

/// The numbers that the command wrote.
async fn begun(folder: &Path) -> Vec<i32> {
    wait::until("the command has begun", wait::PATIENCE, async || {
        let text = fs::read_to_string(folder.join("pids")).map_err(|it| it.to_string())?;
        Ok::<_, String>(text.split_whitespace().map(|it| it.parse().unwrap()).collect())
    })
    .await
}

/// Waits until none of them lives; gives back how long that took.
async fn until_dead(pids: &[i32], within: Duration) -> Duration {
    let began = Instant::now();
    wait::until("the command is dead", within, async || {
        let alive: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
        if alive.is_empty() { Ok(()) } else { Err(alive) }
    })
    .await;
    began.elapsed()
}

async fn until_run_is(story: &Story, state: &str) {
    wait::until(&format!("run r-1 is {state}"), wait::PATIENCE, async || {
        let shown = story.quell.cli(&["runs", "r-1", "--json"]).await;
        let run = serde_json::from_str::<Value>(&shown.out).unwrap_or_default()["run"].take();
        if run["state"] == state { Ok(()) } else { Err((run, shown.err)) }
    })
    .await;
}

#[tokio::test]
async fn a_command_is_dead_a_moment_after_quell_was_killed() {
    let mut story = story(STUBBORN, "10m").await;
    story.quell.serve().await;
    let pids = begun(story.quell.folder()).await;
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    story.quell.kill9();
    until_dead(&pids, Duration::from_secs(1)).await;
    story.quell.serve().await;
    until_run_is(&story, "in doubt").await;
}

#[tokio::test]
async fn a_command_ends_at_its_timeout_although_quell_is_stopped() {
    let mut story = story(STUBBORN, "1s").await;
    story.quell.serve().await;
    let pids = begun(story.quell.folder()).await;
    story.quell.process().freeze();
    // SIGTERM, and two seconds later SIGKILL
    until_dead(&pids, Duration::from_secs(6)).await;
    story.quell.process().thaw();
    until_run_is(&story, "in doubt").await;
    let journal = story.journal("r-1").await;
    let told = journal.iter().any(|it| it.to_string().contains("killed after 1s with its whole"));
    assert!(told, "{journal:#?}");
}

#[tokio::test]
async fn a_command_whose_keeper_dies_is_killed() {
    let mut story = story(STUBBORN, "10m").await;
    story.quell.serve().await;
    let pids = begun(story.quell.folder()).await;
    let keeper = Pid::from_raw(pids[2]).unwrap();
    kill_process(keeper, Signal::KILL).unwrap();
    until_dead(&pids[..2], Duration::from_secs(5)).await;
    until_run_is(&story, "in doubt").await;
}

#[tokio::test]
async fn what_a_command_starts_and_leaves_lives_on() {
    let script = "sleep 600 & echo $! > pids.new; mv pids.new pids";
    let mut story = story(script, "20s").await;
    story.quell.serve().await;
    let pids = begun(story.quell.folder()).await;
    until_run_is(&story, "verifying").await;
    story.quell.kill9();
    assert!(is_alive(pids[0]), "a daemon that a remedy started is not quell's to kill");
    kill_process(Pid::from_raw(pids[0]).unwrap(), Signal::KILL).unwrap();
}
