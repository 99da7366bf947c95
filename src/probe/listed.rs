//! Everything that Alertmanager lists, and everything that Prometheus fires: whole, or why nobody knows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::alertmanager::accepted;
use super::promql;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::config::Endpoint;
use crate::model::labels::Labels;
use crate::model::listed::ListedAlert;
use crate::model::listed::Listing;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Limit;

/// Longest time for one answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Largest answer: 2,000 alerts are about 1.4 MB.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// Most series of `ALERTS`; more than that is a warning, and unknown.
const MAX_FIRING: &str = "100000";
/// Keys of a route that mute it at times.
const MUTING: [&str; 2] = ["mute_time_intervals", "active_time_intervals"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    uptime: Timestamp,
    #[serde(default)]
    cluster: Cluster,
    #[serde(default)]
    config: Original,
    #[serde(default)]
    version_info: Version,
}

#[derive(Deserialize, Default)]
struct Cluster {
    #[serde(default)]
    status: String,
}

#[derive(Deserialize, Default)]
struct Original {
    #[serde(default)]
    original: String,
}

#[derive(Deserialize, Default)]
struct Version {
    #[serde(default)]
    version: String,
}

/// A `gettableAlert`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gettable {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    status: State,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "silencedBy")]
    silences: Vec<String>,
    #[serde(rename = "inhibitedBy")]
    inhibiting: Vec<String>,
    /// Since 0.28.
    #[serde(rename = "mutedBy")]
    muting: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Group {
    receiver: Receiver,
    alerts: Vec<Gettable>,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

/// Asks Alertmanager for all that it knows. Takes at most a minute and a half.
pub async fn listing(alertmanager: &Endpoint) -> Result<Listing, String> {
    let (status, answer): (Status, _) = ask(alertmanager, "/api/v2/status").await?;
    let now = rfc2822::parse(answer.header("date"))
        .map_err(|_| "Alertmanager answered without a date")?
        .timestamp();
    // what it would send first: an alert that comes meanwhile is listed, and sent nowhere yet
    let sent = "/api/v2/alerts/groups?active=true&silenced=false&inhibited=false&muted=false";
    let (groups, _): (Vec<Group>, _) = ask(alertmanager, sent).await?;
    let all = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true";
    let (alerts, _): (Vec<Gettable>, _) = ask(alertmanager, all).await?;
    Ok(joined(&status, now, &groups, alerts))
}

/// Labels of everything that Prometheus fires.
pub async fn firing(prometheus: &Endpoint) -> Result<Vec<Labels>, String> {
    let query = "ALERTS{alertstate=\"firing\"}";
    let points = promql::ask_up_to(query, Some(prometheus), MAX_FIRING, MAX_ANSWER_BYTES).await;
    Ok(points.map_err(|blind| blind.reason)?.into_iter().map(|it| it.labels).collect())
}

async fn ask<T: DeserializeOwned>(
    alertmanager: &Endpoint,
    path: &str,
) -> Result<(T, Answer), String> {
    let url = format!("{}{path}", alertmanager.url);
    let mut call = Call::get(&url, ANSWERS_WITHIN).header("Accept", "application/json");
    call.limit = Limit::Refuse(MAX_ANSWER_BYTES);
    for (name, value) in &alertmanager.headers {
        call = call.header(name, value.reveal());
    }
    let answer = net::send(call)
        .await
        .map_err(|failure| format!("no answer from Alertmanager: {failure}"))?;
    accepted(&answer)?;
    let read = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("Alertmanager answered {}, not its API", answer.describe()))?;
    Ok((read, answer))
}

fn joined(status: &Status, now: Timestamp, groups: &[Group], alerts: Vec<Gettable>) -> Listing {
    let unsettled = (status.cluster.status == "settling")
        .then(|| "the cluster of Alertmanager has not settled yet".to_owned());
    let mut sent: BTreeMap<Labels, BTreeSet<&str>> = BTreeMap::new();
    let mut says_muted = true;
    for group in groups {
        for alert in &group.alerts {
            let State { silences, inhibiting, muting } = &alert.status;
            says_muted &= muting.is_some();
            let muted = muting.as_ref().is_some_and(|it| !it.is_empty());
            if silences.is_empty() && inhibiting.is_empty() && !muted {
                let to = sent.entry(labels(&alert.labels)).or_default();
                to.insert(group.receiver.name.as_str());
            }
        }
    }
    // it is in the text of the settings, which is all that older ones tell of it
    let mutes = MUTING.iter().any(|key| status.config.original.contains(key));
    let unrouted = (mutes && !says_muted).then(|| {
        format!(
            "Alertmanager {} does not say what its time intervals mute; 0.28 and later do",
            status.version_info.version
        )
    });
    let alerts = alerts
        .into_iter()
        .map(|it| {
            let labels = labels(&it.labels);
            let receivers = sent.get(&labels).into_iter().flatten().map(|it| (*it).to_owned());
            ListedAlert { receivers: receivers.collect(), alert: alert(it, labels) }
        })
        .collect();
    Listing { up_since: status.uptime, now, unsettled, unrouted, alerts }
}

fn alert(it: Gettable, labels: Labels) -> Alert {
    let mut generator_url = it.generator_url;
    generator_url.retain(|char| !char.is_control());
    Alert {
        status: AlertStatus::Firing,
        labels,
        annotations: it.annotations.into_iter().collect(),
        // to the microsecond, which is what the store keeps
        starts_at: Timestamp::from_microsecond(it.starts_at.as_microsecond()).ok(),
        ends_at: None,
        generator_url,
    }
}

/// An empty label is none.
fn labels(listed: &BTreeMap<String, String>) -> Labels {
    listed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests;
