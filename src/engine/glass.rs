//! Tells people when break-glass ends: whoever is alive does, once.

use std::time::Duration;

use crate::decide::glass;
use crate::engine::Engine;
use crate::store::Result;

/// How often it is looked whether one has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The loop.
pub async fn run(engine: Engine) {
    while !engine.stop.is_cancelled() {
        if let Err(error) = end(&engine).await {
            engine.trouble("glass", &error).await;
        }
        engine.turned("glass");
        engine.pause(LOOK_EVERY).await;
    }
}

async fn end(engine: &Engine) -> Result<()> {
    for ended in engine.store.glass_to_end().await? {
        let now = engine.clock.now();
        let library = engine.library.load_full();
        let owed = glass::told_over(&library.config, &ended, now);
        if engine.store.end_glass(&ended, owed).await? {
            tracing::warn!(
                id = ended.id,
                scope = ended.scope,
                by = ended.by,
                "break-glass is over"
            );
            engine.wake.deliver.notify_one();
        }
    }
    Ok(())
}
