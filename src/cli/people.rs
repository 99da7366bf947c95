//! What people say on the command line. It goes into the database, which a running server reads; no network is needed.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::Place;
use crate::cli::explain::pair;
use crate::cli::missing;
use crate::cli::output;
use crate::cli::person;
use crate::cli::store_error;
use crate::decide::audience;
use crate::decide::machine;
use crate::decide::tell;
use crate::error::Error;
use crate::library::Library;
use crate::model::incident::IncidentId;
use crate::model::incident::RunId;
use crate::model::run::RunState;
use crate::store::Store;
use crate::store::people::Speaker;
use crate::store::people::Spoken;
use crate::store::people::Word;
use crate::store::runs::RunRow;

#[derive(Debug, Args)]
pub(super) struct Ack {
    /// The incident: i-12.
    incident: IncidentId,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The run: r-12.
    run: RunId,
    /// Who: the name of an operator in quell.yml.
    #[arg(long)]
    by: String,
    /// Digest of the plan that you looked at, as `quell runs RUN` shows it; its first 8 characters are enough.
    #[arg(long)]
    digest: String,
}

#[derive(Debug, Args)]
pub(super) struct Reject {
    /// The run: r-12.
    run: RunId,
    /// Why.
    reason: String,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The run: r-12.
    run: RunId,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Answer {
    /// The run: r-12.
    run: RunId,
    /// To a question: NAME=VALUE for each answer, or yes or no. For a step in doubt: happened or did-not-happen.
    #[arg(required = true, value_name = "ANSWER")]
    answers: Vec<String>,
    /// The step that asks: needed when the playbook asks more than once, so that no answer reaches another question.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Who: the name of an operator in quell.yml, to answer a question; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

impl Answer {
    fn word(&self) -> Result<Word, Error> {
        let one = |answer: bool| BTreeMap::from([(machine::YES.to_owned(), answer.into())]);
        match self.answers.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["happened" | "did-not-happen"] if self.step.is_some() => {
                return Err(Error::problems("Q0415", "`--step` is for answers to a question"));
            }
            ["happened"] => return Ok(Word::Settle { happened: true }),
            ["did-not-happen"] => return Ok(Word::Settle { happened: false }),
            ["yes"] => return Ok(Word::Answer { step: self.step.clone(), answers: one(true) }),
            ["no"] => return Ok(Word::Answer { step: self.step.clone(), answers: one(false) }),
            _ => {}
        }
        let mut answers = BTreeMap::new();
        for text in &self.answers {
            let (name, value) = pair(text).map_err(|_| {
                Error::problems("Q0415", format!("`{text}` is no answer"))
                    .hint("write NAME=VALUE, yes, no, happened or did-not-happen")
            })?;
            if answers.insert(name.clone(), value.into()).is_some() {
                return Err(Error::problems("Q0415", format!("answer `{name}` is given twice")));
            }
        }
        Ok(Word::Answer { step: self.step.clone(), answers })
    }
}

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// all, rule:NAME, playbook:NAME or target:NAME.
    #[arg(default_value = "all", value_parser = scope)]
    scope: String,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// all, rule:NAME, playbook:NAME or target:NAME.
    #[arg(default_value = "all", value_parser = scope)]
    scope: String,
}

fn scope(text: &str) -> Result<String, String> {
    let named = |prefix: &str| text.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
    if text == "all" || named("rule:") || named("playbook:") || named("target:") {
        Ok(text.to_owned())
    } else {
        Err("write all, rule:NAME, playbook:NAME or target:NAME".into())
    }
}

pub(super) fn by(given: Option<&String>) -> String {
    given.cloned().unwrap_or_else(person)
}

pub(super) async fn ack(at: &Place, options: &Ack) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let by = by(options.by.as_ref());
    let told = store.channels_told(options.incident).await.map_err(store_error)?;
    let now = store.clock().now();
    let (incident, done) = store
        .acknowledge(options.incident, &by, None, |incident| {
            audience::to_channels(&library.config, &tell::acknowledged(incident, &by, now), &told)
        })
        .await
        .map_err(store_error)?;
    if at.json {
        output::json(&incident);
    } else if done {
        output::line(&format!("{}: acknowledged by {by}; {}", incident.id, incident.title));
    } else if incident.acked_by.is_empty() {
        output::line(&format!(
            "{}: {}; nothing to acknowledge",
            incident.id,
            incident.status.as_str()
        ));
    } else {
        output::line(&format!("{}: already acknowledged by {}", incident.id, incident.acked_by));
    }
    Ok(())
}

pub(super) async fn approve(at: &Place, options: &Approve) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let row = find(&store, options.run).await?;
    let speaker = operator(&library, &options.by)?;
    if options.digest.len() < 8 || !row.digest.starts_with(&options.digest) {
        return Err(Error::problems(
            "Q0409",
            format!("the plan of {} has another digest: {}", row.id, row.digest),
        )
        .hint(format!("look at it with `quell runs {}`, then name its digest", row.id)));
    }
    let word = Word::Approve { digest: row.digest };
    let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
    show(at, &store.say(options.run, speaker, word, owed).await.map_err(store_error)?);
    Ok(())
}

