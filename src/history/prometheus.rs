//! From Prometheus: the raw samples of `ALERTS` (`protocols.md §2`, History).
//!
//! An instant query over a range gives the samples as they were written, without the aliasing of steps and without
//! the cap of 11,000 of them. What Prometheus does not know: annotations, external labels, what it missed while it was
//! down, and what Alertmanager would have grouped, delayed, silenced or inhibited.

mod firing;

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use self::firing::Firing;
use super::Chunk;
use super::sort;
use crate::model::labels::Labels;
use crate::model::time::after;
use crate::model::time::since;
use crate::net;
use crate::net::Call;
use crate::net::Limit;

/// The first span asked for; halved when it is too much for one answer.
const SPAN: Duration = Duration::from_hours(6);
/// The shortest span asked for.
const SHORTEST: Duration = Duration::from_mins(1);
/// Longest time for one answer.
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 128 << 20;
/// Longest part of an error of Prometheus that is shown, in characters.
const SHOWN: usize = 300;

/// Which part of which Prometheus.
#[derive(Debug, Clone)]
pub struct Source {
    /// Base URL, without a slash at its end.
    pub url: String,
    /// Headers, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// From here.
    pub since: Timestamp,
    /// To here.
    pub until: Timestamp,
    /// A firing that is interrupted for no longer than this is one; `None` means for one evaluation.
    pub gap: Option<Duration>,
    /// Labels that each alert gets besides, as `external_labels` would give it.
    pub labels: Labels,
}

/// Reads span after span.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    at: Timestamp,
    span: Duration,
    firing: Firing,
    ended: bool,
    /// Samples read.
    pub samples: u64,
}

/// What one question came to.
enum Asked {
    Series(Vec<Series>),
    /// Too many samples, bytes or seconds for one answer.
    TooMuch(String),
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(default)]
    result: Vec<Series>,
}

/// One series of a matrix: its labels, and the times of its samples in seconds since 1970.
#[derive(Deserialize)]
struct Series {
    metric: Labels,
    #[serde(default)]
    values: Vec<(f64, IgnoredAny)>,
}

impl Reader {
    /// Asks nothing yet.
    pub fn new(source: Source) -> Self {
        let firing = Firing::new(source.gap);
        Self { at: source.since, source, span: SPAN, firing, ended: false, samples: 0 }
    }

    /// The next transitions; `None` at the end. An error is a sentence that says what to do.
    pub async fn read(&mut self) -> Result<Option<Chunk>, String> {
        let (first, last) = (self.source.since, self.source.until);
        if self.at >= last {
            if std::mem::replace(&mut self.ended, true) {
                return Ok(None);
            }
            let mut transitions = self.firing.end(last);
            sort(&mut transitions);
            return Ok(Some(Chunk { transitions, until: last, done: 1.0 }));
        }
        let (to, series) = loop {
            let to = after(self.at, self.span).min(last);
            match self.ask(to).await? {
                Asked::Series(series) => break (to, series),
                Asked::TooMuch(why) if self.span <= SHORTEST => return Err(why),
                Asked::TooMuch(_) => self.span = (self.span / 2).max(SHORTEST),
            }
        };
        for one in series {
            let mut labels = one.metric;
            labels.set("__name__", "");
            labels.set("alertstate", "");
            for (name, value) in self.source.labels.iter() {
                // as Prometheus does it: a label of the alert wins over an external one
                if !labels.has(name) {
                    labels.set(name, value);
                }
            }
            self.samples += one.values.len() as u64;
            let times = one.values.iter().filter_map(|(time, _)| instant(*time));
            self.firing.samples(labels, times.filter(|at| *at > self.at || self.at == first));
        }
        self.at = to;
        let mut transitions = self.firing.up_to(to);
        sort(&mut transitions);
        let (read, all) = (since(to, first).as_secs_f64(), since(last, first).as_secs_f64());
        Ok(Some(Chunk { transitions, until: self.firing.settled(to), done: read / all.max(0.001) }))
    }

    async fn ask(&self, to: Timestamp) -> Result<Asked, String> {
        let url = format!("{}/api/v1/query", self.source.url);
        // at least a second more than the span, so that both ends are in it whether or not the left one counts
        let seconds = since(to, self.at).as_millis().div_ceil(1000) + 1;
        let timeout = format!("{}s", ANSWERS_WITHIN.as_secs());
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("query", &format!("ALERTS{{alertstate=\"firing\"}}[{seconds}s]"))
            .append_pair("time", &to.to_string())
            .append_pair("timeout", &timeout)
            .finish();
        let mut call = Call::post(&url, form.into_bytes(), ANSWERS_WITHIN)
            .header("Content-Type", "application/x-www-form-urlencoded");
        for (name, value) in &self.source.headers {
            call = call.header(name, value);
        }
        call.limit = Limit::Cut(MAX_ANSWER_BYTES);
        let answer =
            net::send(call).await.map_err(|error| format!("no answer from Prometheus: {error}"))?;
        if answer.cut {
            let megabytes = MAX_ANSWER_BYTES >> 20;
            return Ok(Asked::TooMuch(format!(
                "Prometheus answered more than {megabytes} MB for one minute of ALERTS"
            )));
        }
        if matches!(answer.status, 401 | 403) {
            return Err(format!(
                "Prometheus answered {}: it refuses the credentials; give them as `prometheus: {{ headers: … }}` in quell.yml",
                answer.status
            ));
        }
        let envelope: Envelope = serde_json::from_slice(&answer.body).map_err(|_| {
            format!("expected the answer of a Prometheus query, got {}", answer.describe())
        })?;
        if envelope.status != "success" {
            let error: String = envelope.error.chars().take(SHOWN).collect();
            let words =
                format!("Prometheus answered {} {}: {error}", answer.status, envelope.error_type);
            // an execution error may be the limit of samples, and a timeout may be the span
            return match answer.status {
                422 | 503 | 504 => Ok(Asked::TooMuch(words)),
                _ => Err(words),
            };
        }
        if let Some(warning) = envelope.warnings.first() {
            let warning: String = warning.chars().take(SHOWN).collect();
            return Ok(Asked::TooMuch(format!("the answer is partial: {warning}")));
        }
        match envelope.data {
            Some(data) if data.result_type == "matrix" => Ok(Asked::Series(data.result)),
            Some(data) => Err(format!("expected a matrix of ALERTS, got a {}", data.result_type)),
            None => Err("Prometheus answered success without data".into()),
        }
    }
}

/// From seconds since 1970, to the millisecond, which is what Prometheus keeps.
fn instant(seconds: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "as rounds, and saturates beyond")]
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

#[cfg(test)]
mod tests;
