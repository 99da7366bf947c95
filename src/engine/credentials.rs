//! Credentials that were refused: what a run leaves of that, and which of them are others by now.

use crate::decide::credentials;
use crate::engine::Engine;
use crate::model::run::Event;
use crate::model::run::Outcome;
use crate::store::Result;
use crate::store::credentials::Refusal;

/// Who clears a credential that was changed.
const CHANGED: &str = "a change of quell.yml";

/// What the entry of a call leaves: the credentials that were refused, if any were.
pub fn refusals(engine: &Engine, event: &Event) -> Vec<Refusal> {
    let Some(Outcome::Denied { credentials, reason }) = event.outcome() else { return Vec::new() };
    let config = &engine.library.load_full().config;
    credentials
        .iter()
        .map(|credential| Refusal {
            credential: credential.clone(),
            reason: reason.clone(),
            mark: credentials::mark(config, credential, &engine.link_key).unwrap_or_default(),
        })
        .collect()
}

/// Clears what was refused and is another credential now, as far as quell.yml says; episodes that waited are judged again.
pub async fn clear_changed(engine: &Engine) -> Result<()> {
    let library = engine.library.load_full();
    let mut cleared = false;
    for denial in engine.store.denied().await? {
        let credential = denial.credential.as_str();
        let now = credentials::mark(&library.config, credential, &engine.link_key);
        if now.is_some_and(|now| credentials::changed(&denial.mark, &now))
            && engine.store.clear_denial(credential, CHANGED).await?
        {
            tracing::warn!(
                credential,
                "a credential that was refused has changed: it is tried again"
            );
            cleared = true;
        }
    }
    if cleared {
        engine.store.wake_all_episodes().await?;
        engine.wake.all();
    }
    Ok(())
}
