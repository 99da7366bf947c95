//! Channels of quell.yml.

use std::collections::BTreeSet;
use std::path::Path;

use super::config::check_url;
use super::config::endpoint;
use super::config::mail_address;
use super::secret::Secrets;
use super::text;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::DurationText;
use crate::library::raw::config::RawChannel;
use crate::library::raw::config::RawEmail;
use crate::library::raw::config::RawEndpoint;
use crate::library::raw::config::RawPagerDuty;
use crate::library::raw::config::RawSlack;
use crate::library::suggest::did_you_mean;
use crate::library::suggest::short;
use crate::model::config::Channel;
use crate::model::config::Fallback;
use crate::model::config::Secret;

const PAGERDUTY: &str = "https://events.pagerduty.com";

/// Characters of an integration key of the Events API v2 (`protocols.md`).
const ROUTING_KEY: usize = 32;

/// What every kind of channel may say of itself.
pub(crate) struct Common {
    /// Whether it wakes people.
    pub(crate) pages: Option<bool>,
    /// The channel that is told instead.
    pub(crate) fallback: Option<Found<String>>,
    /// When it is told of a page that is late.
    pub(crate) after: Option<Found<DurationText>>,
}

/// Takes what every kind of channel may say out of one kind.
macro_rules! common {
    ($raw:expr) => {
        Common {
            pages: $raw.pages.take().and_then(Field::found).map(|it| it.value),
            fallback: $raw.fallback.take().and_then(Field::found),
            after: $raw.fallback_after.take().and_then(Field::found),
        }
    };
}

/// One channel, and what it says of itself; `None` when it cannot be read.
pub(crate) fn channel(
    secrets: &Secrets<'_>,
    folder: &Path,
    found: Found<RawChannel>,
) -> Option<(Channel, Common)> {
    Some(match found.value {
        RawChannel::PagerDuty(it) => {
            let mut it = it.found()?;
            let common = common!(it.value);
            (pagerduty(secrets, it)?, common)
        }
        RawChannel::Email(it) => {
            let mut it = it.found()?;
            let common = common!(it.value);
            (email(secrets, folder, it)?, common)
        }
        RawChannel::Slack(it) => {
            let mut it = it.found()?;
            let common = common!(it.value);
            (slack(secrets, it)?, common)
        }
        RawChannel::Webhook(it) => {
            let mut it = it.found()?;
            let common = common!(it.value);
            let endpoint =
                endpoint(secrets, it.map(|raw| RawEndpoint { url: raw.url, headers: raw.headers }));
            let url = Secret::new(endpoint.url);
            (Channel::Webhook { url, headers: endpoint.headers }, common)
        }
    })
}

/// `fallback` and `fallback_after` of the channel `name`, once all channels are known.
pub(crate) fn fallback(
    at: At<'_>,
    name: &str,
    common: Common,
    known: &BTreeSet<String>,
) -> Fallback {
    if let Some(to) = &common.fallback {
        if to.value == name {
            let message = format!("channel `{name}` cannot stand in for itself");
            at.report(to.span, Diagnostic::error(codes::VALUE, message).label("name another one"));
        } else {
            check_channel(at, to, known);
        }
    }
    let after = common.after.and_then(|it| text::duration(at, &it));
    let after = after.unwrap_or_else(|| Fallback::default().after);
    Fallback { to: common.fallback.map(|it| it.value), after }
}

/// Reports a channel that does not exist.
pub(crate) fn check_channel(at: At<'_>, name: &Found<String>, known: &BTreeSet<String>) {
    if known.contains(&name.value) {
        return;
    }
    let message = format!("unknown channel `{}`", short(&name.value));
    let label = did_you_mean(&name.value, known.iter().map(String::as_str));
    let mut found = Diagnostic::error(codes::UNKNOWN_CHANNEL, message).label(label);
    if !known.is_empty() {
        let list: Vec<&str> = known.iter().map(String::as_str).collect();
        found = found.note(format!("`channels` has: {}", list.join(", ")));
    }
    at.report(name.span, found);
}

fn pagerduty(secrets: &Secrets<'_>, found: Found<RawPagerDuty>) -> Option<Channel> {
    let at = secrets.at;
    let key = found.value.routing_key.need(at, found.span, "`pagerduty`", "routing_key");
    let key = key.and_then(|key| secrets.reveal("routing_key", key));
    if let Some(key) = &key
        && (key.value.len() != ROUTING_KEY || !key.value.chars().all(|c| c.is_ascii_alphanumeric()))
    {
        let message = format!("expected an integration key of {ROUTING_KEY} letters and digits");
        let label = format!("this one has {} characters", key.value.chars().count());
        at.report(key.span, Diagnostic::error(codes::VALUE, message).label(label));
    }
    let url = found.value.url.and_then(Field::found).and_then(|url| secrets.reveal("url", url));
    if let Some(url) = &url {
        check_url(at, url, &["http", "https"]);
    }
    let url = url.map_or_else(|| PAGERDUTY.to_owned(), |url| url.value);
    let url = url.trim_end_matches('/').to_owned();
    Some(Channel::PagerDuty { routing_key: Secret::new(key?.value), url })
}

fn email(secrets: &Secrets<'_>, folder: &Path, found: Found<RawEmail>) -> Option<Channel> {
    let at = secrets.at;
    let RawEmail { smtp, from, to, ca_file, .. } = found.value;
    let smtp = smtp.need(at, found.span, "`email`", "smtp");
    let smtp = smtp.and_then(|smtp| secrets.reveal("smtp", smtp));
    if let Some(smtp) = &smtp {
        check_url(at, smtp, &["smtps", "smtp", "smtp+plain"]);
    }
    let from = from.need(at, found.span, "`email`", "from").map(|it| mail_address(at, it));
    let to = to.need(at, found.span, "`email`", "to");
    if let Some(empty) = to.as_ref().filter(|to| to.value.is_empty()) {
        let message = "expected recipients, got an empty list";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let to = to.map(|to| to.value).unwrap_or_default();
    let to = to.into_iter().filter_map(Field::found).map(|it| mail_address(at, it)).collect();
    let ca_file = ca_file.and_then(Field::found).map(|it| folder.join(it.value));
    Some(Channel::Email { smtp: Secret::new(smtp?.value), from: from?, to, ca_file })
}

fn slack(secrets: &Secrets<'_>, found: Found<RawSlack>) -> Option<Channel> {
    let url = found.value.webhook_url.need(secrets.at, found.span, "`slack`", "webhook_url");
    let url = url.and_then(|url| secrets.reveal("webhook_url", url))?;
    check_url(secrets.at, &url, &["http", "https"]);
    Some(Channel::Slack { webhook_url: Secret::new(url.value) })
}
