//! Lets go of what ended longer ago than `retention` says: a few incidents at a time, by whichever replica comes first.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::retention;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::time::before;
use crate::store::Result;
use crate::store::prune::Pruned;

/// Its row among the duties.
const DUTY: &str = "prune";
/// How often it looks for what has grown old.
const EVERY: Duration = Duration::from_hours(1);
/// All batches of a turn take less: [`BATCHES`] of some milliseconds, and the time between. A second replica that begins meanwhile
/// does no harm.
const LEASE: Duration = Duration::from_mins(5);
/// How often the loop looks whether it is time.
const TICK: Duration = Duration::from_secs(2);
/// Incidents of one transaction: intake waits for it.
const AT_ONCE: u32 = 20;
/// Between two transactions, so that who waits comes first.
const BETWEEN: Duration = Duration::from_millis(50);
/// Transactions before the loop is said to turn.
const BATCHES: u32 = 200;

/// The loop.
pub async fn run(engine: Engine) {
    let mut begun = false;
    while !engine.stop.is_cancelled() {
        let result = async {
            if !begun {
                engine.store.duty_is_due(DUTY).await?;
                begun = true;
            }
            due(&engine).await
        };
        if let Err(error) = result.await {
            engine.trouble("prune", &error).await;
        }
        engine.turned("prune");
        engine.pause(TICK).await;
    }
}

async fn due(engine: &Engine) -> Result<()> {
    let Some(duty) = engine.store.claim_duty(DUTY, LEASE, EVERY).await? else { return Ok(()) };
    let library = engine.library.load_full();
    let mut pruned = Pruned::default();
    let mut more = true;
    for _ in 0..BATCHES {
        let batch = batch(engine, &library).await?;
        pruned.add(batch);
        more = batch.any();
        if !more || engine.stop.is_cancelled() {
            break;
        }
        engine.pause(BETWEEN).await;
    }
    if pruned.any() {
        let Pruned { incidents, episodes, runs, rows, leaves } = pruned;
        engine.metrics.pruned.inc_by(incidents);
        tracing::info!(
            incidents,
            episodes,
            runs,
            rows,
            leaves,
            "what ended longer ago than retention was let go"
        );
    }
    engine.store.duty_done(duty, if more { Duration::ZERO } else { EVERY }).await
}

async fn batch(engine: &Engine, library: &Library) -> Result<Pruned> {
    let config = &library.config;
    let now = engine.clock.now();
    let kept = retention::kept(config, library.rules.rules(), &library.playbooks);
    let folder = config.retention.archive.as_deref();
    let archive = |lines: &[u8]| folder.map_or(Ok(()), |folder| archive(folder, now, lines));
    engine.store.prune(before(now, kept), AT_ONCE, folder.is_some().then_some(&archive)).await
}

/// Adds lines to the file of the day, on disk when it returns. A batch whose transaction fails after this is there twice.
fn archive(folder: &Path, now: Timestamp, lines: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("quell-{}.jsonl", now.strftime("%Y-%m-%d")));
    let is_new = !file.exists();
    let mut to = OpenOptions::new().append(true).create(true).mode(0o600).open(&file)?;
    to.write_all(lines)?;
    to.sync_all()?;
    if is_new {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
