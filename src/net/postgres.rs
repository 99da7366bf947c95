//! Connections to a target `PostgreSQL`: one for one action or probe, never a pool.
//!
//! quell's own database is another matter (`store`). No text of an error holds any part of a URL.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgDatabaseError;
use sqlx::postgres::PgSeverity;
use sqlx::postgres::PgSslMode;

use super::CONNECT_TIMEOUT;
use super::Kind;
use super::Trouble;

pub mod value;

/// How often a server looks whether who asked is still there, where it can (`PostgreSQL` 14 and later), in milliseconds.
const LOOKS_EVERY: &str = "2000";

/// The longest time that a server takes for a setting, in milliseconds.
const LONGEST_MS: u128 = 2_147_483_647;

/// Where to connect, and as what.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// `postgres://user:password@host:port/database?sslmode=…`.
    pub url: &'a str,
    /// PEM file of who must have signed the server's certificate. Unless the URL has an `sslmode`, it is `verify-full` then.
    pub ca_file: Option<&'a Path>,
    /// What the server shows as `application_name`.
    pub application: &'a str,
    /// Longest time for the connection, [`CONNECT_TIMEOUT`] at most.
    pub timeout: Duration,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Longest time that one statement waits for a lock.
    pub lock_timeout: Duration,
}

/// Says nothing of the URL.
impl std::fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("application", &self.application).finish_non_exhaustive()
    }
}

/// Connects, and sets the bounds of what follows: a
/// server ends by itself what takes too long, what waits idly in a transaction, and what nobody waits for any longer.
pub async fn connect(place: &Place<'_>) -> Result<PgConnection, Trouble> {
    let within = CONNECT_TIMEOUT.min(place.timeout);
    let options = options(place)?;
    let connecting = async {
        let mut connection =
            PgConnection::connect_with(&options).await.map_err(|error| on_the_way(&error))?;
        bound(&mut connection, place).await.map_err(|error| trouble(&error))?;
        Ok(connection)
    };
    match tokio::time::timeout(within, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(Trouble::new(Kind::Later, format!("no connection within {within:?}"))),
    }
}

fn options(place: &Place<'_>) -> Result<PgConnectOptions, Trouble> {
    // the error is dropped: it may hold a part of the URL
    let expected = || {
        let form = "expected postgres://user:password@host:port/database";
        Trouble::new(Kind::Never, format!("its URL cannot be read; {form}"))
    };
    let url = url::Url::parse(place.url).map_err(|_| expected())?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(expected());
    }
    let mut options = PgConnectOptions::from_str(place.url)
        .map_err(|_| expected())?
        .application_name(place.application)
        // nothing is prepared for a second use, so that poolers do not matter
        .statement_cache_capacity(0)
        .disable_statement_logging();
    if let Some(file) = place.ca_file {
        // read here, so that the error says which file; it changes seldom, and is small
        let pem = std::fs::read(file).map_err(|error| {
            Trouble::new(Kind::Never, format!("ca_file {}: {error}", file.display()))
        })?;
        options = options.ssl_root_cert_from_pem(pem);
        let says = |name: &str| matches!(name, "sslmode" | "ssl-mode");
        if !url.query_pairs().any(|(name, _)| says(&name)) {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
    }
    Ok(options)
}

async fn bound(connection: &mut PgConnection, place: &Place<'_>) -> sqlx::Result<()> {
    let millis = |span: Duration| span.as_millis().clamp(1, LONGEST_MS).to_string();
    sqlx::query(
        "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false), \
         set_config('idle_in_transaction_session_timeout', $1, false), \
         (SELECT set_config(name, $3, false) FROM pg_settings \
          WHERE name = 'client_connection_check_interval')",
    )
    .bind(millis(place.statement_timeout))
    .bind(millis(place.lock_timeout))
    .bind(LOOKS_EVERY)
    .execute(connection)
    .await
    .map(drop)
}

/// What an error while connecting means: nothing was asked yet, so nothing is lost.
fn on_the_way(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Io(io) => Trouble::new(Kind::Later, io_words(io)),
        sqlx::Error::Tls(cause) => {
            Trouble::new(Kind::Never, format!("no secure connection: {cause}"))
        }
        sqlx::Error::Protocol(words) if words.contains("closed") => {
            Trouble::new(Kind::Later, "the server closed the connection")
        }
        // its texts are about the URL, or about a file that it names
        sqlx::Error::Configuration(_) => {
            Trouble::new(Kind::Never, "its URL has a setting that cannot be used")
        }
        other => match trouble(other) {
            Trouble { kind: Kind::Lost, reason, .. } => Trouble::new(Kind::Later, reason),
            trouble => trouble,
        },
    }
}

