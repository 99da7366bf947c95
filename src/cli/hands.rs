//! What people do at incidents on the command line: take over, give back, break the glass.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::people::by;
use crate::cli::people::operator;
use crate::cli::store_error;
use crate::decide::audience;
use crate::decide::glass;
use crate::decide::glass::Asked;
use crate::decide::glass::Refused;
use crate::decide::tell;
use crate::error::Error;
use crate::library::Library;
use crate::model::glass::Broken;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::time::parse_duration;
use crate::model::time::show_duration;
use crate::model::time::since;

/// Most of them that the list shows.
const LISTED: u32 = 20;

#[derive(Debug, Args)]
pub(super) struct Take {
    /// The incident: i-12.
    incident: IncidentId,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct GiveBack {
    /// The incident: i-12.
    incident: IncidentId,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").args(["rule", "target", "incident", "revoke"])))]
pub(super) struct BreakGlass {
    /// For this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// For this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// For this incident.
    #[arg(long, value_name = "i-12")]
    incident: Option<IncidentId>,
    /// End this one now; `quell break-glass` lists them.
    #[arg(long, value_name = "NUMBER")]
    revoke: Option<i64>,
    /// Why: everybody is told.
    #[arg(long, default_value = "")]
    reason: String,
    /// For how long, at most 1h.
    #[arg(long = "for", value_parser = parse_duration, default_value = "30m", value_name = "TIME")]
    lasts: Duration,
    /// Who: the name of an operator of tier 4 in quell.yml.
    #[arg(long)]
    by: Option<String>,
}

impl BreakGlass {
    fn scope(&self) -> Option<String> {
        let rule = self.rule.as_ref().map(|name| format!("rule:{name}"));
        let target = self.target.as_ref().map(|name| format!("target:{name}"));
        rule.or(target).or(self.incident.map(|id| format!("incident:{id}")))
    }
}

pub(super) async fn take(at: &Place, options: &Take) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let by = by(options.by.as_ref());
    let told = store.channels_told(options.incident).await.map_err(store_error)?;
    let now = store.clock().now();
    let (incident, done) = store
        .take_incident(options.incident, &by, None, |incident| {
            audience::to_channels(&library.config, &tell::taken(incident, &by, now), &told)
        })
        .await
        .map_err(store_error)?;
    if at.json {
        output::json(&incident);
        return Ok(());
    }
    let id = incident.id;
    output::line(&match incident.status {
        _ if done => format!(
            "{id}: taken over by {by}; nothing begins for it until `quell give-back {id}`; {}",
            incident.title
        ),
        IncidentStatus::Resolved => format!("{id}: resolved; nothing to take over"),
        IncidentStatus::Open | IncidentStatus::Acknowledged => {
            format!("{id}: already taken over by {}", incident.taken_by)
        }
    });
    Ok(())
}

pub(super) async fn give_back(at: &Place, options: &GiveBack) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let by = by(options.by.as_ref());
    let told = store.channels_told(options.incident).await.map_err(store_error)?;
    let now = store.clock().now();
    let (incident, done) = store
        .give_back_incident(options.incident, |incident| {
            audience::to_channels(&library.config, &tell::given_back(incident, &by, now), &told)
        })
        .await
        .map_err(store_error)?;
    let id = incident.id;
    if !done {
        return Err(Error::problems("Q0408", format!("nobody has taken {id} over")));
    }
    if at.json {
        output::json(&incident);
    } else {
        output::line(&format!("{id}: given back by {by}; quell judges it again"));
    }
    Ok(())
}

pub(super) async fn break_glass(at: &Place, options: &BreakGlass) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let now = store.clock().now();
    if let Some(id) = options.revoke {
        let by = by(options.by.as_ref());
        let ended = store.revoke_glass(id, &by).await.map_err(store_error)?;
        output::line(&format!("{id}: break-glass for {} is over", ended.scope));
        return Ok(());
    }
    let Some(scope) = options.scope() else {
        let all = store.glass(LISTED).await.map_err(store_error)?;
        if at.json {
            let items = all.iter().map(|it| json!({ "glass": it, "in_force": it.holds(now) }));
            output::json(&items.collect::<Vec<_>>());
        } else if all.is_empty() {
            output::line("nobody has broken the glass");
        }
        for it in all.iter().filter(|_| !at.json) {
            output::line(&line(it, now));
        }
        return Ok(());
    };
    let name = options.by.as_deref().ok_or_else(|| {
        Error::problems("Q0410", "breaking the glass needs --by, the name of an operator")
    })?;
    let speaker = operator(&library, name)?;
    known(&library, &scope)?;
    let by = (speaker.name, speaker.tier);
    let asked = Asked { scope: &scope, by, reason: &options.reason, lasts: options.lasts };
    let new = glass::ask(&library.config, asked, now).map_err(|refused| match refused {
        Refused::Forbidden(words) => Error::problems("Q0410", words),
        Refused::Invalid(words) => Error::problems("Q0415", words),
    })?;
    let make = |it: &Broken| (glass::incident(it), glass::told(&library.config, it));
    let broken = store.break_glass(&new, make).await.map_err(store_error)?;
    if at.json {
        output::json(&broken);
    } else {
        output::line(&line(&broken, now));
        output::line(&format!("told to {}", glass::channels(&library.config).join(", ")));
    }
    Ok(())
}

/// What is lifted for a rule that does not exist would look like help and be none.
fn known(library: &Library, scope: &str) -> Result<(), Error> {
    let Some(name) = scope.strip_prefix("rule:") else { return Ok(()) };
    if library.all_rules().any(|rule| rule.name == name) {
        return Ok(());
    }
    Err(Error::problems("Q0415", format!("there is no rule `{name}`"))
        .hint("`quell check` lists the rules of each file"))
}

fn line(it: &Broken, now: jiff::Timestamp) -> String {
    let Broken { id, scope, by, reason, until, .. } = it;
    let stands = match (it.ended_at, it.ended_by.as_str()) {
        (Some(at), by) => format!("ended by {by} at {at:.0}"),
        (None, _) if it.holds(now) => {
            format!("in force until {until:.0}, {} left", show_duration(since(*until, now)))
        }
        (None, _) => format!("over since {until:.0}"),
    };
    format!("{id}: break-glass for {scope} by {by}: {reason}; {stands}")
}
