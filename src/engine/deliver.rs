//! Sends what the outbox owes, in order per incident and recipient; gives up visibly, and tries the next channel.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::decide::audience;
use crate::decide::channels::Why;
use crate::decide::link;
use crate::decide::link::Act;
use crate::decide::link::Link;
use crate::decide::machine;
use crate::decide::machine::backoff;
use crate::engine::Engine;
use crate::engine::fallback;
use crate::library::Library;
use crate::model::incident::NoticeKind;
use crate::model::incident::RunId;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::notify::Links;
use crate::notify::Sent;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::outbox::Notification;
use crate::store::runs::RunRow;

/// A claim outlives the longest delivery.
pub(super) const LEASE: Duration = Duration::from_secs(90);
/// Longest time one delivery may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Notifications sent at once.
const AT_ONCE: usize = 16;
/// First delay between tries; doubles up to five minutes.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Tries before a notification is dead: about ten minutes.
const MAX_TRIES: u32 = 10;
/// Links work this long, and those to a plan no longer than it waits.
const LINK_LASTS: Duration = Duration::from_hours(24);

/// The loop.
pub async fn run(engine: Engine) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while !engine.stop.is_cancelled() {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match engine.store.claim_notification(LEASE).await {
            Ok(Some(notification)) => {
                let engine = engine.clone();
                engine.tasks.clone().spawn(async move {
                    if let Err(error) = deliver(&engine, &notification).await {
                        engine.metrics.store_errors.inc();
                        tracing::error!(notification = notification.id, %error,
                            "a delivery could not be noted; it is tried again when its lease ends");
                    }
                    drop(slot);
                    engine.wake.deliver.notify_one();
                });
            }
            Ok(None) => engine.idle(&engine.wake.deliver).await,
            Err(error) => engine.trouble("deliver", &error).await,
        }
        engine.turned("deliver");
    }
}

/// Tries once to deliver a claimed notification, and notes what came of it.
pub(super) async fn deliver(engine: &Engine, notification: &Notification) -> Result<()> {
    let library = engine.library.load_full();
    let name = &notification.channel;
    let Some(channel) = library.config.channels.get(name) else {
        let error = format!("quell.yml no longer has a channel {name}");
        return dead(engine, &library, notification, &error).await;
    };
    let links = links(engine, &library, notification).await?;
    let instance = instance(&library);
    let Notification { recipient, notice, .. } = notification;
    let sending = engine.outside.send(channel, recipient, notice, &links, &instance);
    let sent = tokio::time::timeout(TIMEOUT, sending).await.unwrap_or_else(|_| Sent::Retry {
        reason: format!("no answer within {}s", TIMEOUT.as_secs()),
        after: None,
    });
    match sent {
        Sent::Delivered => {
            engine.metrics.notified(name, "sent");
            engine.store.notification_sent(notification).await?;
            Ok(())
        }
        Sent::Refused { reason } => dead(engine, &library, notification, &reason).await,
        Sent::Retry { reason, .. } if notification.tries >= MAX_TRIES => {
            let error = format!("{reason}, {} times", notification.tries);
            dead(engine, &library, notification, &error).await
        }
        Sent::Retry { reason, after: wait } => {
            engine.metrics.notified(name, "retry");
            tracing::warn!(
                notification = notification.id,
                channel = name,
                reason,
                "a delivery failed; trying again"
            );
            let delay = backoff(FIRST_DELAY, notification.tries, engine.clock.jitter());
            let at = after(engine.clock.now(), delay.max(wait.unwrap_or_default()));
            engine.store.notification_retry(notification, &reason, at).await
        }
    }
}

async fn dead(
    engine: &Engine,
    library: &Library,
    notification: &Notification,
    error: &str,
) -> Result<()> {
    engine.metrics.notified(&notification.channel, "dead");
    let why = Why::GivenUp(error);
    let instead = fallback::instead(engine, library, notification, why).await?;
    let next = instead.first().map_or("none is left", |it| it.channel.as_str());
    tracing::error!(notification = notification.id, channel = notification.channel, error, next,
        incident = %notification.notice.incident, "a notification is dead; the next channel is told");
    engine.store.notification_dead(notification, error, instead).await?;
    engine.wake.watch.notify_one();
    Ok(())
}

async fn links(engine: &Engine, library: &Library, notification: &Notification) -> Result<Links> {
    let config = &library.config;
    let incident = notification.notice.incident;
    let offers = match notification.notice.kind {
        NoticeKind::Opened | NoticeKind::NeedsYou | NoticeKind::Progress => true,
        NoticeKind::Acknowledged | NoticeKind::Resolved => false,
    };
    let channel = config.channels.get(&notification.channel);
    let operator = channel
        .and_then(|channel| audience::only(config, channel, &notification.recipient))
        .map_or_else(String::new, |operator| operator.name.clone());
    let lasts = after(engine.clock.now(), LINK_LASTS);
    let sign = |act: Act, until: Timestamp| {
        let link = Link {
            act,
            operator: operator.clone(),
            channel: notification.channel.clone(),
            message: notification.id,
            expires_at: until.min(lasts),
        };
        format!("{}/act/{}", config.external_url, link::sign(&link, &engine.link_key))
    };
    let decide = match notification.notice.proposes {
        Some(run) if offers => proposal(engine, run)
            .await?
            .map(|(digest, until)| sign(Act::Decide { run, digest }, until)),
        Some(_) | None => None,
    };
    Ok(Links {
        incident: format!("{}/api/v1/incidents/{incident}", config.external_url),
        ack: offers.then(|| sign(Act::Ack(incident), lasts)),
        take: offers.then(|| sign(Act::Take(incident), lasts)),
        decide,
    })
}

/// Digest of a plan that still waits for approval, and until when.
async fn proposal(engine: &Engine, run: RunId) -> Result<Option<(String, Timestamp)>> {
    let waits = |row: &RunRow| row.state == RunState::AwaitingApproval;
    let Some(row) = engine.store.run(run).await?.filter(waits) else { return Ok(None) };
    let Some(plan) = engine.store.plan(run).await? else { return Ok(None) };
    // the journal says how the clock was set since it was planned
    let state = machine::fold(&plan, &engine.store.journal(run).await?)
        .map_err(|illegal| StoreError::Corrupt(format!("journal of {run}: {illegal}")))?;
    Ok(state.approve_until.map(|until| (row.digest, until)))
}

/// Names this quell in keys that other systems keep: the host of `external_url`.
pub fn instance(library: &Library) -> String {
    url::Url::parse(&library.config.external_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| "quell".into())
}
