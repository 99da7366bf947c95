//! `quell explain`: which rules an alert selects and why each other does not, what every guard says, and what would be
//! done; by the files alone, by a running server, or as it was decided.

mod alert;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::server;
use crate::cli::store_error;
use crate::clock::Clock;
use crate::decide::explain;
use crate::decide::explain::slot;
use crate::decide::explain::text;
use crate::error::Error;
use crate::model::explain::About;
use crate::model::explain::Explanation;
use crate::model::incident::Episode;
use crate::model::labels::Labels;
use crate::model::time::before;
use crate::model::time::parse_duration;
use crate::model::time::show_duration;

const AFTER: &str = "\
Without --server it reads files only: as if nothing had happened before, and says what it assumed.
With --server it asks a running quell what it knows: runs, pauses, silences, the precheck.
An id shows what was decided then, from the database of quell.yml or from --server.
--schedule explains the next slot of a schedule, or its first from --at on.

--json prints a list, one entry an alert or episode:
  labels, fingerprint, episode, at, facts (assumed, live or stored), assumed
  older_files   why the files in force are not those on disk, else null
  found         how it was found that the episode opened or ended, where no webhook told of it; absent when one did
  slot          of a schedule: schedule, place, cron, slot, jitter, overlap, missed; else null
  rules[]       rule, place, selected, names_alert, unknown, why
  windows[]     that are about it: name, effect, reason, place, ends (inside), begins (outside)
  judgements[]  rule, place, target, incident, runs, reason, at,
                verdict (is: proceed, ask, hold, refuse; until), null: nothing to decide,
                page (when the rule holds it): within, set_in, channels, held_until, why,
                rulings[]: guard, verdict, reason, measured, limit, knob, assumed,
                remedies[]: remedy, of, playbook, place, mode, mode_set_in, tier, problem,
                  parameters, steps[] and on_resolve[] (number, name, call, notes, undo, acts),
                  verify (call, within, hold), otherwise
                a call or undo: kind, arguments, unrendered
  unmatched[]   channels told when no rule takes it";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct Options {
    /// A file (a webhook body, one alert with `labels`, or a map of labels), or what is stored: i-12, e-5, r-7.
    #[arg(value_name = "ALERT.json|ID")]
    what: Option<PathBuf>,
    /// A label; repeat it for each.
    #[arg(long = "label", short, value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// An annotation; repeat it for each.
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// A schedule instead of an alert.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["what", "labels", "annotations", "since"])]
    schedule: Option<String>,
    /// Explain it for this time: 2026-01-05T10:15:00Z, 10:15 (today, UTC), or +2h from now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// How long the alert has been firing by then, when no server knows.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    since: Duration,
    /// Every rule and every guard.
    #[arg(long)]
    all: bool,
    /// Ask a running quell, by its URL.
    #[arg(long)]
    server: Option<String>,
    /// Token of an operator, for --server; not needed on its own host.
    #[arg(long, env = "QUELL_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let id = options.what.as_ref().and_then(|it| it.to_str()?.parse::<About>().ok());
    let explained = match (id, &options.server) {
        (None, None) if let Some(name) = &options.schedule => {
            vec![offline_slot(at, options, name)?]
        }
        (Some(about), None) => {
            let (library, store) = at.store().await?;
            store.explain(library.in_force(), about).await.map_err(store_error)?
        }
        (Some(_), Some(url)) => {
            let id = options.what.as_deref().unwrap_or(std::path::Path::new("")).display();
            let url = format!("{}/api/v1/explain/{id}", url.trim_end_matches('/'));
            let mut answer = server::call(&url, options.token.as_deref(), None).await?;
            server::read(&url, answer.get_mut("items").map(Value::take).unwrap_or_default())?
        }
        (None, Some(url)) => ask(options, url).await?,
        (None, None) => offline(at, options)?,
    };
    show(at, &explained, options.all);
    Ok(())
}

/// Prints explanations, as every command does that has some.
pub(super) fn show(at: &Place, explained: &[Explanation], all: bool) {
    if at.json {
        return output::json(&explained);
    }
    for (index, explanation) in explained.iter().enumerate() {
        if index > 0 {
            output::line("");
        }
        output::toned(&text::lines(explanation, all));
    }
}

fn offline(at: &Place, options: &Options) -> Result<Vec<Explanation>, Error> {
    let alerts = given(options)?;
    let time = time(options, Clock::System.now())?;
    let library = at.library()?;
    let explained = alerts.into_iter().map(|alert| {
        let began = before(time, options.since);
        let episode = Episode::unstored("explain", alert.labels, alert.annotations, time);
        let truncated = alert.truncated;
        let episode = Episode { starts_at: began, opened_at: began, truncated, ..episode };
        explain::offline(library.in_force(), &episode, options.since, time)
    });
    Ok(explained.collect())
}

fn offline_slot(at: &Place, options: &Options, name: &str) -> Result<Explanation, Error> {
    let time = time(options, Clock::System.now())?;
    let library = at.library()?;
    let (schedule, episode) = slot::first(library.in_force(), name, time)
        .map_err(|words| Error::problems("Q0605", words))?;
    Ok(slot::offline(library.in_force(), &schedule, &episode))
}

async fn ask(options: &Options, server: &str) -> Result<Vec<Explanation>, Error> {
    let time = options.at.as_ref().map(|_| time(options, Clock::System.now())).transpose()?;
    let url = format!("{}/api/v1/explain", server.trim_end_matches('/'));
    if let Some(name) = &options.schedule {
        let body = json!({ "schedule": name, "at": time });
        let answer = server::call(&url, options.token.as_deref(), Some(body)).await?;
        return Ok(vec![server::read(&url, answer)?]);
    }
    let mut explained = Vec::new();
    for alert in given(options)? {
        let body = json!({
            "labels": alert.labels, "annotations": alert.annotations,
            "at": time, "since": show_duration(options.since),
        });
        let answer = server::call(&url, options.token.as_deref(), Some(body)).await?;
        explained.push(server::read(&url, answer)?);
    }
    Ok(explained)
}

/// The alerts of the file, or the one of the labels.
fn given(options: &Options) -> Result<Vec<alert::Given>, Error> {
    let mut alerts = match &options.what {
        Some(file) => alert::read(file)?,
        None => Vec::new(),
    };
    let labels: Labels = options.labels.iter().cloned().collect();
    if !labels.is_empty() {
        let annotations = options.annotations.iter().cloned().collect();
        alerts.push(alert::Given { labels, annotations, truncated: 0 });
    }
    if alerts.is_empty() {
        return Err(Error::new("Q0601", "there is no alert to explain")
            .hint("name a file, labels (--label alertname=HighErrorRate), a schedule (--schedule NAME) or an id (i-12)"));
    }
    Ok(alerts)
}

/// An instant as people write it: see `--at`.
pub(super) fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    alert::time(text, now)
}

fn time(options: &Options, now: Timestamp) -> Result<Timestamp, Error> {
    let Some(text) = &options.at else { return Ok(now) };
    alert::time(text, now).map_err(|words| Error::new("Q0604", format!("--at: {words}")))
}