/// The operator of this name.
pub(super) fn operator<'a>(library: &Library, name: &'a str) -> Result<Speaker<'a>, Error> {
    match library.config.operators.iter().find(|it| it.name == name) {
        Some(operator) => Ok(Speaker { name, tier: operator.tier, link: None }),
        None => Err(Error::problems("Q0410", format!("`{name}` is no operator in quell.yml"))
            .hint("name one with --by, or add one under `operators:`")),
    }
}

/// Whoever uses the command line: an operator, or a person who is none.
fn anybody<'a>(library: &Library, name: &'a str) -> Speaker<'a> {
    operator(library, name).unwrap_or(Speaker { name, tier: 0, link: None })
}

async fn find(store: &Store, run: RunId) -> Result<RunRow, Error> {
    store
        .run(run)
        .await
        .map_err(store_error)?
        .ok_or_else(|| missing(format!("there is no run {run}")))
}

pub(super) async fn reject(at: &Place, options: &Reject) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let word = Word::Reject { reason: options.reason.clone() };
    let by = by(options.by.as_ref());
    let speaker = anybody(&library, &by);
    let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
    show(at, &store.say(options.run, speaker, word, owed).await.map_err(store_error)?);
    Ok(())
}

pub(super) async fn cancel(at: &Place, options: &Cancel) -> Result<(), Error> {
    let (_, store) = at.store().await?;
    let by = by(options.by.as_ref());
    let row = store.cancel_run(options.run, &by).await.map_err(store_error)?;
    if at.json {
        output::json(&row);
    } else {
        output::line(&format!("{}: stops before its next step", row.id));
    }
    Ok(())
}

pub(super) async fn answer(at: &Place, options: &Answer) -> Result<(), Error> {
    let word = options.word()?;
    let (library, store) = at.store().await?;
    let by = by(options.by.as_ref());
    let speaker = match word {
        Word::Answer { .. } => operator(&library, &by)?,
        Word::Settle { .. } | Word::Approve { .. } | Word::Reject { .. } => anybody(&library, &by),
    };
    let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
    show(at, &store.say(options.run, speaker, word, owed).await.map_err(store_error)?);
    Ok(())
}

fn show(at: &Place, row: &RunRow) {
    if at.json {
        output::json(row);
    } else if row.state == RunState::AwaitingApproval && !row.outcome.is_empty() {
        output::line(&format!("{}: {}", row.id, row.outcome));
    } else {
        output::line(&format!(
            "{}: {} on {} is {}",
            row.id,
            row.playbook,
            row.target,
            row.state.as_str()
        ));
    }
}

pub(super) async fn pause(at: &Place, options: &Pause) -> Result<(), Error> {
    let by = by(options.by.as_ref());
    match at.store().await {
        Ok((_, store)) => {
            let new =
                store.pause(&options.scope, &by, &options.reason).await.map_err(store_error)?;
            let words = if new {
                "paused: nothing begins until `quell resume`"
            } else {
                "was paused already"
            };
            output::line(&format!("{}: {words}", options.scope));
            Ok(())
        }
        // without a database, the file still stops everything
        Err(error) if options.scope == "all" => {
            let library = at.library()?;
            if library.config.file.is_none() {
                // a file that no server looks at would look like safety and be none
                return Err(Error::new("Q0411", format!("nothing was paused: {error}"))
                    .hint("name the settings of the server with --config"));
            }
            let file = &library.config.pause_file;
            std::fs::write(file, format!("{by}: {}\n", options.reason)).map_err(|write| {
                Error::new(
                    "Q0411",
                    format!("could not pause: {error}; and not write {}: {write}", file.display()),
                )
                .hint("stop the server, or create the pause file by hand")
            })?;
            output::line(&format!(
                "all: paused by the file {} ({error}); delete it, or `quell resume`, to clear it",
                file.display()
            ));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn resume(at: &Place, options: &Resume) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let mut cleared = store.resume(&options.scope).await.map_err(store_error)?;
    let file = &library.config.pause_file;
    if options.scope == "all" && file.exists() {
        std::fs::remove_file(file).map_err(|error| {
            Error::new(
                "Q0411",
                format!("could not delete the pause file {}: {error}", file.display()),
            )
        })?;
        cleared = true;
    }
    if cleared {
        store.wake_all_episodes().await.map_err(store_error)?;
        output::line(&format!("{}: resumed; what waited is judged again", options.scope));
    } else {
        output::line(&format!("{}: was not paused", options.scope));
    }
    let left = store.pauses().await.map_err(store_error)?;
    for pause in left {
        output::line(&format!("still paused: {} by {} {}", pause.scope, pause.by, pause.reason));
    }
    Ok(())
}
