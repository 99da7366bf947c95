//! Mail against an SMTP server on loopback: what is said before TLS, what each reply means, and that
//! nothing is sent where it should not be.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::PrivateKeyDer;

use super::super::testing::links;
use super::super::testing::mail_headers;
use super::super::testing::notice;
use super::*;
use crate::model::incident::NoticeKind;

/// What the server offers, and the reply it gives instead of success.
#[derive(Debug, Clone, Copy, Default)]
struct Script {
    /// TLS from the first byte.
    implicit_tls: bool,
    /// Advertises STARTTLS; once asked for it, speaks TLS.
    starttls: bool,
    /// Agrees to STARTTLS and goes on in the clear.
    breaks_tls: bool,
    /// Reply to the first command that begins with this word; `.` is the end of the message.
    instead: Option<(&'static str, &'static str)>,
}

/// What one connection was told: lines before TLS and after it, and the mail.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    clear: Vec<String>,
    private: Vec<String>,
    mail: String,
}

/// An SMTP server for one connection; returns its port and, once the client hung up, what was said.
fn serve(script: Script) -> (u16, mpsc::Receiver<Said>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, said) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut said = Said::default();
        if script.implicit_tls {
            said = speak_privately(stream, script, said, true);
        } else {
            let mut clear = BufReader::new(stream);
            let upgrade = converse(&mut clear, script, &mut said, true, false);
            if upgrade && script.breaks_tls {
                clear.get_mut().write_all(b"250 what TLS?\r\n").unwrap();
                let mut rest = Vec::new();
                clear.read_to_end(&mut rest).ok();
                said.clear.push(String::from_utf8_lossy(&rest).into_owned());
            } else if upgrade {
                said = speak_privately(clear.into_inner(), script, said, false);
            }
        }
        told.send(said).unwrap();
    });
    (port, said)
}

fn speak_privately(stream: TcpStream, script: Script, mut said: Said, greet: bool) -> Said {
    let chain =
        vec![CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    converse(&mut stream, script, &mut said, greet, true);
    said
}

/// Speaks SMTP until the client hangs up or may begin TLS, which it then returns.
fn converse<S: Read + Write>(
    stream: &mut BufReader<S>,
    script: Script,
    said: &mut Said,
    greet: bool,
    private: bool,
) -> bool {
    let mut reply = if greet { "220 test\r\n" } else { "" }.to_owned();
    loop {
        let written = stream.get_mut().write_all(reply.as_bytes());
        if written.and_then(|()| stream.get_mut().flush()).is_err() {
            return false;
        }
        if reply.starts_with("354") {
            let mut line = String::new();
            while line != ".\r\n" {
                said.mail.push_str(&line);
                line.clear();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    return false;
                }
            }
            reply = answer(".", script, private);
            continue;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return false;
        }
        let line = line.trim_end().to_owned();
        reply = answer(&line, script, private);
        if private { &mut said.private } else { &mut said.clear }.push(line.clone());
        if line == "STARTTLS" && reply.starts_with("220") {
            stream.get_mut().write_all(reply.as_bytes()).unwrap();
            return true;
        }
    }
}

fn answer(line: &str, script: Script, private: bool) -> String {
    if let Some((command, reply)) = script.instead
        && line.starts_with(command)
    {
        return format!("{reply}\r\n");
    }
    let word = line.split([' ', ':']).next().unwrap_or_default();
    match word {
        "EHLO" => {
            let starttls = if script.starttls && !private { "250-STARTTLS\r\n" } else { "" };
            format!("250-test\r\n{starttls}250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")
        }
        "STARTTLS" => "220 go ahead\r\n".into(),
        "AUTH" => "235 welcome\r\n".into(),
        "DATA" => "354 end with a dot\r\n".into(),
        "QUIT" => "221 bye\r\n".into(),
        _ => "250 ok\r\n".into(),
    }
}

const PASSWORD: &str = "p%40ss%20word";

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/notify/email/testdata").join(name)
}

