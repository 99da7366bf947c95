//! A real mail server (aiosmtpd) that keeps what it accepts.
//!
//! It refuses the recipient `refused@…` for good and `later@…` for now. Over TLS it wants a user and a password.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::certificates::Certificates;
use crate::support::process;
use crate::support::process::Process;
use crate::support::wait;

/// How its connections are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// Not at all.
    Plain,
    /// After STARTTLS, which it insists on.
    StartTls,
    /// From the first byte.
    Tls,
}

/// What it accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Mail {
    /// Of the envelope.
    pub(crate) from: String,
    /// Of the envelope.
    pub(crate) to: Vec<String>,
    /// Headers and body as sent.
    pub(crate) data: String,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Smtp {
    url: String,
    mails: PathBuf,
    certificates: Certificates,
    _process: Process,
    _data: TempDir,
}

impl Smtp {
    /// With certificates of its own.
    pub(crate) async fn start(security: Security) -> Self {
        let data = TempDir::new().unwrap();
        let certificates = Certificates::make(data.path());
        let mails = data.path().join("mails");
        let port = process::port();
        let (word, url) = match security {
            Security::Plain => ("plain", format!("smtp+plain://127.0.0.1:{port}")),
            Security::StartTls => ("starttls", format!("smtp://quell:hush-mail@localhost:{port}")),
            Security::Tls => ("tls", format!("smtps://quell:hush-mail@localhost:{port}")),
        };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/smtp.py");
        let port_word = port.to_string();
        let mut process = Process::start(
            [
                Path::new("/usr/bin/python3"),
                Path::new(script),
                Path::new(&port_word),
                &mails,
                Path::new(word),
                &certificates.certificate,
                &certificates.key,
            ],
            &[],
            &data.path().join("log"),
        );
        process
            .ready(async || match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(_) => Ok(()),
                Err(e) => Err(e.to_string()),
            })
            .await;
        Self { url, mails, certificates, _process: process, _data: data }
    }

    /// As quell's `smtp:` wants it, with user and password where they are needed.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The authority a client has to trust.
    pub(crate) fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Everything accepted so far, in order.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let text = fs::read_to_string(&self.mails).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until it has accepted `count` mails, or more.
    pub(crate) async fn received(&self, count: usize) -> Vec<Mail> {
        wait::until(&format!("{count} mails"), wait::PATIENCE, async || {
            let mails = self.mails();
            if mails.len() >= count { Ok(mails) } else { Err(mails) }
        })
        .await
    }
}
