//! Episodes, incidents, and what people are told of them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::labels::Labels;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                text.strip_prefix(concat!($prefix, "-"))
                    .unwrap_or(text)
                    .parse()
                    .ok()
                    .filter(|id| *id > 0)
                    .map(Self)
                    .ok_or_else(|| format!(concat!("`{}` is not an id like ", $prefix, "-12"), text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(/** Of an episode: `e-12`. */ EpisodeId, "e");
id!(/** Of an incident: `i-12`. */ IncidentId, "i");
id!(/** Of a run: `r-12`. */ RunId, "r");

/// One firing period of one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its id.
    pub id: EpisodeId,
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: String,
    /// Who sent it last.
    pub source: String,
    /// The alert's labels.
    pub labels: Labels,
    /// The annotations it had last.
    pub annotations: Labels,
    /// Whether it still fires, as far as was said.
    pub open: bool,
    /// When the source says that it began; a hint.
    pub starts_at: Timestamp,
    /// When quell first saw it.
    pub opened_at: Timestamp,
    /// When a firing was last received, to the minute.
    pub seen_at: Timestamp,
    /// When the source says that it ended.
    pub ended_at: Option<Timestamp>,
    /// How often it fired again with the same start after a resolution.
    pub reopened: u32,
    /// Alerts that the last delivery cut off: evidence missing when above zero.
    pub truncated: u64,
    /// Link to the graph.
    pub generator_url: String,
}

impl Episode {
    /// An open episode that is not stored, which began at `now`: for what is only looked at.
    pub fn unstored(source: &str, labels: Labels, annotations: Labels, now: Timestamp) -> Self {
        Self {
            id: EpisodeId(0),
            fingerprint: labels.fingerprint(),
            source: source.to_owned(),
            labels,
            annotations,
            open: true,
            starts_at: now,
            opened_at: now,
            seen_at: now,
            ended_at: None,
            reopened: 0,
            truncated: 0,
            generator_url: String::new(),
        }
    }
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// Somebody should look, or a remedy is at work.
    Open,
    /// A person said: mine.
    Acknowledged,
    /// All its episodes are closed.
    Resolved,
}

impl IncidentStatus {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// The episodes of one rule and one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// The rule; empty when no rule matched and `unmatched:` names channels.
    pub rule: String,
    /// What groups its episodes.
    pub group_key: String,
    /// `api: HighErrorRate, critical`.
    pub title: String,
    /// Value of the label `severity`.
    pub severity: String,
    /// Labels of the alert that began it.
    pub labels: Labels,
    /// Where it stands.
    pub status: IncidentStatus,
    /// Whether the automation has given it to people.
    pub escalated: bool,
    /// When its first episode opened.
    pub opened_at: Timestamp,
    /// When the last one closed.
    pub resolved_at: Option<Timestamp>,
    /// Who acknowledged it, and how.
    pub acked_by: String,
    /// When.
    pub acked_at: Option<Timestamp>,
    /// Who has taken it over, so that automation stays away; empty when nobody has, or it was given back.
    pub taken_by: String,
    /// When.
    pub taken_at: Option<Timestamp>,
    /// When it was given back last: an acknowledgement before it holds automation back no longer.
    pub given_back_at: Option<Timestamp>,
    /// Channels that page are told nothing before this; `None`: they are told, or were. Once it has passed, it was
    /// verified fixed in time, and they are told only when that does not last.
    pub held_until: Option<Timestamp>,
}

impl Incident {
    /// An open incident that is not stored, which began at `opened_at`; nobody has it, and it says nothing yet.
    pub fn unstored(opened_at: Timestamp) -> Self {
        Self {
            id: IncidentId(0),
            rule: String::new(),
            group_key: String::new(),
            title: String::new(),
            severity: String::new(),
            labels: Labels::default(),
            status: IncidentStatus::Open,
            escalated: false,
            opened_at,
            resolved_at: None,
            acked_by: String::new(),
            acked_at: None,
            taken_by: String::new(),
            taken_at: None,
            given_back_at: None,
            held_until: None,
        }
    }
}

/// What a notification says happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An incident began.
    Opened,
    /// Something was tried, or could not be.
    Progress,
    /// A person is needed.
    NeedsYou,
    /// A person has it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What people are told: the same facts in the same words on every channel. Stored in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub kind: NoticeKind,
    /// The incident.
    pub incident: IncidentId,
    /// `api: HighErrorRate, critical`.
    pub title: String,
    /// Value of the label `severity`.
    pub severity: String,
    /// One sentence: what happened and what to do next.
    pub headline: String,
    /// Sentences, most important first; may hold text from alerts, so channels escape them.
    pub details: Vec<String>,
    /// What was tried, one line each.
    pub tried: Vec<String>,
    /// The run that waits for approval, which messages link to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposes: Option<RunId>,
    /// Labels of the alert that began it.
    pub labels: Labels,
    /// When the incident began.
    pub opened_at: Timestamp,
    /// When this happened.
    pub at: Timestamp,
}

/// One notice to one recipient of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Name of the channel.
    pub channel: String,
    /// Recipient, for channels that have them; else empty.
    pub recipient: String,
    /// What to say.
    pub notice: Notice,
}
