//! Connections to a target Redis: one for one action or probe. No text of an error holds any part of a URL.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::redis::AsyncConnectionConfig;
use ::redis::Client;
use ::redis::ConnectionAddr;
use ::redis::ErrorKind;
use ::redis::IntoConnectionInfo;
use ::redis::RedisError;
use ::redis::ServerErrorKind;
use ::redis::TlsCertificates;
use ::redis::aio::MultiplexedConnection;

use super::CONNECT_TIMEOUT;
use super::Kind;
use super::Trouble;

/// Where to connect.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS.
    pub url: &'a str,
    /// PEM file of who must have signed the server's certificate; `None` means those that the system trusts.
    pub ca_file: Option<&'a Path>,
    /// Database number; `None` means the one of the URL.
    pub database: Option<i64>,
    /// Longest time, [`CONNECT_TIMEOUT`] at most.
    pub timeout: Duration,
}

/// Says nothing of the URL.
impl std::fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Connects, and says which database that is. Answers have no time of their own: who asks bounds them.
pub async fn connect(place: &Place<'_>) -> Result<(MultiplexedConnection, i64), Trouble> {
    let expected = "its URL cannot be read; expected redis://host:port or rediss://host:port";
    // the error is dropped: it may hold a part of the URL
    let info = place.url.into_connection_info().map_err(|_| Trouble::new(Kind::Never, expected))?;
    let database = place.database.unwrap_or_else(|| info.redis_settings().db());
    let settings = info.redis_settings().clone().set_db(database);
    let secure = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let info = info.set_redis_settings(settings);
    let within = CONNECT_TIMEOUT.min(place.timeout);
    let client = match place.ca_file {
        Some(_) if !secure => {
            let reason = "ca_file needs a URL that begins with rediss://";
            return Err(Trouble::new(Kind::Never, reason));
        }
        Some(file) => {
            let pem = std::fs::read(file).map_err(|error| {
                Trouble::new(Kind::Never, format!("ca_file {}: {error}", file.display()))
            })?;
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
            Client::build_with_tls(info, certificates)
        }
        None => Client::open(info),
    };
    let client = client.map_err(|error| trouble(&error, within))?;
    // the default response timeout is 500 ms
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(within))
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    match tokio::time::timeout(within, connecting).await {
        Ok(Ok(connection)) => Ok((connection, database)),
        Ok(Err(error)) => Err(match trouble(&error, within) {
            // nothing was asked yet
            Trouble { kind: Kind::Lost, code, reason } => {
                let never = insecure(&error);
                let kind = if never.is_some() { Kind::Never } else { Kind::Later };
                Trouble { kind, code, reason: never.unwrap_or(reason) }
            }
            trouble => trouble,
        }),
        Err(_) => Err(Trouble::new(Kind::Later, format!("no connection within {within:?}"))),
    }
}

/// What an error means; `timeout` is how long was waited.
pub fn trouble(error: &RedisError, timeout: Duration) -> Trouble {
    let kind = if denied(error) {
        Kind::Credential
    } else if error.is_io_error() {
        Kind::Lost
    } else if retryable(error) {
        Kind::Later
    } else {
        Kind::Never
    };
    Trouble { kind, code: error.code().map(str::to_owned), reason: words(error, timeout) }
}

/// Whether the server refuses the user, the password, or this command to this user (G19).
fn denied(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        // the client gives its own code to what is refused while it chooses the database
        || error.detail().is_some_and(|detail| {
            detail.contains("uthentication required") || detail.contains("has no permissions")
        })
}

/// Whether the same may go well later: a server that is away, starting or failing over. A refused
/// credential, a missing right and a wrong command stay what they are (G19).
fn retryable(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::TryAgain
        ),
        // a script holds the server up, or its disk does
        _ => matches!(error.code(), Some("BUSY" | "MISCONF")),
    }
}

/// Why there is no secure connection, if that is the reason: it will not be there later.
fn insecure(error: &RedisError) -> Option<String> {
    type Shared = Arc<dyn Error + Send + Sync>;
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(format!("no secure connection: {tls}"));
        }
        // neither what is shared nor what an `io::Error` was made of is a source
        let shared = cause.downcast_ref::<Shared>().map(|it| &**it as &(dyn Error + 'static));
        let made_of = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = shared.or(made_of.map(|it| it as _)).or_else(|| cause.source());
    }
    None
}

/// Why, without any part of the URL.
fn words(error: &RedisError, timeout: Duration) -> String {
    if error.is_connection_refusal() {
        return "connection refused".into();
    }
    if error.is_timeout() {
        return format!("no answer within {timeout:?}");
    }
    if error.kind() == ErrorKind::AuthenticationFailed {
        return "it refuses the user or the password".into();
    }
    let told = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => format!(
            "{told}; it is a member of a cluster, and another one has that key: quell speaks to one \
             server alone, so name each master in targets.redis"
        ),
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            format!("{told}; this server only reads: is it a replica?")
        }
        _ => told,
    }
}