/// One attempt to `url`, with `ca_file` or without, at a server that follows the script.
async fn attempt(script: Script, url: &str, ca_file: Option<&str>) -> (Sent, Said) {
    let (port, said) = serve(script);
    let smtp = Secret::new(url.replace("PORT", &port.to_string()));
    let ca_file = ca_file.map(testdata);
    let relay = Relay { smtp: &smtp, from: "quell@example.com", ca_file: ca_file.as_deref() };
    let notice = notice(NoticeKind::NeedsYou);
    let sent = send(&relay, "dana@example.com", &notice, &links(), "quell.example.com").await;
    (mask_port(sent, port), said.recv_timeout(TIMEOUT).unwrap())
}

fn mask_port(sent: Sent, port: u16) -> Sent {
    let mask = |reason: String| reason.replace(&format!(":{port}: "), ": ");
    match sent {
        Sent::Delivered => Sent::Delivered,
        Sent::Retry { reason, after } => Sent::Retry { reason: mask(reason), after },
        Sent::Refused { reason } => Sent::Refused { reason: mask(reason) },
    }
}

fn reason(sent: &Sent) -> &str {
    match sent {
        Sent::Delivered => "",
        Sent::Retry { reason, .. } | Sent::Refused { reason } => reason,
    }
}

fn plain_login() -> String {
    format!("AUTH PLAIN {}", STANDARD.encode("\0quell\0p@ss word"))
}

#[tokio::test]
async fn a_relay_on_loopback_gets_one_mail_for_one_recipient() {
    let (sent, said) = attempt(Script::default(), "smtp+plain://127.0.0.1:PORT", None).await;
    assert_eq!(sent, Sent::Delivered);
    assert_eq!(
        said.clear[1..],
        ["MAIL FROM:<quell@example.com>", "RCPT TO:<dana@example.com>", "DATA", "QUIT"]
    );
    let headers = mail_headers(&said.mail);
    assert_eq!(headers["to"], "dana@example.com");
    assert_eq!(headers["subject"], "[quell] api: HighErrorRate, critical: needs you");
}

#[tokio::test]
async fn implicit_tls_hides_everything_and_trusts_the_ca_file() {
    let script = Script { implicit_tls: true, ..Script::default() };
    let url = format!("smtps://quell:{PASSWORD}@127.0.0.1:PORT");
    let (sent, said) = attempt(script, &url, Some("ca.pem")).await;
    assert_eq!(sent, Sent::Delivered);
    assert_eq!(said.clear, [""; 0]);
    assert_eq!(said.private[1], plain_login());
    assert!(said.mail.contains("Error rate 11.3 %"), "{}", said.mail);
}

#[tokio::test]
async fn starttls_comes_before_the_login() {
    let script = Script { starttls: true, ..Script::default() };
    let url = format!("smtp://quell:{PASSWORD}@127.0.0.1:PORT");
    let (sent, said) = attempt(script, &url, Some("ca.pem")).await;
    assert_eq!(sent, Sent::Delivered);
    assert_eq!(said.clear[1..], ["STARTTLS"]);
    assert!(said.private[0].starts_with("EHLO "), "what was offered before TLS is forgotten");
    assert_eq!(said.private[1], plain_login());
}

