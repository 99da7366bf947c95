//! A replica is stopped in the middle of a step for three times its lease; another finishes; the first goes on: no late
//! effect (G8).

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::PgConnection;
use tokio::time::Instant;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::postgres;
use crate::support::quell::Quell;
use crate::support::wait;

/// The timeout of the step, and what `act_on` adds to it.
const LEASE: Duration = Duration::from_secs(21);

const RESTART: &str = r#"
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: restart
    http: { server: plant, method: POST, url: "/restart/{{ unit }}" }
    timeout: 1s
    on_unknown: retry
"#;

/// Units, and the database that two replicas share.
async fn shared() -> (Rig, String) {
    let mut rig = Rig::new().await;
    let database = postgres::database().await;
    rig.config["storage"] = database.as_str().into();
    rig.playbooks = vec![("restart.yml", RESTART.to_owned())];
    rig.plant.sicken("a");
    (rig, database)
}

/// Another replica finishes while `zombie` is stopped; then it goes on. Effects that come after that are late.
async fn outlived(rig: &Rig, zombie: &Quell, effects: usize) -> usize {
    let frozen = Instant::now();
    let heir = rig.serve().await;
    let patience = LEASE + wait::PATIENCE;
    wait::until("another finishes", patience, async || {
        let runs = rig::runs(&heir).await;
        if runs == ["r-1 restart fixed"] { Ok(()) } else { Err(runs) }
    })
    .await;
    assert_eq!(rig.plant.effects().len(), effects + 1);
    wait::until("three times the lease", 3 * LEASE + wait::PATIENCE, async || {
        if frozen.elapsed() >= 3 * LEASE { Ok(()) } else { Err(frozen.elapsed()) }
    })
    .await;
    zombie.process().thaw();
    let fenced = "another worker has taken the run over";
    wait::until("the zombie notices", wait::PATIENCE, async || {
        let log = zombie.log();
        if log.contains(fenced) { Ok(()) } else { Err(log) }
    })
    .await;
    let done = rig.plant.effects();
    assert!(done.last().unwrap().epoch > 1, "{done:?}");
    rig::audit_holds(&heir).await;
    done.len() - effects - 1
}

/// It is stopped while the target works on its request.
async fn stopped_during_the_effect() -> (Rig, usize) {
    let (rig, _) = shared().await;
    rig.plant.gate().shut();
    let zombie = rig.serve().await;
    rig::post(&zombie, "firing", "a").await;
    rig.plant.affected(1).await;
    zombie.process().freeze();
    rig.plant.gate().open();
    // as if the restart had not come through
    rig.plant.sicken("a");
    let late = outlived(&rig, &zombie, 1).await;
    (rig, late)
}

/// It is stopped after it wrote what it is about to do, and before it does it.
async fn stopped_before_the_effect() -> (Rig, usize) {
    // other loops commit too, so the point is another one now and then
    for point in (8..20).cycle().take(100) {
        let (rig, database) = shared().await;
        let mut zombie = rig.quell().with_env("QUELL_STOP_AT", &point.to_string());
        zombie.serve().await;
        rig::post(&zombie, "firing", "a").await;
        wait::until("it stops or acts", wait::PATIENCE, async || {
            let effects = rig.plant.effects();
            let over = zombie.process().is_frozen() || !effects.is_empty();
            if over { Ok(()) } else { Err(effects) }
        })
        .await;
        if rig.plant.effects().is_empty() && intent_is_written(&database).await {
            let late = outlived(&rig, &zombie, 0).await;
            return (rig, late);
        }
        zombie.process().thaw();
    }
    panic!("it never stopped between the intent and the effect")
}

async fn intent_is_written(database: &str) -> bool {
    let mut connection = PgConnection::connect(database).await.unwrap();
    let count = "SELECT COUNT(*) FROM run_events WHERE body LIKE '%step_started%'";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
    count > 0
}

#[tokio::test]
#[ignore = "minutes: tests/run experiments"]
async fn e04_zombie_postgres() {
    let ((during, late), (before, later)) =
        tokio::join!(stopped_during_the_effect(), stopped_before_the_effect());
    assert_eq!((late, later), (0, 0));
    // the second of the first is the same step, said again with the same key
    assert_eq!(during.plant.keys(), [("r-1/1".to_owned(), 2)].into());
    assert_eq!(before.plant.keys(), [("r-1/1".to_owned(), 1)].into());
    during.report(4, "zombie stopped during its effect, 0 late", None);
    before.report(4, "zombie stopped between intent and effect, 0 late", None);
}
