//! A notice that a channel does not deliver goes to the next one, once a notice and channel (G18).

use std::collections::BTreeSet;

use crate::decide::channels;
use crate::decide::channels::Why;
use crate::engine::Engine;
use crate::library::Library;
use crate::model::incident::Owed;
use crate::model::time::before;
use crate::store::Result;
use crate::store::outbox::Notification;

/// What is owed to the next channel.
pub async fn instead(
    engine: &Engine,
    library: &Library,
    notification: &Notification,
    why: Why<'_>,
) -> Result<Vec<Owed>> {
    let tried = engine.store.channels_of_notice(notification.origin).await?;
    let troubles = engine.store.channel_troubles().await?;
    let failing = channels::failing(&library.config, &troubles, engine.clock.now());
    let failing: BTreeSet<String> = failing.into_keys().map(str::to_owned).collect();
    let Notification { channel, notice, .. } = notification;
    Ok(channels::instead(&library.config, channel, &tried, &failing, notice, why))
}

/// Tells another channel of pages that have not arrived in time; tries on the first go on.
pub async fn late(engine: &Engine, library: &Library) -> Result<()> {
    for channel in &library.config.paging {
        let after = channels::late_after(&library.config, channel);
        let due = before(engine.clock.now(), after);
        for late in engine.store.late_notifications(channel, due).await? {
            let owed = instead(engine, library, &late, Why::Late(after, &late.error)).await?;
            let nobody = owed.is_empty();
            if engine.store.notification_late(&late, owed).await? {
                tracing::error!(notification = late.id, channel, error = late.error, nobody,
                    incident = %late.notice.incident, "a page has not arrived in time; the next channel is told");
                engine.metrics.notified(channel, "late");
                engine.wake.deliver.notify_one();
            }
        }
    }
    Ok(())
}
