//! A notice as a mail: headers that keep an incident one thread and keep machines from answering, and
//! plain text.

use std::time::Duration;
use std::time::SystemTime;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::message::header::HeaderName;
use lettre::message::header::HeaderValue;
use lettre::message::header::MIME_VERSION_1_0;

use super::super::Links;
use super::super::message;
use crate::model::incident::IncidentId;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// Longest domain of a message id: a line of mail holds 998 bytes (RFC 5322 §2.1.1).
const MAX_DOMAIN: usize = 255;

/// The mail, or why it cannot be written.
pub(super) fn compose(
    from: &str,
    to: &str,
    notice: &Notice,
    links: &Links,
    instance: &str,
) -> Result<Message, String> {
    let mailbox = |role: &str, text: &str| {
        text.parse::<Mailbox>().map_err(|error| format!("{role} `{text}`: {error}"))
    };
    let root = root_id(notice.incident, instance);
    let since_epoch = u64::try_from(notice.at.as_second()).unwrap_or(0);
    let subject = format!("[quell] {}", message::subject(notice));
    let mut mail = Message::builder()
        .from(mailbox("sender", from)?)
        .to(mailbox("recipient", to)?)
        .subject(message::cut(&subject, MAX_SUBJECT))
        // when it happened, not when it was sent: a second attempt is the same mail
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch))
        .message_id(Some(message_id(notice, instance)))
        .header(MIME_VERSION_1_0)
        .header(ContentType::TEXT_PLAIN);
    if notice.kind != NoticeKind::Opened {
        mail = mail.in_reply_to(root.clone()).references(root);
    }
    for (name, value) in [
        // RFC 3834 §5: no answers from machines
        (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated"),
        // MS-OXCMAIL 2.1.3.2.20: none from Exchange either
        (HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"), "All"),
        (HeaderName::new_from_ascii_str("Precedence"), "bulk"),
    ] {
        mail = mail.raw_header(HeaderValue::new(name, value.into()));
    }
    mail.body(text(notice, links)).map_err(|error| error.to_string())
}

/// The first mail of an incident has this id, and all later ones refer to it, whether or not the
/// recipient got the first.
fn root_id(incident: IncidentId, instance: &str) -> String {
    format!("<quell.{incident}@{}>", domain(instance))
}

/// The same for every attempt at the same notice.
fn message_id(notice: &Notice, instance: &str) -> String {
    match notice.kind {
        NoticeKind::Opened => root_id(notice.incident, instance),
        NoticeKind::Progress
        | NoticeKind::NeedsYou
        | NoticeKind::Acknowledged
        | NoticeKind::Resolved => format!(
            "<quell.{}.{}.{}@{}>",
            notice.incident,
            message::slug(notice.kind),
            notice.at.as_microsecond(),
            domain(instance)
        ),
    }
}

/// The right side of a message id: letters, digits, dots and hyphens, which needs no quoting.
fn domain(instance: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let domain: String = instance.chars().map(fit).take(MAX_DOMAIN).collect();
    // no empty label: `a..b` is not a dot-atom (RFC 5322 §3.2.3)
    let labels: Vec<&str> = domain.split('.').filter(|label| !label.is_empty()).collect();
    if labels.is_empty() { "quell".into() } else { labels.join(".") }
}

/// The facts, then the links. Opening a link changes nothing, and the mail says so, since scanners
/// open them too.
fn text(notice: &Notice, links: &Links) -> String {
    let mut parts = vec![message::lead(notice)];
    parts.extend(message::paragraphs(notice));
    let found = message::ways(notice, links);
    let mut ways: Vec<String> =
        found.iter().map(|(label, url)| format!("{label}: {url}")).collect();
    if found.iter().any(|(label, _)| *label != "Look") {
        ways.push("(each page asks before anything happens)".to_owned());
    }
    if !ways.is_empty() {
        parts.push(ways.join("\n"));
    }
    let mut text = parts.join("\n\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::any_notice;
    use super::super::super::testing::links;
    use super::super::super::testing::mail_headers;
    use super::super::super::testing::notice;
    use super::*;

    const INSTANCE: &str = "quell.example.com";

    fn mail(notice: &Notice) -> String {
        let mail =
            compose("quell <quell@example.com>", "dana@example.com", notice, &links(), INSTANCE);
        String::from_utf8(mail.unwrap().formatted()).unwrap()
    }

    #[test]
    fn who_is_needed_gets_a_mail_that_reads_by_itself() {
        let mail = mail(&notice(NoticeKind::NeedsYou)).replace("\r\n", "\n");
        insta::assert_snapshot!(mail, @r#"
        From: quell <quell@example.com>
        To: dana@example.com
        Subject: [quell] api: HighErrorRate, critical: needs you
        Date: Mon, 05 Jan 2026 10:12:00 +0000
        Message-ID: <quell.i-381.needs-you.1767607920250000@quell.example.com>
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        In-Reply-To: <quell.i-381@quell.example.com>
        References: <quell.i-381@quell.example.com>
        Auto-Submitted: auto-generated
        X-Auto-Response-Suppress: All
        Precedence: bulk
        Content-Transfer-Encoding: quoted-printable

        api: HighErrorRate, critical: needs you, for 12 min

        Error rate 11.3 % (limit 5 %) on 2 of 12 pods.

        Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).
        Needs one person of tier 3 by 10:25.

        Tried: restart at 10:02, did not help (11.8 % after 5 min)

        Incident i-381, began 2026-01-05 10:00:00 UTC.
        Alert: HighErrorRate{service=3D"api", severity=3D"critical"}

        Look: https://quell.example.com/incidents/i-381
        Acknowledge: https://quell.example.com/act/TOKEN
        Take over: https://quell.example.com/act/TAKE
        (each page asks before anything happens)
        "#);
    }

    #[test]
    fn an_incident_is_one_thread() {
        let first = mail_headers(&mail(&notice(NoticeKind::Opened)));
        assert_eq!(first["message-id"], "<quell.i-381@quell.example.com>");
        assert!(!first.contains_key("in-reply-to") && !first.contains_key("references"));
        for kind in [NoticeKind::Progress, NoticeKind::NeedsYou, NoticeKind::Resolved] {
            let later = mail_headers(&mail(&notice(kind)));
            assert_eq!(later["in-reply-to"], first["message-id"]);
            assert_eq!(later["references"], first["message-id"]);
            assert_ne!(later["message-id"], first["message-id"]);
        }
    }

    #[test]
    fn a_second_attempt_is_the_same_mail_and_another_notice_is_not() {
        let first = notice(NoticeKind::Progress);
        assert_eq!(mail(&first), mail(&first));
        let mut next = first.clone();
        next.at += Duration::from_millis(1);
        assert_ne!(
            mail_headers(&mail(&first))["message-id"],
            mail_headers(&mail(&next))["message-id"]
        );
    }

    #[test]
    fn the_domain_of_an_id_is_well_formed_whatever_the_instance_is() {
        for (instance, expected) in [
            ("quell.example.com", "quell.example.com"),
            ("127.0.0.1:9797", "127.0.0.1-9797"),
            ("[::1]:9797", "---1--9797"),
            ("a..b.", "a.b"),
            ("x>\r\nBcc: y", "x---Bcc--y"),
            ("", "quell"),
        ] {
            assert_eq!(domain(instance), expected, "{instance:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for (from, to, expected) in [
            ("nobody", "dana@example.com", "sender `nobody`: "),
            ("quell@example.com", "dana@", "recipient `dana@`: "),
            ("quell@example.com", "", "recipient ``: "),
            ("quell@example.com", "a@example.com\r\nBcc: b@example.com", "recipient "),
        ] {
            let error = compose(from, to, &notice(NoticeKind::Opened), &links(), INSTANCE);
            let error = error.unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_resolution_cannot_be_acknowledged() {
        let resolved = text(&notice(NoticeKind::Resolved), &links());
        assert!(resolved.contains("Look: ") && !resolved.contains("Acknowledge"), "{resolved}");
    }

    proptest! {
        #[test]
        fn no_text_of_an_alert_adds_or_breaks_a_header(notice in any_notice()) {
            let mail = mail(&notice);
            let mut expected: Vec<&str> = vec![
                "auto-submitted", "content-transfer-encoding", "content-type", "date", "from",
                "message-id", "mime-version", "precedence", "subject", "to",
                "x-auto-response-suppress",
            ];
            if notice.kind != NoticeKind::Opened {
                expected.extend(["in-reply-to", "references"]);
            }
            expected.sort_unstable();
            let headers = mail_headers(&mail);
            prop_assert_eq!(headers.keys().map(String::as_str).collect::<Vec<_>>(), expected);
            prop_assert!(mail.is_ascii());
            prop_assert!(mail.split("\r\n").all(|line| line.len() <= 998));
        }
    }
}
