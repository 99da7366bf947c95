//! What can be broken.

use std::net::SocketAddr;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::net;
use crate::net::Call;

/// Longest time the shop may take to break.
const PATIENCE: Duration = Duration::from_secs(5);

/// A fault of the shop: real state of its process, not a switch that makes it answer errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A bad deploy: its serializer fills the cache with entries that cannot be read back. A flush empties the
    /// cache, and the same serializer fills it again; a restart loads the good one.
    PoisonedCache,
    /// A job with a bad serializer filled the cache once, and is gone: a flush helps.
    PoisonedCacheOnce,
    /// Connections are taken and never returned: a restart helps.
    LeakedPool,
}

impl Fault {
    /// The word people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PoisonedCache => "poisoned-cache",
            Self::PoisonedCacheOnce => "poisoned-cache-once",
            Self::LeakedPool => "leaked-pool",
        }
    }

    /// What happened, for people.
    pub fn story(self) -> &'static str {
        match self {
            Self::PoisonedCache => "a bad deploy poisons the product cache",
            Self::PoisonedCacheOnce => "a broken job poisons the product cache, once",
            Self::LeakedPool => "a bad deploy leaks database connections",
        }
    }

    /// Breaks the shop that listens there.
    pub async fn inject(self, shop: SocketAddr) -> Result<(), Error> {
        let url = format!("http://{shop}/admin/fault");
        let body = serde_json::json!({ "kind": self }).to_string().into_bytes();
        let call = Call::post(&url, body, PATIENCE).header("content-type", "application/json");
        let failed = |why: &str| {
            Error::new("Q0911", format!("could not break the shop ({}){why}", self.as_str()))
        };
        match net::send(call).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(failed(&format!(": it answered {}", answer.describe()))),
            Err(failure) => Err(failed("").because(failure)),
        }
    }
}
