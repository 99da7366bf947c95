//! `quell send`: posts a test alert to a running server through its webhook, and shows what came of it.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Place;
use crate::cli::explain;
use crate::cli::explain::pair;
use crate::cli::output;
use crate::cli::person;
use crate::cli::server;
use crate::cli::server::call;
use crate::cli::server::text;
use crate::clock::Clock;
use crate::error::Error;
use crate::library::Library;
use crate::model::alert::BY_HAND;
use crate::model::explain::Explanation;
use crate::model::labels::Labels;

/// How long the decision is waited for.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// A label of the alert; repeat it for each.
    #[arg(long = "label", short, value_name = "NAME=VALUE", value_parser = pair, required = true)]
    labels: Vec<(String, String)>,
    /// An annotation; repeat it for each.
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// Send its resolution instead.
    #[arg(long)]
    resolved: bool,
    /// The server; where quell.yml listens when silent.
    #[arg(long, env = "QUELL_URL", hide_env_values = true)]
    server: Option<String>,
    /// Who asks for it: an operator with a token in quell.yml, whose own approval will not count. The logged-in user when
    /// silent, if there is such an operator.
    #[arg(long)]
    by: Option<String>,
    /// Ingest token; the first of quell.yml when silent.
    #[arg(long, env = "QUELL_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let library = at.library()?;
    let server =
        options.server.clone().unwrap_or_else(|| format!("http://{}", library.config.listen));
    let by = proposer(&library, options.by.as_deref())?;
    let token = options.token.clone().or(by).or_else(|| {
        let first = library.config.ingest.tokens.iter().find(|it| it.user.is_none())?;
        Some(first.token.reveal().to_owned())
    });
    let now = Clock::System.now();
    let labels: Labels = options.labels.iter().cloned().collect();
    let annotations: Labels = options.annotations.iter().cloned().collect();
    let fingerprint = labels.fingerprint();
    let (status, ends_at) = if options.resolved {
        ("resolved", now.to_string())
    } else {
        ("firing", "0001-01-01T00:00:00Z".to_owned())
    };
    let body = json!({
        "version": "4", "status": status, "receiver": BY_HAND, "truncatedAlerts": 0,
        "groupKey": "quell send", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": [{
            "status": status, "labels": labels, "annotations": annotations, "generatorURL": "",
            "startsAt": now.to_string(), "endsAt": ends_at, "fingerprint": fingerprint,
        }],
    });
    let url = format!("{server}/api/v1/webhook/alertmanager");
    let answer = call(&url, token.as_deref(), Some(body)).await?;
    if at.json {
        output::json(&answer);
        return Ok(());
    }
    output::line(&format!("{labels}  {status}, stored ({})", short(&answer)));
    if options.resolved {
        return Ok(());
    }
    output::line("");
    decided(at, &server, &fingerprint).await
}

/// The token of the operator who asks for it; one who is named must have one.
fn proposer(library: &Library, by: Option<&str>) -> Result<Option<String>, Error> {
    let named = by.map_or_else(person, str::to_owned);
    let operator = library.config.operators.iter().find(|it| it.name == named);
    let token = operator.and_then(|it| it.token.as_ref()).map(|it| it.reveal().to_owned());
    match (token, by) {
        (None, Some(name)) => Err(Error::problems(
            "Q0410",
            format!("`{name}` is no operator with a token in quell.yml"),
        )
        .hint("leave --by out, or name one of `operators:` that has a token")),
        (token, _) => Ok(token),
    }
}

/// Waits for the decision on the episode, and explains it.
async fn decided(at: &Place, server: &str, fingerprint: &str) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + DECIDED_WITHIN;
    loop {
        let url = format!("{server}/api/v1/episodes?fingerprint={fingerprint}");
        let episode = text(&call(&url, None, None).await?, "/items/0/id");
        if !episode.is_empty() {
            let url = format!("{server}/api/v1/decisions?episode={episode}");
            let decisions = call(&url, None, None).await?;
            if let Some(decision) = decisions.pointer("/items/0") {
                let url = format!("{server}/api/v1/explain/{episode}");
                let mut answer = call(&url, None, None).await?;
                let items = answer.get_mut("items").map(Value::take).unwrap_or_default();
                explain::show(at, &server::read::<Vec<Explanation>>(&url, items)?, false);
                let incident = text(decision, "/incident");
                if !incident.is_empty() {
                    output::line(&format!("\nNext:  quell incidents {incident}"));
                }
                return Ok(());
            }
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::problems(
                "Q0701",
                format!("no decision within {}s", DECIDED_WITHIN.as_secs()),
            )
            .hint("is the server's intake running? see its log and /metrics"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn short(answer: &Value) -> String {
    let counts = answer.as_object().into_iter().flatten();
    let parts: Vec<String> = counts
        .filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0))
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    parts.join(", ")
}