/// What an error of a statement means.
pub fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(_) => {
            if let Some(error) = database(error) {
                return told(error);
            }
            Trouble::new(Kind::Never, "the server refused it")
        }
        sqlx::Error::Io(io) => Trouble::new(Kind::Lost, io_words(io)),
        sqlx::Error::Tls(_) => Trouble::new(Kind::Lost, "the secure connection broke"),
        // what cannot be read leaves open what was done
        sqlx::Error::Protocol(_) => Trouble::new(Kind::Lost, "an answer that cannot be read"),
        other => Trouble::new(Kind::Never, other.to_string()),
    }
}

/// What the server says, if it was the server.
pub fn database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    let sqlx::Error::Database(error) = error else { return None };
    error.try_downcast_ref::<PgDatabaseError>()
}

/// By the code of what the server says (`PostgreSQL`'s appendix A).
fn told(error: &PgDatabaseError) -> Trouble {
    let code = error.code();
    let kind = match code {
        // no such user, wrong password, no entry in pg_hba.conf, no right
        "28000" | "28P01" | "42501" => Kind::Credential,
        // only reads (a standby), full, no lock in time, a deadlock, a conflict of transactions; ended by an administrator,
        // stops, starts
        "25006" | "53300" | "55P03" | "40001" | "40P01" | "57P01" | "57P02" | "57P03" | "57P05"
        | "25P03" => Kind::Later,
        _ if code.starts_with("08") => Kind::Later,
        _ => Kind::Never,
    };
    let mut reason = format!("{} ({code})", error.message());
    if let Some(hint) = advice(code, error.message()) {
        reason = format!("{reason}; {hint}");
    }
    Trouble { kind, code: Some(code.to_owned()), reason }
}

/// Whether the server ended the session with its error, so that what it answers to says nothing of what it did.
pub fn is_final(error: &sqlx::Error) -> bool {
    match database(error) {
        Some(error) => {
            matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                || error.code() == "40003"
                || error.code().starts_with("08")
        }
        None => true,
    }
}

/// What to do about it, where the server's words do not say.
fn advice(code: &str, message: &str) -> Option<&'static str> {
    match code {
        "42883" | "42804" if message.contains("text") => {
            Some("parameters are texts: say what they are, as in `$1::integer`")
        }
        "42601" if message.contains("multiple commands") => {
            Some("one statement a step; write several steps, or a DO block")
        }
        "25006" => Some("this server only reads: is it a standby?"),
        "55P03" => Some("others hold a lock on it: postgres.blockers says who"),
        "25001" => Some("write `transaction: false`"),
        "53300" => Some("on PostgreSQL 16 and later, grant pg_use_reserved_connections"),
        _ => None,
    }
}

fn io_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::UnexpectedEof => "the server closed the connection".into(),
        // a name without an address has no kind of its own
        ErrorKind::Other => "the host's name has no address".into(),
        kind if kind.to_string() == "uncategorized error" => {
            "the host's name has no address".into()
        }
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place<'_> {
        let timeout = Duration::from_secs(1);
        let (statement_timeout, lock_timeout) = (timeout, timeout);
        let (ca_file, application) = (None, "quell test");
        Place { url, ca_file, application, timeout, statement_timeout, lock_timeout }
    }

    #[tokio::test]
    async fn no_error_shows_a_part_of_the_url() {
        for url in [
            "hush-word",
            "mysql://hush-user:hush-word@localhost/hush",
            "postgres://hush-user:hush-word@127.0.0.1:1/hush",
            "postgres://hush-user:hush-word@127.0.0.1:port/hush",
            "postgres://hush-user:hush-word@127.0.0.1:1/hush?sslmode=hush",
            "postgres://hush-user:hush-word@no-such-host.invalid/hush",
        ] {
            let trouble = connect(&place(url)).await.unwrap_err();
            assert!(!trouble.reason.contains("hush"), "{url}: {}", trouble.reason);
        }
        let away = connect(&place("postgres://a@127.0.0.1:1/a")).await.unwrap_err();
        assert_eq!(away, Trouble::new(Kind::Later, "connection refused"));
        let shown = format!("{:?}", place("postgres://hush"));
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn with_an_authority_the_certificate_is_verified_unless_the_url_says_otherwise() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = |url| {
            options(&Place { ca_file: Some(file.path()), ..place(url) }).unwrap().get_ssl_mode()
        };
        assert!(matches!(mode("postgres://a@b/c"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://a@b/c?sslmode=verify-ca"), PgSslMode::VerifyCa));
        let missing = Place { ca_file: Some(Path::new("/no/such.pem")), ..place("postgres://a@b") };
        let reason = options(&missing).unwrap_err().reason;
        assert!(reason.starts_with("ca_file /no/such.pem: "), "{reason}");
    }
}
