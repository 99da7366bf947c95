//! `quell rules` and `quell promote`: what each rule may do and why, what its runs came to, and trusting one again.

use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::Place;
use crate::cli::output;
use crate::cli::store_error;
use crate::decide::trust;
use crate::decide::trust::evidence;
use crate::decide::trust::evidence::Standing;
use crate::error::Error;
use crate::model::playbook::Mode;
use crate::model::time::before;
use crate::model::time::show_duration;

const AFTER: &str = "\
Of the last 30 days, without schedules:
  runs       that acted and ended
  helped     verified, and the target stayed well for a day; in percent of those that helped or not
  failed     a step or the verification failed, or nobody could see
  in vain    verified, and the target was in trouble again within a day
  fix        half of the verified ones took no longer
  disagreed  people rejected, cancelled, or took over

--json prints a list: name, may, set_by, trust (rule, mode, why, at, by: the last word, else null), evidence (runs,
helped, failed, ineffective, success, median_seconds, disagreed, observed, at_work, last_at)";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct Listing {
    /// Only this rule.
    rule: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The rule.
    rule: String,
    /// The most that it may do then, never more than its files allow; one rung more when silent.
    #[arg(long)]
    to: Option<To>,
    /// What is different now.
    #[arg(long)]
    reason: String,
    /// Who: the name of an operator in quell.yml, if it names any.
    #[arg(long)]
    by: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    Approve,
    Auto,
}

/// A rule as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    standing: Standing,
}

pub(super) async fn list(at: &Place, options: &Listing) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let now = store.clock().now();
    let from = before(now, evidence::SPAN);
    let mut runs = store.runs_by_rule(from).await.map_err(store_error)?;
    let mut trusts = store.trusts().await.map_err(store_error)?;
    let mut listed = Vec::new();
    for rule in library.rules.rules() {
        if options.rule.as_ref().is_some_and(|name| *name != rule.name) {
            continue;
        }
        let trust = trusts.remove(&rule.name);
        let judged = runs.remove(&rule.name).unwrap_or_default();
        let standing = evidence::standing(&library.config, rule, trust, &judged);
        listed.push(Listed { name: rule.name.clone(), standing });
    }
    if let Some(name) = options.rule.as_ref().filter(|_| listed.is_empty()) {
        return Err(Error::problems("Q0408", format!("there is no rule {name}"))
            .hint("`quell rules` lists those there are"));
    }
    if at.json {
        output::json(&listed);
        return Ok(());
    }
    if listed.is_empty() {
        output::line("no rules");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = listed.iter().map(row).collect();
    let headings =
        ["rule", "mode", "runs", "helped", "failed", "in vain", "fix", "disagreed", "set by"];
    output::table(&headings, &rows);
    for it in &listed {
        if let Some(trust) = it.standing.lowered() {
            let (at, mode) = (trust.at.strftime("%Y-%m-%d %H:%M UTC"), trust.mode.as_str());
            output::line(&format!(
                "{}: {mode} since {at}, by {}: {}",
                it.name, trust.by, trust.why
            ));
        }
    }
    Ok(())
}

fn row(it: &Listed) -> Vec<String> {
    let Standing { may, set_by, evidence, .. } = &it.standing;
    let count = |count: usize| count.to_string();
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let helped = evidence.success.map(|percent| format!("{} ({percent}%)", evidence.helped));
    let fix = evidence.median_seconds.map(|it| show_duration(Duration::from_secs(it)));
    vec![
        it.name.clone(),
        may.as_str().to_owned(),
        count(evidence.runs),
        or_none(helped),
        count(evidence.failed),
        count(evidence.ineffective),
        or_none(fix),
        count(evidence.disagreed),
        set_by.clone(),
    ]
}

pub(super) async fn promote(at: &Place, options: &Promote) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let rule = library.rules.rules().iter().find(|rule| rule.name == options.rule);
    let Some(rule) = rule else {
        return Err(Error::problems("Q0408", format!("there is no rule {}", options.rule))
            .hint("`quell rules` lists those there are"));
    };
    let operators = &library.config.operators;
    if !operators.is_empty() && operators.iter().all(|it| it.name != options.by) {
        let message = format!("`{}` is no operator in quell.yml", options.by);
        return Err(Error::problems("Q0410", message)
            .hint("name one with --by, or add one under `operators:`"));
    }
    let to = options.to.map(|to| match to {
        To::Approve => Mode::Approve,
        To::Auto => Mode::Auto,
    });
    let last = store.trust(&rule.name).await.map_err(store_error)?;
    let now = store.clock().now();
    let (by, reason) = (&options.by, &options.reason);
    let trust = trust::promotion(&library.config, rule, last.as_ref(), to, by, reason, now)
        .map_err(|words| Error::problems("Q0418", words))?;
    store.promote(last.as_ref(), &trust).await.map_err(store_error)?;
    if at.json {
        output::json(&trust);
        return Ok(());
    }
    let words =
        format!("{}: may {} again; open alerts are judged anew", rule.name, verb(trust.mode));
    output::line(&words);
    Ok(())
}

fn verb(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Approve => "act after approval",
        Mode::Auto => "act",
    }
}
