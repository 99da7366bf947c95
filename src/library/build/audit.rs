//! `audit:` of quell.yml.

use std::path::Path;
use std::time::Duration;

use super::config::check_url;
use super::config::reveal;
use super::secret::Secrets;
use super::text;
use crate::decide::audit::note::PrivateKey;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::raw::Opt;
use crate::library::raw::config::RawAudit;
use crate::model::config::Anchor;
use crate::model::config::Audit;
use crate::model::config::Secret;

/// How the audit is signed and anchored; a folder is relative to `folder`.
pub(super) fn audit(secrets: &Secrets<'_>, raw: Opt<RawAudit>, folder: &Path) -> Audit {
    let at = secrets.at;
    let mut audit = Audit::default();
    let Some(raw) = raw.and_then(Field::found).map(|it| it.value) else { return audit };
    if let Some(key) = reveal(secrets, "signing_key", raw.signing_key) {
        // the message shows nothing of it
        if let Err(error) = PrivateKey::parse(&key.value) {
            let label = "`quell audit key new FILE` makes one";
            at.report(key.span, Diagnostic::error(codes::VALUE, error.to_string()).label(label));
        }
        audit.signing_key = Some(Secret::new(key.value));
    }
    if let Some(origin) = raw.origin.and_then(Field::found) {
        if origin.value.trim().is_empty() || origin.value.chars().any(char::is_control) {
            let message = "the name of a log is one line, such as quell.example.com";
            at.report(origin.span, Diagnostic::error(codes::VALUE, message));
        }
        audit.origin = Some(origin.value);
    }
    if let Some(anchor) = reveal(secrets, "anchor", raw.anchor) {
        audit.anchor = Some(match anchor.value.as_str() {
            "stdout" => Anchor::Stdout,
            url if url.contains("://") => {
                check_url(at, &anchor, &["http", "https"]);
                Anchor::Http(Secret::new(url))
            }
            path => {
                if path.trim().is_empty() {
                    let message = "expected a folder, a URL or stdout";
                    at.report(anchor.span, Diagnostic::error(codes::VALUE, message));
                }
                Anchor::Directory(folder.join(path))
            }
        });
    }
    if let Some(it) = raw.anchor_every.and_then(Field::found)
        && let Some(every) = text::duration(at, &it)
    {
        if (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&every) {
            audit.anchor_every = every;
        } else {
            let message = "expected a time from 1s to 1h, such as 1m";
            at.report(it.span, Diagnostic::error(codes::VALUE, message));
        }
    }
    audit
}
