//! Signed links: bound to one incident and one act, expiring.

use jiff::Timestamp;

use crate::model::incident::IncidentId;

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Acknowledge the incident.
    Ack,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The act.
    pub act: Act,
    /// On this incident.
    pub incident: IncidentId,
    /// Name of the channel whose message carries it: a bearer link proves no more than that.
    pub channel: String,
    /// Not after.
    pub expires_at: Timestamp,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Not signed by this quell.
    Forged,
    /// Its time is over.
    Expired,
}

/// The token for a link: URL-safe text.
pub fn sign(link: &Link, key: &[u8]) -> String {
    let _ = (link, key);
    String::new()
}

/// Reads a token; the signature is compared in constant time.
pub fn verify(token: &str, key: &[u8], now: Timestamp) -> Result<Link, Invalid> {
    let _ = (token, key, now);
    Err(Invalid::Forged)
}
