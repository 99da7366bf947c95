//! Wake-ups from one replica to the others, by `LISTEN` and `NOTIFY`. They may be lost: polling is the truth.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::store::Engine;
use crate::store::Result;
use crate::store::Store;
use crate::store::database_words;

/// Where wake-ups are heard.
const CHANNEL: &str = "quell_wakes";
/// A server that does not let itself be listened to in this time is not there.
const LISTENS_WITHIN: Duration = Duration::from_secs(5);
/// Longest time between two tries to listen again.
const AT_MOST: Duration = Duration::from_secs(30);

impl Store {
    /// Tells whoever listens in other replicas; by a statement of its own, so that no transaction waits for the lock of the
    /// server that `NOTIFY` takes. Nobody else is there to be told with `SQLite`.
    pub async fn tell_replicas(&self, words: &str) -> Result<()> {
        if self.engine == Engine::Postgres {
            sqlx::query("SELECT pg_notify('quell_wakes', $1)::text")
                .bind(words)
                .execute(&self.writer)
                .await?;
        }
        Ok(())
    }

    /// Hands on what other replicas tell, and `None` whenever something may have been missed, until the store is closed.
    pub async fn hear_replicas(&self, heard: impl Fn(Option<&str>)) {
        if self.engine == Engine::Sqlite {
            return;
        }
        let mut failed: u32 = 0;
        while !self.closed.is_cancelled() {
            let over = self.writer.over();
            let listening = async {
                let mut listener = PgListener::connect(&self.url.0).await?;
                listener.eager_reconnect(false);
                listener.listen(CHANNEL).await?;
                Ok::<_, sqlx::Error>(listener)
            };
            let why = match tokio::time::timeout(LISTENS_WITHIN, listening).await {
                Ok(Ok(mut listener)) => {
                    if failed > 0 {
                        tracing::info!("wake-ups of other replicas are heard again");
                    }
                    failed = 0;
                    heard(None);
                    loop {
                        tokio::select! {
                            () = self.closed.cancelled() => return,
                            () = over.cancelled() => break "the connection was let go of".to_owned(),
                            notice = listener.try_recv() => match notice {
                                Ok(Some(notice)) => heard(Some(notice.payload())),
                                Ok(None) => break "the connection was lost".to_owned(),
                                Err(error) => break database_words(&error),
                            },
                        }
                    }
                }
                Ok(Err(error)) => database_words(&error),
                Err(_) => format!("no answer within {}s", LISTENS_WITHIN.as_secs()),
            };
            // in an outage that is said already
            if failed == 0 && self.writer.outage().is_none() {
                tracing::warn!(
                    "wake-ups of other replicas are not heard: {why}; polling finds the work all the same"
                );
            }
            failed = failed.saturating_add(1);
            let pause = Duration::from_millis(500).saturating_mul(1 << failed.min(6)).min(AT_MOST);
            tokio::select! {
                () = self.closed.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
