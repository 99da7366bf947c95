//! What quell holds against what Alertmanager and Prometheus say: episodes that it missed are opened, those that ended
//! unseen are closed (`protocols.md §1`, Lost).
//!
//! An alert is *missed* when Alertmanager would send it to quell, and has known it for longer than a webhook takes. An episode
//! has *ended unseen* when Alertmanager, up for long enough to know all alerts, has not listed it in any state at two looks, and
//! Prometheus does not fire it. Whatever is unknown opens nothing and closes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::decide::approval::OPERATOR;
use crate::decide::own;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::BY_HAND;
use crate::model::alert::LOCAL;
use crate::model::config::Config;
use crate::model::config::Reconcile;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::labels::Labels;
use crate::model::listed::Evidence;
use crate::model::listed::Listing;
use crate::model::listed::Outside;
use crate::model::rule::is_schedule;
use crate::model::time::after;
use crate::model::time::since;

/// Begins the source of the alerts of checks.
const CHECK: &str = "check:";

/// A receiver by which a source delivered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivered {
    /// The source.
    pub source: String,
    /// The receiver.
    pub receiver: String,
}

/// What the Alertmanager of quell.yml sends to quell, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Its receivers that post to quell; empty: not known yet.
    pub receivers: BTreeSet<String>,
    /// The sources that it posts as; empty: not known.
    pub sources: BTreeSet<String>,
    /// The source of what it should have posted.
    pub source: String,
}

/// What quell knows of one fingerprint.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its latest episode.
    pub episode: Episode,
    /// Since when Alertmanager has not listed it, as far as it was asked.
    pub missing_since: Option<Timestamp>,
    /// It was posted by a person or another program: Alertmanager need not know it.
    pub by_hand: bool,
}

/// An alert for intake, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The alert.
    pub alert: Alert,
    /// As whose.
    pub source: String,
    /// How it was found.
    pub evidence: Evidence,
}

/// What a look came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Alerts that were missed.
    pub opens: Vec<Found>,
    /// Ends that were missed.
    pub closes: Vec<Found>,
    /// Open episodes that Alertmanager does not list now, and since when: all of them, in place of those before.
    pub missing: Vec<(EpisodeId, Timestamp)>,
    /// Alerts that Prometheus fires and Alertmanager does not know.
    pub unlisted: usize,
    /// Why nothing is opened, or nothing closed.
    pub blind: Vec<String>,
}

/// Whether alerts of this source come from outside, and not from quell itself or an operator.
pub fn is_outside(source: &str) -> bool {
    let inside = own::is_own(source) || source.starts_with(CHECK) || is_schedule(source);
    !inside && !source.starts_with(OPERATOR)
}

/// Whether Alertmanager need not know the alerts of a delivery, though its source is outside: it always names a receiver.
pub fn is_by_hand(source: &str, receiver: &str) -> bool {
    is_outside(source) && (receiver.is_empty() || receiver == BY_HAND)
}

/// Which receivers and sources are Alertmanager's: as quell.yml says, else as webhooks did.
pub fn reach(config: &Config, delivered: &[Delivered]) -> Reach {
    let tokens = &config.ingest.tokens;
    let all: Vec<&str> = if tokens.is_empty() {
        vec![LOCAL]
    } else {
        tokens.iter().map(|it| it.name.as_str()).collect()
    };
    let Reconcile { receiver, sources, .. } = &config.reconcile;
    // with several, another of them may be another Alertmanager, and its episodes are not to be closed by this one
    let sources: BTreeSet<String> = match (sources.is_empty(), all.as_slice()) {
        (true, [only]) => BTreeSet::from([(*only).to_owned()]),
        _ => sources.iter().cloned().collect(),
    };
    let by = |it: &&Delivered| {
        let theirs = sources.is_empty() && all.contains(&it.source.as_str());
        it.receiver != BY_HAND && (theirs || sources.contains(&it.source))
    };
    let mine: Vec<&Delivered> = delivered.iter().filter(by).collect();
    let receivers: BTreeSet<String> = match receiver {
        Some(receiver) => BTreeSet::from([receiver.clone()]),
        None => mine.iter().map(|it| it.receiver.clone()).collect(),
    };
    let source = mine.iter().find(|it| receivers.contains(&it.receiver)).map(|it| &it.source);
    let source = source
        .or_else(|| sources.first())
        .map_or_else(|| all.first().copied().unwrap_or(LOCAL).to_owned(), ToOwned::to_owned);
    Reach { receivers, sources, source }
}

