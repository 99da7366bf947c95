//! Channels that fail: when one does, and which is told instead (G18).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::decide::audience;
use crate::model::config::Config;
use crate::model::config::Fallback;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::time::show_duration;
use crate::model::time::since;

/// Deliveries that fail for this long make a channel one that fails; one that is given up does at once.
const FAILING_AFTER: Duration = Duration::from_mins(1);

/// A recipient of a channel that the last delivery did not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The channel.
    pub channel: String,
    /// The recipient; empty for channels without.
    pub recipient: String,
    /// Why the last try failed.
    pub reason: String,
    /// When the first try since the last delivery failed.
    pub since: Timestamp,
    /// A notification was given up since.
    pub gave_up: bool,
}

/// The channels that fail now, each with since when and why; of several recipients, the first that was not reached.
pub fn failing<'a>(
    config: &Config,
    troubles: &'a [Trouble],
    now: Timestamp,
) -> BTreeMap<&'a str, &'a Trouble> {
    let mut failing: BTreeMap<&str, &Trouble> = BTreeMap::new();
    for trouble in troubles {
        let fails = trouble.gave_up || since(now, trouble.since) >= FAILING_AFTER;
        let still_told = config
            .channels
            .get(&trouble.channel)
            .is_some_and(|channel| channel.recipients().contains(&trouble.recipient));
        if fails && still_told {
            let first = failing.entry(&trouble.channel).or_insert(trouble);
            if trouble.since < first.since {
                *first = trouble;
            }
        }
    }
    failing
}

/// Whether nobody can be told of anything: there are channels, and each of them fails.
pub fn is_silent(config: &Config, failing: &BTreeMap<&str, &Trouble>) -> bool {
    !config.channels.is_empty()
        && config.channels.keys().all(|name| failing.contains_key(name.as_str()))
}

/// Whether a notice has to reach somebody. An acknowledgement, a resolution or a report of progress needs no other channel.
pub fn must_arrive(kind: NoticeKind) -> bool {
    match kind {
        NoticeKind::Opened | NoticeKind::NeedsYou => true,
        NoticeKind::Progress | NoticeKind::Acknowledged | NoticeKind::Resolved => false,
    }
}

/// Why a notice goes to another channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why<'a> {
    /// It was given up.
    GivenUp(&'a str),
    /// It has not arrived for this long; tries go on.
    Late(Duration, &'a str),
}

/// What is owed to the next channel when `failed` does not deliver a notice; nothing when no channel is left, or the notice need
/// not arrive. `tried` are the channels that were ever owed this notice, `failing` those that fail now: they come last.
pub fn instead(
    config: &Config,
    failed: &str,
    tried: &[String],
    failing: &BTreeSet<String>,
    notice: &Notice,
    why: Why<'_>,
) -> Vec<Owed> {
    if !must_arrive(notice.kind) {
        return Vec::new();
    }
    let mut notice = notice.clone();
    notice.details.push(match why {
        Why::GivenUp(reason) => {
            format!("sent here because channel {failed} could not be reached: {reason}")
        }
        Why::Late(time, "") => {
            let time = show_duration(time);
            format!("sent here because channel {failed} has not delivered it for {time}")
        }
        Why::Late(time, reason) => {
            let time = show_duration(time);
            format!("sent here because channel {failed} has not delivered it for {time}: {reason}")
        }
    });
    let mut next = order(config, failed, &notice.severity);
    next.retain(|name| *name != failed && !tried.iter().any(|it| it == name));
    // stable: among those that work, the order of quell.yml
    next.sort_by_key(|name| failing.contains(*name));
    let owed = next
        .into_iter()
        .map(|name| audience::to_channels(config, &notice, std::slice::from_ref(&name.to_owned())));
    owed.into_iter().find(|owed| !owed.is_empty()).unwrap_or_default()
}

/// Every channel, in the order in which it stands in for `failed`: its `fallback`, `escalate_to` of the severity, its `notify`,
/// those that page, the others.
fn order<'a>(config: &'a Config, failed: &str, severity: &str) -> Vec<&'a str> {
    let severity = audience::severity(config, severity);
    let listed = severity.into_iter().flat_map(|it| it.escalate_to.iter().chain(&it.notify));
    let fallback = config.fallbacks.get(failed).and_then(|it| it.to.as_ref());
    let all = fallback
        .into_iter()
        .chain(listed)
        .chain(&config.paging)
        .chain(config.channels.keys())
        .filter(|name| config.channels.contains_key(*name));
    let mut seen = BTreeSet::new();
    all.map(String::as_str).filter(|name| seen.insert(*name)).collect()
}

/// How long a notice that pages may be under way on this channel before another is told too.
pub fn late_after(config: &Config, channel: &str) -> Duration {
    config.fallbacks.get(channel).map_or_else(|| Fallback::default().after, |it| it.after)
}

#[cfg(test)]
mod tests;
