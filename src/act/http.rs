//! The action `http`: one request, never redirected.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::sealed::Mask;
use crate::model::action::HttpCall;
use crate::model::config::Targets;
use crate::model::run::Intent;
use crate::model::run::Outcome;
use crate::net;
use crate::net::Answer;
use crate::net::Call;
use crate::net::Failure;
use crate::net::Limit;

/// Largest part of an answer that later steps and people see, in bytes.
const MAX_OUTPUT_BYTES: usize = 16 << 10;

/// Sends it. Mutating requests carry the intent's key as `Idempotency-Key`, and as `Quell-Attempt` a number that grows
/// whenever another worker takes the run over: a target that keeps the highest it saw can refuse a late request.
pub(super) async fn perform(
    call: &HttpCall,
    intent: &Intent,
    attempt: i64,
    targets: &Targets,
    mask: &Mask,
) -> Outcome {
    let request = match Request::new(call, &intent.key, attempt, targets) {
        Ok(request) => request,
        Err(reason) => return super::failed(reason),
    };
    match request.send(intent.timeout).await {
        Ok(mut answer) => {
            // before anything is cut out of it, or read as JSON
            answer.body = mask.hide_cut(answer.text().into_owned()).into_bytes();
            request.judge(&answer)
        }
        Err(failure) => request.explain(&failure),
    }
}

/// A request put together from the step and its target.
struct Request<'a> {
    call: &'a HttpCall,
    url: String,
    /// Lowercase names.
    headers: BTreeMap<String, String>,
    body: Option<Vec<u8>>,
    /// How the server is called in messages.
    name: String,
    /// What no message and no output may hold, should the server repeat it.
    secrets: Vec<&'a str>,
}

impl<'a> Request<'a> {
    fn new(
        call: &'a HttpCall,
        key: &str,
        attempt: i64,
        targets: &'a Targets,
    ) -> Result<Self, String> {
        let mut headers = BTreeMap::new();
        let mut secrets = Vec::new();
        let (url, name) = match &call.server {
            None => (call.url.clone(), format!("`{}`", net::place(&call.url))),
            Some(name) => {
                let server = targets.http.get(name).ok_or_else(|| {
                    let names: Vec<&str> = targets.http.keys().map(String::as_str).collect();
                    super::no_target("http", name, &names)
                })?;
                for (header, value) in &server.headers {
                    headers.insert(header.to_lowercase(), value.reveal().to_owned());
                    // `Bearer` and `Basic` are no secrets
                    secrets.extend(value.reveal().rsplit(' ').next().filter(|it| it.len() >= 6));
                }
                (join(&server.url, &call.url), format!("`{name}`"))
            }
        };
        if climbs(&url) {
            return Err(format!("the path for {name} holds `.` or `..` as a segment"));
        }
        let body = match (&call.json, &call.body) {
            (Some(json), _) => {
                headers.insert("content-type".into(), "application/json".into());
                Some(json.to_string().into_bytes())
            }
            (None, body) => body.as_ref().map(|body| body.clone().into_bytes()),
        };
        if !matches!(call.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            headers.insert("idempotency-key".into(), key.to_owned());
            headers.insert("quell-attempt".into(), attempt.to_string());
        }
        for (header, value) in &call.headers {
            headers.insert(header.to_lowercase(), value.clone());
        }
        Ok(Self { call, url, headers, body, name, secrets })
    }

    async fn send(&self, timeout: Duration) -> Result<Answer, Failure> {
        net::send(Call {
            method: &self.call.method,
            url: &self.url,
            headers: self.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
            body: self.body.clone(),
            timeout,
            limit: Limit::Cut(MAX_OUTPUT_BYTES),
        })
        .await
    }

    /// What an answer means for the step.
    fn judge(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let expected = if self.call.status.is_empty() {
            answer.is_success()
        } else {
            self.call.status.contains(&status)
        };
        let said = self.hide(format!("{} answered {}", self.name, answer.describe()));
        match status {
            _ if expected => Outcome::Done {
                summary: format!(
                    "{} answered {status} in {} ms",
                    self.name,
                    answer.took.as_millis()
                ),
                output: self.output(answer),
            },
            401 | 403 => super::denied(format!("{said}; {}", self.credential())),
            300..=399 => super::failed(format!(
                "{said}; redirects are not followed: {}",
                advice(answer.header("location"))
            )),
            // the gateway gave up on a server that may be doing it still
            504 if self.headers.contains_key("idempotency-key") => {
                super::unknown(format!("{said}; nobody knows whether the server behind it did it"))
            }
            408 | 425 | 429 | 500.. => super::failed_for_now(said),
            _ => super::failed(said),
        }
    }

    /// Status and body, and the body's value when it is JSON.
    fn output(&self, answer: &Answer) -> serde_json::Value {
        let body = self.hide(answer.text().into_owned());
        let value: Option<serde_json::Value> =
            if answer.cut { None } else { serde_json::from_str(&body).ok() };
        let mut output = json!({ "status": answer.status, "body": body, "cut": answer.cut });
        if let (Some(value), Some(fields)) = (value, output.as_object_mut()) {
            fields.insert("json".into(), value);
        }
        output
    }

    fn hide(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, "[secret]"))
    }

    /// Where the credential that was refused is configured.
    fn credential(&self) -> String {
        match &self.call.server {
            Some(server) => {
                format!("it refuses the credential in targets.http.{server} of quell.yml")
            }
            None => "it refuses the step's credential; name a server of targets.http".into(),
        }
    }

    /// What the lack of an answer means for the step.
    fn explain(&self, failure: &Failure) -> Outcome {
        let name = &self.name;
        match failure {
            Failure::Invalid(reason) => super::failed(format!("request to {name}: {reason}")),
            failure if failure.sent() => super::unknown(format!(
                "no answer from {name}: {failure}; nobody knows whether it happened"
            )),
            failure => super::failed_for_now(format!("could not reach {name}: {failure}")),
        }
    }
}

/// What to do about a redirect. Only the host is named: the path of a location may hold a credential.
fn advice(location: &str) -> String {
    if location.starts_with("http://") || location.starts_with("https://") {
        format!("write the address it leads to, at {}", net::place(location))
    } else {
        "write the path it leads to".into()
    }
}

/// The path below the base URL; it cannot change the host.
fn join(base: &str, path: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path.strip_prefix('/').unwrap_or(path))
}

/// Whether a URL's path has a segment that a URL parser resolves away: with one, a label's value could
/// leave the base URL. `%2e` counts as a dot (WHATWG URL, "double-dot URL path segment").
fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.split(['/', '\\']).skip(1).any(|segment| {
        matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    })
}

#[cfg(test)]
mod tests;
