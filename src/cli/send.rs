//! `quell send`: posts a test alert to a running server through its webhook, and shows what came of it.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Place;
use crate::cli::explain::pair;
use crate::cli::explain::why_words;
use crate::cli::output;
use crate::clock::Clock;
use crate::error::Error;
use crate::model::labels::Labels;
use crate::net;
use crate::net::Call;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
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
    /// Ingest token; the first of quell.yml when silent.
    #[arg(long, env = "QUELL_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let library = at.library()?;
    let server =
        options.server.clone().unwrap_or_else(|| format!("http://{}", library.config.listen));
    let token = options.token.clone().or_else(|| {
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
        "version": "4", "status": status, "receiver": "quell send", "truncatedAlerts": 0,
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
    for (rule, why) in library.rules.explain(&labels, &annotations) {
        output::line(&format!("  {}  {}  {}", rule.name, rule.place, why_words(&why)));
    }
    if options.resolved {
        return Ok(());
    }
    decided(&server, &fingerprint).await
}

/// Waits for the decision on the episode, and shows it.
async fn decided(server: &str, fingerprint: &str) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + DECIDED_WITHIN;
    loop {
        let episodes =
            call(&format!("{server}/api/v1/episodes?fingerprint={fingerprint}"), None, None)
                .await?;
        let episode = text(&episodes, "/items/0/id");
        if !episode.is_empty() {
            let decisions =
                call(&format!("{server}/api/v1/decisions?episode={episode}"), None, None).await?;
            if let Some(decision) = decisions.pointer("/items/0") {
                show(decision);
                return runs(server, decision).await;
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

fn show(decision: &Value) {
    output::line("");
    output::line(&format!(
        "  verdict    {}: {}",
        text(decision, "/verdict/is"),
        text(decision, "/reason")
    ));
    for ruling in decision.pointer("/rulings").and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!(
            "  {:20}  {:8}  {:34}  {:12}  {}",
            text(ruling, "/guard"),
            text(ruling, "/verdict/is"),
            text(ruling, "/measured"),
            text(ruling, "/limit"),
            text(ruling, "/knob"),
        ));
    }
}

async fn runs(server: &str, decision: &Value) -> Result<(), Error> {
    let incident = text(decision, "/incident");
    if incident.is_empty() {
        return Ok(());
    }
    let runs = call(&format!("{server}/api/v1/runs?incident={incident}"), None, None).await?;
    for run in runs.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!(
            "  plan       {}: {} on {}, {}",
            text(run, "/id"),
            text(run, "/playbook"),
            text(run, "/target"),
            text(run, "/state")
        ));
    }
    output::line(&format!("\nNext:  quell incidents {incident}"));
    Ok(())
}

fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
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

/// One request; a problem's words become the error.
async fn call(url: &str, token: Option<&str>, body: Option<Value>) -> Result<Value, Error> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut call = match body {
        Some(body) => Call::post(url, body.to_string().into_bytes(), ANSWER_WITHIN)
            .header("content-type", "application/json"),
        None => Call::get(url, ANSWER_WITHIN),
    };
    if let Some(bearer) = &bearer {
        call = call.header("authorization", bearer);
    }
    let answer = net::send(call).await.map_err(|failure| {
        Error::new("Q0702", format!("could not reach {}: {failure}", net::place(url)))
            .hint("is `quell serve` running there? name another with --server")
    })?;
    let json: Value = serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| Value::String(answer.text().into_owned()));
    if answer.is_success() {
        return Ok(json);
    }
    let detail = json.pointer("/detail").or_else(|| json.pointer("/title")).unwrap_or(&json);
    let words = text(detail, "");
    Err(Error::problems(
        "Q0703",
        format!("{} answered {}: {words}", net::place(url), answer.status),
    ))
}