/// Fingerprints of the alerts that may have been missed: the latest episode of each decides.
pub fn candidates<'a>(reach: &Reach, listing: &'a Listing) -> Vec<(String, &'a Alert)> {
    let sent = listing
        .alerts
        .iter()
        .filter(|it| it.receivers.iter().any(|to| reach.receivers.contains(to)));
    sent.map(|it| (it.alert.labels.fingerprint(), &it.alert)).collect()
}

/// Holds what is known (every open episode, and the latest of each candidate) against what was seen `now`.
pub fn look(
    settings: &Reconcile,
    reach: &Reach,
    known: &BTreeMap<String, Known>,
    outside: &Outside,
    now: Timestamp,
) -> Look {
    let mut look = Look::default();
    let listing = match &outside.listing {
        Ok(listing) => listing,
        Err(why) => {
            look.blind.push(why.clone());
            return look;
        }
    };
    look.unlisted = unlisted(listing, outside);
    if let Some(why) = unsettled(settings, listing) {
        look.blind.push(why);
        return look;
    }
    match (&listing.unrouted, reach.receivers.is_empty()) {
        (Some(why), _) => look.blind.push(format!("opens nothing: {why}")),
        (None, true) => look.blind.push(
            "opens nothing: which receiver of Alertmanager posts to quell is not known; its first webhook says, or \
             `alertmanager.receiver` in quell.yml"
                .into(),
        ),
        (None, false) => look.opens = opens(settings, reach, known, outside, listing, now),
    }
    if reach.sources.is_empty() {
        look.blind.push(
            "closes nothing: several tokens may post alerts, and `alertmanager.sources` in quell.yml does not say which of \
             them are this Alertmanager's"
                .into(),
        );
        return look;
    }
    close(&mut look, settings, reach, known, outside, listing, now);
    look
}

/// Why an Alertmanager may not know all alerts yet.
fn unsettled(settings: &Reconcile, listing: &Listing) -> Option<String> {
    let up = since(listing.now, listing.up_since);
    if up < settings.settled_after {
        return Some(format!(
            "Alertmanager started at {} and may not know all alerts yet",
            shown(listing.up_since)
        ));
    }
    listing.unsettled.clone()
}

fn opens(
    settings: &Reconcile,
    reach: &Reach,
    known: &BTreeMap<String, Known>,
    outside: &Outside,
    listing: &Listing,
    now: Timestamp,
) -> Vec<Found> {
    let mut opens = Vec::new();
    for (fingerprint, alert) in candidates(reach, listing) {
        let latest = known.get(&fingerprint).map(|it| &it.episode);
        if latest.is_some_and(|it| it.open) {
            continue;
        }
        let starts_at = alert.starts_at.unwrap_or(now);
        // what ended just now may be a webhook that overtook this list
        let quiet_since =
            latest.and_then(|it| it.ended_at).map_or(starts_at, |at| at.max(starts_at));
        if after(quiet_since, settings.missed_after) > now {
            continue;
        }
        let receivers: Vec<&str> = reach.receivers.iter().map(String::as_str).collect();
        let prometheus = match fires(outside.firing.as_ref(), &alert.labels) {
            None => String::new(),
            Some(Ok(true)) => "; Prometheus fires it too".to_owned(),
            Some(Ok(false)) => "; Prometheus does not list it in ALERTS".to_owned(),
            Some(Err(why)) => format!("; whether Prometheus fires it is unknown: {why}"),
        };
        let words = format!(
            "found by reconciliation: Alertmanager lists it as active for the receiver {} since {}, and no webhook told \
             of it{prometheus}",
            receivers.join(" or "),
            shown(starts_at),
        );
        let latest = latest.map(|it| (it.id, it.open));
        opens.push(Found {
            alert: alert.clone(),
            source: reach.source.clone(),
            evidence: Evidence { words, latest, asked_at: now },
        });
    }
    opens
}

