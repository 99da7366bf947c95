//! What Alertmanager and Prometheus say fires now.

use jiff::Timestamp;

use crate::model::alert::Alert;
use crate::model::incident::EpisodeId;
use crate::model::labels::Labels;

/// One alert as Alertmanager lists it, in whatever state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAlert {
    /// As its webhook would say it: firing.
    pub alert: Alert,
    /// The receivers that it would send the alert to now: it is neither silenced nor inhibited nor muted for them.
    pub receivers: Vec<String>,
}

/// All that one Alertmanager knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// When it started.
    pub up_since: Timestamp,
    /// Now, by its clock.
    pub now: Timestamp,
    /// Why it may not know all yet; `None` when it does: its cluster has settled.
    pub unsettled: Option<String>,
    /// Why nobody knows what it would send; `None` when `receivers` is right.
    pub unrouted: Option<String>,
    /// Every alert that it knows, silenced and inhibited ones too.
    pub alerts: Vec<ListedAlert>,
}

/// What was seen outside; an error says why nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// What Alertmanager lists.
    pub listing: Result<Listing, String>,
    /// Labels of each series of `ALERTS{alertstate="firing"}`; `None` without a Prometheus.
    pub firing: Option<Result<Vec<Labels>, String>>,
}

/// How quell knows of the opening or the end of an episode that no webhook told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// For people.
    pub words: String,
    /// The latest episode of the fingerprint when it was judged, and whether it was open: another one since makes it void.
    pub latest: Option<(EpisodeId, bool)>,
    /// When the question was asked: what was heard of the alert since then makes it void.
    pub asked_at: Timestamp,
}
