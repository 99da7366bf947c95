//! The probe `tls`: whether a server's certificate is good, and for how many days.
//!
//! Expired, not trusted, or for another name is unhealthy: the certificate was seen. A server that cannot be reached, or does not
//! speak TLS, is unknown.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::samples;
use super::samples::Age;
use super::samples::Point;
use super::samples::Wanted;
use crate::model::labels::Labels;
use crate::model::number::show as number;
use crate::model::probe::TlsProbe;
use crate::model::run::Observation;

mod validity;

/// Longest time for the connection and the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks once, at the certificates of one handshake.
pub(super) async fn observe(probe: &TlsProbe, now: Timestamp) -> Observation {
    let address = probe.address.as_str();
    let Some((host, name)) = names(address, probe.server_name.as_deref()) else {
        return super::unknown(format!("`{address}`: expected host:port"));
    };
    let Ok(name) = ServerName::try_from(name.to_owned()) else {
        return super::unknown(format!("{address}: `{name}` is no host's name"));
    };
    let witness = match Witness::new(probe.ca_file.as_deref(), now) {
        Ok(witness) => Arc::new(witness),
        Err(reason) => return super::unknown(format!("{address}: {reason}")),
    };
    let shaking = shake(address, &host, name, &witness);
    let shaken = tokio::time::timeout(TIMEOUT, shaking).await;
    let shaken = shaken.unwrap_or_else(|_| Err(format!("no handshake within {TIMEOUT:?}")));
    match (witness.seen(), shaken) {
        (None, Ok(())) => super::unknown(format!("{address}: it showed no certificate")),
        (None, Err(reason)) => super::unknown(format!("{address}: {reason}")),
        (Some(Seen { chain, verdict: Err(error) }), _) => {
            super::unhealthy(format!("{address}: {}{}", why(&error), expiry(&chain, now)))
        }
        (Some(Seen { verdict: Ok(()), .. }), Err(reason)) => {
            super::unknown(format!("{address}: {reason}"))
        }
        (Some(Seen { chain, verdict: Ok(()) }), Ok(())) => {
            judge(address, &chain, &probe.healthy, now)
        }
    }
}

/// The host to connect to, and the name that the certificate must be for.
fn names<'a>(address: &'a str, name: Option<&'a str>) -> Option<(String, &'a str)> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    (!bare.is_empty()).then(|| (bare.to_owned(), name.unwrap_or(bare)))
}

fn judge(
    address: &str,
    chain: &[CertificateDer<'static>],
    healthy: &str,
    now: Timestamp,
) -> Observation {
    let days: Vec<f64> = chain.iter().filter_map(|it| days(it, now)).collect();
    let Some(&leaf) = days.first().filter(|_| days.len() == chain.len()) else {
        return super::unknown(format!("{address}: when its certificate expires cannot be read"));
    };
    let point = Point { value: leaf, labels: Labels::default(), at: None };
    let age = Age { now, max: Duration::MAX };
    let mut seen = samples::judge(&[point], Wanted::from(healthy), age);
    seen.measured = format!("{address}: days to expiry {}", seen.measured);
    let earliest = days.iter().copied().fold(leaf, f64::min);
    if earliest < leaf {
        seen.measured = format!(
            "{}; another certificate that it sends expires in {} days",
            seen.measured,
            number(earliest)
        );
    }
    seen
}

/// Days until it expires, in hundredths; below zero when it has.
#[expect(clippy::cast_precision_loss, reason = "seconds of millennia are exact")]
fn days(certificate: &CertificateDer<'_>, now: Timestamp) -> Option<f64> {
    let left = validity::not_after(certificate)?.as_second() - now.as_second();
    Some((left as f64 / 864.0).floor() / 100.0)
}

/// For people, beside a reason.
fn expiry(chain: &[CertificateDer<'static>], now: Timestamp) -> String {
    match chain.first().and_then(|leaf| days(leaf, now)) {
        Some(days) if days < 0.0 => format!(" (it expired {} days ago)", number(-days)),
        Some(days) => format!(" (it expires in {} days)", number(days)),
        None => String::new(),
    }
}

/// Why a certificate is no good.
fn why(error: &Error) -> String {
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "a certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "a certificate is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "who issued the certificate is not trusted".into(),
        CertificateError::NotValidForName => "the certificate is for another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the certificate is not for {} but for {}",
            expected.to_str(),
            if presented.is_empty() { "nobody".into() } else { presented.join(", ") }
        ),
        CertificateError::Revoked => "the certificate is revoked".into(),
        other => other.to_string(),
    }
}

/// Connects, and goes on until the server has shown who it is. Nothing else is sent.
async fn shake(
    address: &str,
    host: &str,
    name: ServerName<'static>,
    witness: &Arc<Witness>,
) -> Result<(), String> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let mut stream = TcpStream::connect((host, port.unwrap_or_default()))
        .await
        .map_err(|error| format!("no connection: {}", io_words(&error)))?;
    let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(witness) as _;
    let config = ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let mut session =
        ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let broken = |error: io::Error| format!("connection lost: {}", io_words(&error));
    let mut buffer = vec![0; 16 << 10];
    loop {
        while session.wants_write() {
            let mut out = Vec::new();
            session.write_tls(&mut out).map_err(broken)?;
            stream.write_all(&out).await.map_err(broken)?;
        }
        if !session.is_handshaking() {
            return Ok(());
        }
        let count = stream.read(&mut buffer).await.map_err(broken)?;
        if count == 0 {
            return Err("it closed the connection before it had shown a certificate".into());
        }
        let mut read = buffer.get(..count).unwrap_or_default();
        while !read.is_empty() {
            session.read_tls(&mut read).map_err(broken)?;
            session.process_new_packets().map_err(|error| format!("no TLS: {error}"))?;
        }
    }
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other => "the host's name has no address".into(),
        kind => match kind.to_string().as_str() {
            "uncategorized error" => "the host's name has no address".into(),
            words => words.to_owned(),
        },
    }
}

/// What a server showed, and whether it is good.
#[derive(Debug, Clone)]
struct Seen {
    /// The server's own first.
    chain: Vec<CertificateDer<'static>>,
    verdict: Result<(), Error>,
}

/// Verifies as every client does, at quell's time, and remembers what it saw.
#[derive(Debug)]
struct Witness {
    inner: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
    now: UnixTime,
    seen: Mutex<Option<Seen>>,
}

impl Witness {
    fn new(ca_file: Option<&Path>, now: Timestamp) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let inner: Arc<dyn ServerCertVerifier> = match ca_file {
            None => Arc::new(
                rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                    .map_err(|error| format!("the system's authorities cannot be read: {error}"))?,
            ),
            Some(file) => {
                let roots = roots(file)
                    .map_err(|reason| format!("ca_file {}: {reason}", file.display()))?;
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| format!("ca_file {}: {error}", file.display()))?
            }
        };
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        Ok(Self { inner, provider, now, seen: Mutex::new(None) })
    }

    fn seen(&self) -> Option<Seen> {
        self.seen.lock().ok().and_then(|seen| seen.clone())
    }
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("no certificate in it".into()) } else { Ok(roots) }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            self.now,
        );
        let chain = std::iter::once(end_entity).chain(intermediates);
        let chain = chain.map(|it| it.clone().into_owned()).collect();
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(Seen { chain, verdict: verdict.as_ref().map(drop).map_err(Clone::clone) });
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