fn close(
    look: &mut Look,
    settings: &Reconcile,
    reach: &Reach,
    known: &BTreeMap<String, Known>,
    outside: &Outside,
    listing: &Listing,
    now: Timestamp,
) {
    let listed: BTreeSet<String> =
        listing.alerts.iter().map(|it| it.alert.labels.fingerprint()).collect();
    for (fingerprint, it) in known {
        let episode = &it.episode;
        let theirs = reach.sources.contains(&episode.source) && !it.by_hand;
        // what was heard of since is on its way into the list
        let fresh = after(episode.seen_at, settings.missed_after) > now;
        if !episode.open || !theirs || fresh || listed.contains(fingerprint) {
            continue;
        }
        let prometheus = match fires(outside.firing.as_ref(), &episode.labels) {
            None => "",
            Some(Ok(false)) => ", and Prometheus does not fire it",
            Some(Ok(true)) => continue,
            Some(Err(why)) => {
                let why = format!("closes nothing: whether Prometheus fires it is unknown: {why}");
                if !look.blind.contains(&why) {
                    look.blind.push(why);
                }
                continue;
            }
        };
        let missing_since = it.missing_since.unwrap_or(now);
        look.missing.push((episode.id, missing_since));
        if it.missing_since.is_none() || after(missing_since, settings.every / 2) > now {
            continue;
        }
        let words = format!(
            "found over by reconciliation: no webhook told of its end, but Alertmanager, up since {}, does not list it since \
             {}{prometheus}",
            shown(listing.up_since),
            shown(missing_since),
        );
        let alert = Alert {
            status: AlertStatus::Resolved,
            labels: episode.labels.clone(),
            annotations: episode.annotations.clone(),
            starts_at: Some(episode.starts_at),
            ends_at: Some(missing_since),
            generator_url: episode.generator_url.clone(),
        };
        let evidence = Evidence { words, latest: Some((episode.id, true)), asked_at: now };
        look.closes.push(Found { alert, source: episode.source.clone(), evidence });
    }
    look.missing
        .retain(|(id, _)| !look.closes.iter().any(|it| it.evidence.latest == Some((*id, true))));
}

/// Whether Prometheus fires an alert; `None` without a Prometheus.
fn fires(
    firing: Option<&Result<Vec<Labels>, String>>,
    alert: &Labels,
) -> Option<Result<bool, String>> {
    Some(match firing? {
        Ok(series) => Ok(series.iter().any(|it| may_be(it, alert))),
        Err(why) => Err(why.clone()),
    })
}

/// Whether a series of `ALERTS` may be of this alert. On the way to Alertmanager labels are added (`external_labels`) and
/// taken away or changed (`alert_relabel_configs`), so only a label that both have tells them apart.
fn may_be(series: &Labels, alert: &Labels) -> bool {
    let of_series = |name: &str| name == "__name__" || name == "alertstate";
    series.get("alertname") == alert.get("alertname")
        && series
            .iter()
            .all(|(name, value)| of_series(name) || !alert.has(name) || alert.get(name) == value)
}

/// Alerts that Prometheus fires, and Alertmanager does not know in any state: it sends them nowhere, or elsewhere.
fn unlisted(listing: &Listing, outside: &Outside) -> usize {
    let Some(Ok(firing)) = &outside.firing else { return 0 };
    let known = |series: &&Labels| listing.alerts.iter().any(|it| may_be(series, &it.alert.labels));
    firing.len() - firing.iter().filter(known).count()
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests;
