//! Who is told what: from a notice and the severities of quell.yml to rows of the outbox.

use std::cmp::Ordering;
use std::time::Duration;

use crate::decide::own;
use crate::model::config::Channel;
use crate::model::config::Config;
use crate::model::config::Operator;
use crate::model::config::Severity;
use crate::model::incident::Notice;
use crate::model::incident::Owed;

/// Severity used when a label value has no entry of its own.
const FALLBACK: &str = "critical";

/// The settings for a severity. An unknown value is treated as critical: louder is safer than silent.
pub fn severity<'a>(config: &'a Config, value: &str) -> Option<&'a Severity> {
    let severities = &config.severities;
    severities.get(value).or_else(|| severities.get(FALLBACK))
}

/// Whether somebody must answer sooner for this severity than for that one; where both give the same time, or none, `critical` is
/// louder than what is not.
pub fn is_louder(config: &Config, severity: &str, than: &str) -> bool {
    let settings = |value| self::severity(config, value);
    let within = |value| settings(value).and_then(|it| it.ack_within).unwrap_or(Duration::MAX);
    let is_critical = |value: &str| value == FALLBACK || !config.severities.contains_key(value);
    match within(severity).cmp(&within(than)) {
        Ordering::Less => true,
        Ordering::Equal => is_critical(severity) && !is_critical(than),
        Ordering::Greater => false,
    }
}

/// Rows for the channels of the notice's severity; of those for incidents without a rule, the `unmatched:` ones. What happens to
/// quell itself always reaches somebody.
pub fn owed(config: &Config, notice: &Notice, no_rule: bool) -> Vec<Owed> {
    if no_rule && own::is_name(notice.labels.get("alertname")) {
        return owed_own(config, notice);
    }
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

/// Rows for the channels told of what happens to quell itself, when no rule takes it: those of its severity, if quell.yml has
/// it, and of `unmatched:`. With neither, whoever there is: those that page, for what is critical, and else those that do not.
fn owed_own(config: &Config, notice: &Notice) -> Vec<Owed> {
    let listed = config.severities.get(&notice.severity).map(|it| it.notify.as_slice());
    let listed = listed.unwrap_or_default().iter().chain(&config.unmatched);
    let mut listed: Vec<String> = listed.cloned().collect();
    let critical = notice.severity == FALLBACK;
    // what stops automation wakes somebody, whoever else is told
    if critical && !listed.iter().any(|name| config.paging.contains(name)) {
        listed.extend(config.paging.iter().cloned());
    }
    let owed = to_channels(config, notice, &listed);
    if !owed.is_empty() {
        return owed;
    }
    let (fit, rest): (Vec<String>, Vec<String>) =
        config.channels.keys().cloned().partition(|it| config.paging.contains(it) == critical);
    let owed = to_channels(config, notice, &fit);
    if owed.is_empty() { to_channels(config, notice, &rest) } else { owed }
}

/// Rows for these channels, those that want such a notice. A channel that reaches nobody is not told so.
pub fn to_channels(config: &Config, notice: &Notice, channels: &[String]) -> Vec<Owed> {
    let mut owed: Vec<Owed> = Vec::new();
    let failing = own::failing_channel(&notice.labels);
    for name in channels {
        let Some(channel) = config.channels.get(name) else { continue };
        let known = owed.iter().any(|it| &it.channel == name);
        if !channel.wants(notice.kind) || known || failing == Some(name) {
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
