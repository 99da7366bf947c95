//! Why a call has no answer, and whether the request may have arrived.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::CONNECT_TIMEOUT;

/// Why a call has no answer. Its text never holds a URL, a header or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request cannot be sent as it is written.
    Invalid(String),
    /// The host's name has no address.
    Dns,
    /// Nothing listens there.
    Refused,
    /// No connection within the connect timeout.
    ConnectTimeout(Duration),
    /// No secure connection: untrusted or expired certificate, wrong name, not TLS at all.
    Tls(String),
    /// No connection, for another reason.
    Connect(String),
    /// No whole answer in time.
    Timeout(Duration),
    /// The connection broke after the request was, or may have been, sent.
    Lost(String),
    /// The answer is larger than accepted.
    TooLarge {
        /// Status of the answer.
        status: u16,
        /// In bytes.
        limit: usize,
    },
}

impl Failure {
    /// Whether the request may have reached the server, and so may have had its effect.
    pub fn sent(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::Dns
            | Self::Refused
            | Self::ConnectTimeout(_)
            | Self::Tls(_)
            | Self::Connect(_) => false,
            Self::Timeout(_) | Self::Lost(_) | Self::TooLarge { .. } => true,
        }
    }

    /// Reads a client's error. `took` is the time since the call began, `timeout` its longest.
    pub(super) fn of(error: &reqwest::Error, timeout: Duration, took: Duration) -> Self {
        if let Some(reason) = find(error, tls) {
            return Self::Tls(reason);
        }
        if error.is_dns() {
            return Self::Dns;
        }
        let io = find(error, io_kind);
        if error.is_connect() {
            return match io {
                Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
                _ if error.is_timeout() => Self::ConnectTimeout(CONNECT_TIMEOUT.min(timeout)),
                Some(kind) => Self::Connect(kind.to_string()),
                None => Self::Connect("no connection".into()),
            };
        }
        if error.is_timeout() || took >= timeout {
            return Self::Timeout(timeout);
        }
        if error.is_builder() {
            return Self::Invalid("the request could not be built".into());
        }
        Self::Lost(io.map_or_else(
            || "the server closed it before it had answered whole".into(),
            |kind| kind.to_string(),
        ))
    }

    /// The answer's head was there already.
    pub(super) fn while_reading(self, status: u16) -> Self {
        match self {
            Self::Timeout(_) | Self::TooLarge { .. } => self,
            Self::Lost(reason) => Self::Lost(format!("{reason}, in the body of a {status}")),
            other => Self::Lost(format!("{other}, in the body of a {status}")),
        }
    }
}

/// `connection refused`, `timed out after 5s`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::Dns => f.write_str("the host's name has no address"),
            Self::Refused => f.write_str("connection refused"),
            Self::ConnectTimeout(after) => {
                write!(f, "no connection within {after:?}")
            }
            Self::Tls(reason) => write!(f, "no secure connection: {reason}"),
            Self::Connect(reason) => write!(f, "could not connect: {reason}"),
            Self::Timeout(after) => write!(f, "timed out after {after:?}"),
            Self::Lost(reason) => write!(f, "connection lost: {reason}"),
            Self::TooLarge { status, limit } => {
                write!(f, "answered {status} with more than {limit} bytes")
            }
        }
    }
}

impl StdError for Failure {}

/// The first cause that `pick` knows.
pub(super) fn find<T>(
    error: &(dyn StdError + 'static),
    pick: impl Fn(&(dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = pick(cause) {
            return Some(found);
        }
        // an `io::Error` made from another error hides it: its `source` is the one below that
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(hidden) => Some(hidden),
            None => cause.source(),
        };
    }
    None
}

pub(super) fn tls(cause: &(dyn StdError + 'static)) -> Option<String> {
    let error = cause.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "the issuer of its certificate is not trusted; install ca-certificates, or name a file \
             with the issuer in SSL_CERT_FILE"
                .into()
        }
        other => other.to_string(),
    })
}

/// The kind of an `io::Error` that hides no other.
pub(super) fn io_kind(cause: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let error = cause.downcast_ref::<io::Error>()?;
    error.get_ref().is_none().then(|| error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_certificate_says_what_to_do() {
        let unknown = rustls::CertificateError::UnknownIssuer;
        let error = io::Error::other(rustls::Error::InvalidCertificate(unknown));
        let hidden = error.get_ref().and_then(|it| tls(it)).unwrap();
        assert!(hidden.ends_with("in SSL_CERT_FILE"), "{hidden}");
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(tls(&expired).unwrap(), "invalid peer certificate: Expired");
        assert_eq!(tls(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
    }
}
