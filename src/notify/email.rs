//! Mail by SMTP submission (`protocols.md §5`).
//!
//! One message for each recipient, so that one refused address does not keep the others uninformed.
//! TLS is required before anything but EHLO is said, except to a relay on loopback. A reply lost after
//! the message's end leaves unknown whether it arrived; the next attempt has the same `Message-ID`, and
//! mailboxes that drop duplicates drop it.

mod compose;
mod server;

use std::path::Path;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::client::Certificate;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;

use super::Links;
use super::Sent;
use crate::model::config::Secret;
use crate::model::incident::Notice;

pub(super) use server::Security;
pub(super) use server::Server;

/// From connecting to the reply after the message's end.
const TIMEOUT: Duration = Duration::from_secs(30);
/// For the goodbye, which changes nothing any more.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A mail channel without its recipients.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    /// `smtps://user:password@host:465` and the like.
    pub(super) smtp: &'a Secret,
    /// Sender.
    pub(super) from: &'a str,
    /// PEM file of a private CA, trusted besides those of the system.
    pub(super) ca_file: Option<&'a Path>,
}

/// Sends one notice to one address.
pub(super) async fn send(
    relay: &Relay<'_>,
    recipient: &str,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Sent {
    let server = match Server::parse(relay.smtp.reveal()) {
        Ok(server) => server,
        Err(reason) => return Sent::refused(reason),
    };
    let mail = match compose::compose(relay.from, recipient, notice, links, instance) {
        Ok(mail) => mail,
        Err(reason) => return Sent::refused(reason),
    };
    let Server { host, port, .. } = &server;
    let submitting = Box::pin(submit(&server, relay.ca_file, &mail));
    match timeout(TIMEOUT, submitting).await {
        Ok(Ok(())) => Sent::Delivered,
        Ok(Err(Failure { reason, last: true })) => {
            Sent::refused(format!("{host}:{port}: {reason}"))
        }
        Ok(Err(Failure { reason, last: false })) => Sent::retry(format!("{host}:{port}: {reason}")),
        Err(_) => Sent::retry(format!("{host}:{port}: no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// Why a mail was not sent, and whether trying again is of no use.
struct Failure {
    reason: String,
    last: bool,
}

impl Failure {
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), last: false }
    }

    /// A failed command: 5xx is the server's last word; 4xx, the network and TLS may change.
    fn of(doing: &str, error: &Error) -> Self {
        Self { reason: format!("{doing}: {error}"), last: error.is_permanent() }
    }
}

/// Everything up to the reply after the message's end.
async fn submit(server: &Server, ca_file: Option<&Path>, mail: &Message) -> Result<(), Failure> {
    let hello = ClientId::default();
    let tls = match server.security {
        Security::None => None,
        Security::Implicit | Security::StartTls => Some(trust(&server.host, ca_file).await?),
    };
    let implicit = tls.clone().filter(|_| server.security == Security::Implicit);
    let address = (server.host.as_str(), server.port);
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(address, Some(TIMEOUT), &hello, implicit, None)
            .await
            .map_err(|error| Failure::of("connecting", &error))?;
    if let (Security::StartTls, Some(tls)) = (server.security, tls) {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(Failure::passing(
                "the server does not offer STARTTLS, nothing was sent; without TLS in between, \
                 use smtps:// for its port with TLS from the start",
            ));
        }
        connection.starttls(tls, &hello).await.map_err(|error| Failure::of("STARTTLS", &error))?;
    }
    if let Some((user, password)) = &server.login {
        let credentials = Credentials::new(user.clone(), password.clone());
        connection
            .auth(DEFAULT_MECHANISMS, &credentials)
            .await
            .map_err(|error| Failure::of("logging in", &error))?;
    }
    connection
        .send(mail.envelope(), &mail.formatted())
        .await
        .map_err(|error| Failure::of("sending", &error))?;
    // accepted: whatever becomes of the goodbye, a second attempt would be a second mail
    let _goodbye = timeout(QUIT_TIMEOUT, connection.quit()).await;
    Ok(())
}

/// The system's roots, and those of `ca_file`. A file that cannot be read may be there next time.
async fn trust(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca_file {
        let shown = file.display();
        let pem = tokio::fs::read(file)
            .await
            .map_err(|error| Failure::passing(format!("reading ca_file {shown}: {error}")))?;
        let no_pem = |error: &dyn std::error::Error| {
            Failure::passing(format!("reading ca_file {shown} as PEM: {error}"))
        };
        // lettre takes a file without any certificate for one that adds none
        CertificateDer::from_pem_slice(&pem).map_err(|error| no_pem(&error))?;
        let roots = Certificate::from_pem(&pem).map_err(|error| no_pem(&error))?;
        builder = builder.add_root_certificate(roots);
    }
    builder.build_rustls().map_err(|error| Failure::passing(format!("preparing TLS: {error}")))
}

#[cfg(test)]
mod tests;