#[tokio::test]
async fn without_starttls_neither_password_nor_mail_is_sent() {
    let url = format!("smtp://quell:{PASSWORD}@127.0.0.1:PORT");
    for script in [
        Script::default(),
        Script {
            starttls: true,
            instead: Some(("STARTTLS", "454 TLS not available")),
            ..Script::default()
        },
        Script { starttls: true, breaks_tls: true, ..Script::default() },
    ] {
        let (sent, said) = attempt(script, &url, Some("ca.pem")).await;
        assert!(matches!(sent, Sent::Retry { .. }), "{script:?}: {sent:?}");
        assert!(reason(&sent).contains("TLS"), "{sent:?}");
        let clear = said.clear.join("\n");
        for word in ["AUTH", "MAIL", "DATA", "pass"] {
            assert!(!clear.contains(word), "{script:?}: {clear}");
        }
        assert_eq!((said.private, said.mail), (Vec::new(), String::new()), "{script:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    let url = format!("smtps://quell:{PASSWORD}@127.0.0.1:PORT");
    let script = Script { implicit_tls: true, ..Script::default() };
    let (sent, said) = attempt(script, &url, None).await;
    let Sent::Retry { reason, .. } = &sent else { panic!("{sent:?}") };
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!(said, Said::default());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let script = Script { implicit_tls: true, ..Script::default() };
    let (sent, said) = attempt(script, "smtps://quell:x@localhost:PORT", Some("ca.pem")).await;
    assert!(matches!(&sent, Sent::Retry { .. }), "{sent:?}");
    assert_eq!(said, Said::default());
}

#[tokio::test]
async fn each_reply_has_its_outcome() {
    let retry = |reason: &str| Sent::retry(format!("127.0.0.1: {reason}"));
    let refused = |reason: &str| Sent::refused(format!("127.0.0.1: {reason}"));
    for (command, reply, expected) in [
        ("EHLO", "421 busy", retry("connecting: transient error (421): busy")),
        ("MAIL", "451 later", retry("sending: transient error (451): later")),
        ("RCPT", "450 mailbox busy", retry("sending: transient error (450): mailbox busy")),
        ("RCPT", "550 no such user", refused("sending: permanent error (550): no such user")),
        ("DATA", "554 no", refused("sending: permanent error (554): no")),
        (".", "452 disk full", retry("sending: transient error (452): disk full")),
        (".", "552 too large", refused("sending: permanent error (552): too large")),
        // the mail was accepted: what comes after does not undo that
        ("QUIT", "500 what?", Sent::Delivered),
    ] {
        let script = Script { instead: Some((command, reply)), ..Script::default() };
        let (sent, _) = attempt(script, "smtp+plain://127.0.0.1:PORT", None).await;
        assert_eq!(sent, expected, "{command} {reply}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_shows_no_password() {
    let script = Script {
        implicit_tls: true,
        instead: Some(("AUTH", "535 no: AHF1ZWxsAHBAc3Mgd29yZA==, p@ss word")),
        ..Script::default()
    };
    let (port, _said) = serve(script);
    let channel = crate::model::config::Channel::Email {
        smtp: Secret::new(format!("smtps://quell:{PASSWORD}@127.0.0.1:{port}")),
        from: "quell@example.com".into(),
        to: Vec::new(),
        ca_file: Some(testdata("ca.pem")),
    };
    let notice = notice(NoticeKind::Opened);
    let sent = super::super::send(&channel, "dana@example.com", &notice, &links(), "q").await;
    assert_eq!(
        mask_port(sent, port),
        Sent::refused("127.0.0.1: logging in: permanent error (535): no: [secret], [secret]")
    );
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_down_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let smtp = Secret::new(format!("smtp+plain://127.0.0.1:{port}"));
    let relay = Relay { smtp: &smtp, from: "quell@example.com", ca_file: None };
    let notice = notice(NoticeKind::Opened);
    let hangs_up = thread::spawn(move || drop(listener.accept()));
    let sent = send(&relay, "dana@example.com", &notice, &links(), "q").await;
    assert!(matches!(sent, Sent::Retry { .. }), "{sent:?}");
    hangs_up.join().unwrap();
    // the listener is gone with its thread
    let sent = send(&relay, "dana@example.com", &notice, &links(), "q").await;
    let Sent::Retry { reason, .. } = &sent else { panic!("{sent:?}") };
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_ca_file_that_is_missing_or_no_pem_is_named() {
    let smtp = Secret::new("smtps://127.0.0.1:1");
    let notice = notice(NoticeKind::Opened);
    for (name, expected) in [("missing.pem", "reading ca_file"), ("README.md", "as PEM: ")] {
        let file = testdata(name);
        let relay = Relay { smtp: &smtp, from: "q@example.com", ca_file: Some(&file) };
        let sent = send(&relay, "dana@example.com", &notice, &links(), "q").await;
        let Sent::Retry { reason, .. } = &sent else { panic!("{sent:?}") };
        assert!(reason.contains(expected) && reason.contains(name), "{reason}");
    }
}
