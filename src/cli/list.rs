//! Lists and shows: incidents, runs, notifications, the audit. Read from the database, beside a running server.

use clap::Args;
use clap::ValueEnum;
use jiff::Timestamp;

use crate::cli::Place;
use crate::cli::missing;
use crate::cli::output;
use crate::cli::store_error;
use crate::decide::answer;
use crate::decide::machine;
use crate::decide::tell;
use crate::error::Error;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::incident::RunId;
use crate::model::run::Plan;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::store::Store;
use crate::store::runs::RunRow;

#[derive(Debug, Args)]
pub(super) struct Incidents {
    /// One incident: i-12.
    incident: Option<IncidentId>,
    /// Also resolved ones.
    #[arg(long, short)]
    all: bool,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct Runs {
    /// One run: r-12.
    run: Option<RunId>,
    /// Only those of this incident.
    #[arg(long)]
    incident: Option<IncidentId>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Sent,
    Dead,
}

#[derive(Debug, Args)]
pub(super) struct Notifications {
    /// Which.
    #[arg(long, default_value = "dead")]
    state: State,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(super) async fn incidents(at: &Place, options: &Incidents) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    if let Some(id) = options.incident {
        return incident(at, &store, id).await;
    }
    let incidents: Vec<Incident> = store
        .incidents(None, None, options.limit)
        .await
        .map_err(store_error)?
        .into_iter()
        .filter(|it| options.all || it.status != IncidentStatus::Resolved)
        .collect();
    if at.json {
        output::json(&incidents);
        return Ok(());
    }
    if incidents.is_empty() {
        output::line(if options.all {
            "no incidents"
        } else {
            "no open incidents; --all shows resolved ones"
        });
        return Ok(());
    }
    let now = store.clock().now();
    let rows: Vec<Vec<String>> = incidents
        .iter()
        .map(|it| {
            vec![
                it.id.to_string(),
                standing(it),
                show_duration(since(it.resolved_at.unwrap_or(now), it.opened_at)),
                it.title.clone(),
                it.rule.clone(),
            ]
        })
        .collect();
    output::table(&["incident", "status", "for", "what", "rule"], &rows);
    Ok(())
}

fn standing(incident: &Incident) -> String {
    let escalated = incident.escalated && incident.status == IncidentStatus::Open;
    if escalated { "open, needs you".to_owned() } else { incident.status.as_str().to_owned() }
}

async fn incident(at: &Place, store: &Store, id: IncidentId) -> Result<(), Error> {
    let incident = store
        .incident(id)
        .await
        .map_err(store_error)?
        .ok_or_else(|| missing(format!("there is no incident {id}")))?;
    let episodes = store.episodes_of(id).await.map_err(store_error)?;
    let mut runs = store.runs(Some(id), None, 1000).await.map_err(store_error)?;
    runs.reverse();
    let told = store.notifications_of(id).await.map_err(store_error)?;
    let found = store.found_of(id).await.map_err(store_error)?;
    let mut decisions = Vec::new();
    for episode in &episodes {
        let found = store.last_decision(episode.id, &incident.rule).await.map_err(store_error)?;
        decisions.extend(found);
    }
    if at.json {
        output::json(&serde_json::json!({
            "incident": incident, "episodes": episodes, "found": found, "runs": runs,
            "decisions": decisions, "notifications": told,
        }));
        return Ok(());
    }
    let now = store.clock().now();
    output::line(&format!("{}  {}  {}", incident.id, incident.title, standing(&incident)));
    output::line(&format!("  rule       {}", or_none(&incident.rule)));
    output::line(&format!(
        "  opened     {} ({} ago)",
        shown(incident.opened_at),
        show_duration(since(now, incident.opened_at))
    ));
    if let Some(until) = incident.held_until.filter(|until| *until > incident.opened_at) {
        let words = match incident.status {
            IncidentStatus::Resolved => "was never sent: fixed in time".to_owned(),
            _ if until > now => format!("held until {} unless fixed", shown(until)),
            _ => "held: fixed in time, as far as was seen".to_owned(),
        };
        output::line(&format!("  page       {words}"));
    }
    if let (Some(acked), by) = (incident.acked_at, &incident.acked_by) {
        output::line(&format!("  acked      {} by {by}", shown(acked)));
    }
    if let Some(resolved) = incident.resolved_at {
        output::line(&format!(
            "  resolved   {} (after {})",
            shown(resolved),
            show_duration(since(resolved, incident.opened_at))
        ));
    }
    for episode in &episodes {
        let is = if episode.open { "firing" } else { "resolved" };
        output::line(&format!("  {}  {} {is}, by {}", episode.id, episode.labels, episode.source));
        if episode.truncated > 0 {
            output::line(&format!(
                "           evidence missing: the sender left {} alerts out",
                episode.truncated
            ));
        }
        for it in found.iter().filter(|it| it.episode == episode.id) {
            output::line(&format!("           {}", it.words));
        }
    }
    for decision in &decisions {
        output::line(&format!(
            "  decision   {} {}: {}",
            decision.playbook,
            decision.verdict.as_str(),
            decision.reason
        ));
    }
    for run in &runs {
        output::line(&format!("  {}  {}", run.id, headline(run)));
    }
    for it in &told {
        let error = if it.error.is_empty() { String::new() } else { format!(" ({})", it.error) };
        output::line(&format!(
            "  told       {}: {}{error}: {}",
            format!("{} {}", it.channel, it.recipient).trim_end(),
            it.state,
            it.notice.headline
        ));
    }
    Ok(())
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none matched" } else { text }
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn headline(run: &RunRow) -> String {
    if run.outcome.is_empty() {
        format!("{} on {}: {}", run.playbook, run.target, run.state.as_str())
    } else {
        run.outcome.clone()
    }
}

pub(super) async fn runs(at: &Place, options: &Runs) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    if let Some(id) = options.run {
        return run(at, &store, id).await;
    }
    let runs = store.runs(options.incident, None, options.limit).await.map_err(store_error)?;
    if at.json {
        output::json(&runs);
        return Ok(());
    }
    if runs.is_empty() {
        output::line("no runs");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|it| {
            vec![
                it.id.to_string(),
                it.state.as_str().to_owned(),
                shown(it.started_at),
                it.incident.to_string(),
                headline(it),
            ]
        })
        .collect();
    output::table(&["run", "state", "started", "incident", "what"], &rows);
    Ok(())
}

async fn run(at: &Place, store: &Store, id: RunId) -> Result<(), Error> {
    let row = store
        .run(id)
        .await
        .map_err(store_error)?
        .ok_or_else(|| missing(format!("there is no run {id}")))?;
    let plan: Plan = store
        .plan(id)
        .await
        .map_err(store_error)?
        .ok_or_else(|| missing(format!("there is no run {id}")))?;
    let entries = store.journal(id).await.map_err(store_error)?;
    if at.json {
        output::json(&serde_json::json!({ "run": row, "plan": plan, "journal": entries }));
        return Ok(());
    }
    output::line(&format!("{}  {}", row.id, headline(&row)));
    output::line(&format!("  state      {}", row.state.as_str()));
    output::line(&format!(
        "  incident   {}, rule {}, remedy {} of {}",
        row.incident, row.rule, plan.remedy, plan.remedies
    ));
    if !plan.rules_digest.is_empty() {
        output::line(&format!("  rules      {}", plan.rules_digest));
    }
    output::line(&format!(
        "  plan       {} mode {}, tier {}, digest {}",
        plan.playbook.name,
        plan.mode.as_str(),
        plan.tier,
        row.digest
    ));
    for line in tell::plan_lines(&plan) {
        output::line(&format!("             {line}"));
    }
    if let Ok(state) = machine::fold(&plan, &entries) {
        for line in tell::step_lines(&plan, &state) {
            output::line(&format!("  did        {line}"));
        }
        if let Some(question) = answer::question(&plan, &state) {
            output::line(&format!("  asks       {}", question.text));
            for line in answer::lines(question.ask) {
                output::line(&format!("             {line}"));
            }
            let command = answer::command(&row.id.to_string(), &question);
            output::line(&format!("             answer with: {command}"));
        }
    }
    for entry in &entries {
        output::line(&format!(
            "  {:>3}  {}  {}",
            entry.seq,
            entry.at.strftime("%H:%M:%S%.3f"),
            tell::event_line(&plan, &entry.event)
        ));
    }
    Ok(())
}

pub(super) async fn notifications(at: &Place, options: &Notifications) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let state = match options.state {
        State::Pending => "pending",
        State::Sent => "sent",
        State::Dead => "dead",
    };
    let found = store.notifications(state, options.limit).await.map_err(store_error)?;
    if at.json {
        output::json(&found);
        return Ok(());
    }
    if found.is_empty() {
        output::line(&format!("no {state} notifications"));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|it| {
            vec![
                it.notice.incident.to_string(),
                format!("{} {}", it.channel, it.recipient).trim_end().to_owned(),
                it.tries.to_string(),
                shown(it.created_at),
                it.notice.headline.clone(),
                it.error.clone(),
            ]
        })
        .collect();
    output::table(&["incident", "channel", "tries", "since", "what", "error"], &rows);
    Ok(())
}
