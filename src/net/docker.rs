//! The engine that runs containers, asked over its socket.
//!
//! Three requests are all that is needed, so they are written here instead of with a client of its whole API. Paths carry no version:
//! the engine answers in its own, and what is read here is the same in all of them.

use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use http_body_util::Limited;
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

/// Largest answer read, in bytes: what is known of a container is some kB.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Longest part of what the engine says that is shown, in characters.
const SHOWN: usize = 200;

/// A container, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// Its identifier: another container of the same name has another.
    pub id: String,
    /// What it is doing.
    pub state: State,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// `running`, `exited`, `restarting`, `paused`, `dead`, `created`.
    pub status: String,
    /// Whether it runs, paused or not.
    pub running: bool,
    /// Exit code of the last process.
    #[serde(default)]
    pub exit_code: i64,
    /// When it was started last, as the engine writes it.
    #[serde(default)]
    pub started_at: String,
    /// What its health check says, if it has one.
    #[serde(default)]
    pub health: Option<Health>,
}

/// What a health check says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was asked: there is no way to it now.
    Unreachable(String),
    /// This process may not use the socket, or the engine does not let it: nothing was done.
    Denied(String),
    /// There is no such container.
    Missing(String),
    /// The engine said no, with this status.
    Refused(u16, String),
    /// It was asked, and nobody answered: it may have been done.
    Lost(String),
}

/// What the engine knows of a container, by its name or identifier. Only ends by itself: the caller bounds it.
pub async fn inspect(socket: &Path, container: &str) -> Result<Container, Failure> {
    let (status, body) = send(socket, "GET", &format!("/containers/{container}/json")).await?;
    accepted(status, &body, container)?;
    serde_json::from_slice(&body).map_err(|error| {
        Failure::Refused(status, format!("the engine's answer cannot be read: {error}"))
    })
}

/// Stops and starts a container; `grace` is the time to end before it is killed, in whole seconds. Only ends by itself: dropped in the
/// middle, the engine goes on.
pub async fn restart(
    socket: &Path,
    container: &str,
    grace: Option<Duration>,
) -> Result<(), Failure> {
    let grace = grace.map(|grace| format!("?t={}", grace.as_secs())).unwrap_or_default();
    let path = format!("/containers/{container}/restart{grace}");
    let (status, body) = send(socket, "POST", &path).await?;
    accepted(status, &body, container)
}

/// Whether a text can be the name or the identifier of a container. The error says what was expected.
pub fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 255;
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if begins && plain && name.len() <= LONGEST {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("expected the name or the identifier of a container, got {shown:?}"))
}

fn accepted(status: u16, body: &[u8], container: &str) -> Result<(), Failure> {
    match status {
        200..=299 => Ok(()),
        404 => Err(Failure::Missing(format!("there is no container {container}: {}", said(body)))),
        401 | 403 => Err(Failure::Denied(format!("the engine answered {status}: {}", said(body)))),
        _ => Err(Failure::Refused(status, format!("the engine answered {status}: {}", said(body)))),
    }
}

/// What the engine says, in one line.
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let text = match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

async fn send(socket: &Path, method: &str, path: &str) -> Result<(u16, Bytes), Failure> {
    let place = socket.display();
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            Failure::Denied(format!("quell has no right to use {place}: {error}"))
        }
        _ => Failure::Unreachable(format!("nobody answers at {place}: {error}")),
    })?;
    let unsent = |error: &dyn std::fmt::Display| {
        Failure::Unreachable(format!("the request to {place} could not be sent: {error}"))
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unsent(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "docker")
        .header("user-agent", concat!("quell/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| unsent(&error))?;
    let answer = async {
        let lost = |error: &dyn std::fmt::Display| {
            Failure::Lost(format!("the connection to {place} broke before it answered: {error}"))
        };
        let answer = sender.send_request(request).await.map_err(|error| lost(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        // what it did is known, whatever became of the words
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if status == 200 => return Err(lost(&error)),
            Err(_) => Bytes::new(),
        };
        Ok((status, body))
    };
    // nobody else moves the bytes; one that has ended may leave an answer to be read
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            _ = &mut connection, if open => open = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_container_is_one_part_of_a_path() {
        for name in ["web", "shop-api_1.2", "4f66ad9f0b1c", "0"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "/web", "-f", "a/b", "a b", "..", "a?t=0", "web\n", "%2e", "ä"] {
            let error = check_name(name).unwrap_err();
            assert!(error.starts_with("expected the name or the identifier"), "{error}");
        }
    }
}
