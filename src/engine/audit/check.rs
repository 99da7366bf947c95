//! Checks what was sealed, a piece at a time: what is new as it comes, and everything once a day.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::signing_key;
use crate::decide::audit::note::PublicKey;
use crate::engine::Engine;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::audit::findings::Finding;
use crate::store::audit::verify::Verifier;

/// Between two pieces.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Leaves of a piece.
const PIECE: u64 = 200;
/// When everything is looked at again.
const AGAIN_AFTER: Duration = Duration::from_hours(24);

/// The loop.
pub async fn run(engine: Engine) {
    let mut pass = None;
    while !engine.stop.is_cancelled() {
        match look(&engine, &mut pass).await {
            Ok(()) => {}
            // the beginning of the log was pruned meanwhile
            Err(StoreError::Changed) => pass = None,
            Err(error) => {
                pass = None;
                engine.trouble("audit check", &error).await;
            }
        }
        engine.turned("audit check");
        engine.pause(LOOK_EVERY).await;
    }
}

/// One way through the log.
struct Pass {
    verifier: Verifier,
    began: Instant,
    began_at: Timestamp,
    /// Whether it has come to the end once.
    whole: bool,
}

async fn look(engine: &Engine, held: &mut Option<Pass>) -> Result<()> {
    let key = signing_key(&engine.library.load().config).map_err(StoreError::Invalid)?;
    // a key that the log knows has signed for this server, also one that was lost since
    let known = engine.store.log_keys().await?;
    let known = known.iter().filter_map(|(key, _)| PublicKey::parse(key).ok());
    let keys: Vec<PublicKey> = key.iter().map(|key| key.public().clone()).chain(known).collect();
    if held.as_ref().is_some_and(|pass| pass.began.elapsed() >= AGAIN_AFTER) {
        *held = None;
    }
    let pass = match held {
        Some(pass) => pass,
        None => held.insert(Pass {
            began: Instant::now(),
            began_at: engine.clock.now(),
            verifier: Verifier::begin(&engine.store, &keys, &[]).await?,
            whole: false,
        }),
    };
    let more = pass.verifier.step(&engine.store, PIECE).await?;
    let mut runs: BTreeSet<_> = pass.verifier.take_runs();
    if !more {
        pass.verifier.finish();
        if !pass.whole {
            pass.verifier.strays(&engine.store).await?;
        }
    }
    let mut findings = pass.verifier.take();
    while let Some(run) = runs.pop_first() {
        let broken = engine.store.audit(Some(run)).await?.broken;
        findings.extend(broken.iter().map(Finding::from));
    }
    for finding in &findings {
        tracing::error!(%finding, "the audit is not as it was written");
    }
    engine.store.note_findings(&findings).await?;
    if !more {
        if !pass.whole {
            engine.store.mend_findings(pass.began_at).await?;
            pass.whole = true;
        }
        pass.verifier.refresh(&engine.store, &keys).await?;
    }
    Ok(())
}
