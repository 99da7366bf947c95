//! Who is told what: from a notice and the severities of quell.yml to rows of the outbox.

use crate::model::config::Channel;
use crate::model::config::Config;
use crate::model::config::Operator;
use crate::model::config::Severity;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;

/// Severity used when a label value has no entry of its own.
const FALLBACK: &str = "critical";

/// The settings for a severity. An unknown value is treated as critical: louder is safer than silent.
pub fn severity<'a>(config: &'a Config, value: &str) -> Option<&'a Severity> {
    let severities = &config.severities;
    severities.get(value).or_else(|| severities.get(FALLBACK))
}

/// Rows for the channels of the notice's severity; of those for incidents without a rule, the `unmatched:` ones.
pub fn owed(config: &Config, notice: &Notice, no_rule: bool) -> Vec<Owed> {
    let channels: Vec<String> = if no_rule {
        config.unmatched.clone()
    } else {
        severity(config, &notice.severity).map(|it| it.notify.clone()).unwrap_or_default()
    };
    to_channels(config, notice, &channels)
}

/// Rows for the channels told when nobody answers.
pub fn owed_escalation(config: &Config, notice: &Notice) -> Vec<Owed> {
    let channels = severity(config, &notice.severity).map(|it| it.escalate_to.clone());
    to_channels(config, notice, &channels.unwrap_or_default())
}

/// Rows for these channels, those that want such a notice.
pub fn to_channels(config: &Config, notice: &Notice, channels: &[String]) -> Vec<Owed> {
    let mut owed: Vec<Owed> = Vec::new();
    for name in channels {
        let Some(channel) = config.channels.get(name) else { continue };
        if !channel.wants(notice.kind) || owed.iter().any(|it| &it.channel == name) {
            continue;
        }
        owed.extend(channel.recipients().into_iter().map(|recipient| Owed {
            channel: name.clone(),
            recipient,
            notice: notice.clone(),
        }));
    }
    owed
}

/// Rows for the next channel after one that is dead: the first of the severity's list, then of all, that was not
/// told of the incident. An acknowledgement or a resolution needs no other channel.
pub fn instead(config: &Config, dead: &str, told: &[String], notice: &Notice) -> Vec<Owed> {
    if matches!(notice.kind, NoticeKind::Acknowledged | NoticeKind::Resolved | NoticeKind::Progress)
    {
        return Vec::new();
    }
    let listed = severity(config, &notice.severity)
        .map(|it| it.notify.iter().chain(&it.escalate_to).cloned().collect::<Vec<_>>())
        .unwrap_or_default();
    let next = listed
        .iter()
        .chain(config.channels.keys())
        .find(|name| name.as_str() != dead && !told.contains(name));
    let Some(next) = next else { return Vec::new() };
    let mut notice = notice.clone();
    notice.details.push(format!("sent here because channel {dead} could not be reached"));
    to_channels(config, &notice, std::slice::from_ref(next))
}

/// The operator who alone reads what is sent to this recipient of a channel: a mail goes to one address, and one operator
/// has it. Messages of other channels are read by whoever is in the room.
pub fn only<'a>(config: &'a Config, channel: &Channel, recipient: &str) -> Option<&'a Operator> {
    let Channel::Email { .. } = channel else { return None };
    let mut found = config.operators.iter().filter(|operator| {
        operator.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(recipient))
    });
    let one = found.next()?;
    found.next().is_none().then_some(one)
}
