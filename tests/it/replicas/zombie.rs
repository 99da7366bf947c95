//! A replica is stopped in the middle of a step for longer than its lease, and goes on when another has taken the run over: nothing
//! late, neither over HTTP nor by a command. Experiment 4 does the same with leases as they ship, in minutes.

use std::fs;
use std::time::Duration;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::replicas::says;
use crate::support::postgres;
use crate::support::process::is_alive;
use crate::support::quell::Quell;
use crate::support::quell::step_of;
use crate::support::wait;

/// Added to the timeout of a step.
const MARGIN: (&str, &str) = ("QUELL_LEASE_MARGIN_MS", "4000");

const COMMAND: &str = r#"
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: restart
    command: { shell: "trap '' TERM; echo $$ $QUELL_IDEMPOTENCY_KEY $QUELL_ATTEMPT >> begun; sleep 5; echo late >> late; sleep 600", directory: "FOLDER" }
    timeout: 1s
"#;

/// The heir takes the run over, and a person says that it happened; then the zombie goes on.
async fn outlived(rig: &Rig, zombie: &Quell, end: &str) {
    let mut heir = rig.quell().with_env(MARGIN.0, MARGIN.1);
    heir.serve().await;
    rig::until_runs(&heir, &["r-1 restart in doubt"]).await;
    let answered = heir.cli(&["answer", "r-1", "happened"]).await;
    assert_eq!(answered.code, 0, "{answered:#?}");
    rig::until_runs(&heir, &[end]).await;
    zombie.process().thaw();
    says(zombie, "another worker has taken the run over").await;
    rig::until_runs(zombie, &[end]).await;
    rig::audit_holds(&heir).await;
}

#[tokio::test]
async fn a_zombie_does_no_late_request_postgres() {
    let rig = super::rig(&postgres::database().await, "1s").await;
    rig.plant.sicken("a");
    rig.plant.gate().shut();
    let mut zombie = rig.quell().with_env(MARGIN.0, MARGIN.1);
    zombie.serve().await;
    rig::post(&zombie, "firing", "a").await;
    rig.plant.affected(1).await;
    zombie.process().freeze();
    rig.plant.gate().open();
    outlived(&rig, &zombie, "r-1 restart fixed").await;
    assert_eq!(rig.plant.keys(), [("r-1/1".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_command_of_a_zombie_is_dead_before_another_takes_over_postgres() {
    let mut rig = super::rig(&postgres::database().await, "1s").await;
    let folder = tempfile::tempdir().unwrap();
    rig.plant.sicken("a");
    rig.playbooks[0].1 = COMMAND.replace("FOLDER", folder.path().to_str().unwrap());
    let mut zombie = rig.quell().with_env(MARGIN.0, MARGIN.1);
    zombie.serve().await;
    rig::post(&zombie, "firing", "a").await;
    let begun = wait::until("the command has begun", wait::PATIENCE, async || {
        let text = fs::read_to_string(folder.path().join("begun")).unwrap_or_default();
        if text.ends_with('\n') { Ok(text) } else { Err(text) }
    })
    .await;
    zombie.process().freeze();
    let (pid, told) = begun.trim().split_once(' ').unwrap();
    assert_eq!(step_of(told), "r-1/1 1");
    let pid: i32 = pid.parse().unwrap();
    // its timeout, and two seconds for it to clean up: its lease is longer
    wait::until("the command is dead", Duration::from_secs(5), async || {
        if is_alive(pid) { Err("it lives") } else { Ok(()) }
    })
    .await;
    // what was killed helped nobody
    outlived(&rig, &zombie, "r-1 restart failed").await;
    assert!(!folder.path().join("late").exists(), "it went on after its timeout");
    let text = fs::read_to_string(folder.path().join("begun")).unwrap();
    assert_eq!(text.lines().count(), 1, "it was begun again: {text}");
}
