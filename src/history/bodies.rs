//! From recorded webhook bodies: a file with one body, or one a line. A line is a body, or an object
//! `{"at": "2026-01-05T10:00:00Z", "body": {…}}` with the time of its arrival; without a time, a body arrived when
//! the latest thing that it tells of had happened, and never before the body above it.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Chunk;
use super::Transition;
use crate::model::alert::AlertStatus;
use crate::webhook;

/// Bodies of one chunk.
const CHUNK_LINES: usize = 2000;
/// Longest line; Alertmanager's bodies are unlimited, and 2,000 alerts are 1.4 MB (`protocols.md §1`, Size).
const MAX_LINE_BYTES: u64 = 64 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("{file} cannot be read: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// What a line holds is no body.
    #[error("{file}:{line}: {reason}")]
    NotABody {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// Reads files one after another.
#[derive(Debug)]
pub struct Reader {
    files: Vec<PathBuf>,
    open: Option<Open>,
    last: Timestamp,
    bytes: u64,
    read: u64,
    /// Bodies read.
    pub bodies: usize,
}

#[derive(Debug)]
struct Open {
    name: String,
    line: usize,
    from: BufReader<File>,
}

/// A line with its time of arrival.
#[derive(Deserialize)]
struct Arrived<'a> {
    at: Timestamp,
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Reader {
    /// Opens nothing yet; the files are read in this order.
    pub fn new(mut files: Vec<PathBuf>) -> Self {
        let bytes = files.iter().filter_map(|it| it.metadata().ok()).map(|it| it.len()).sum();
        files.reverse();
        Self { files, open: None, last: Timestamp::MIN, bytes, read: 0, bodies: 0 }
    }

    /// The next transitions; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Chunk>, Unusable> {
        let mut transitions = Vec::new();
        let mut lines = 0;
        while lines < CHUNK_LINES {
            if self.open.is_none() {
                let Some(file) = self.files.pop() else { break };
                self.open = Some(open(&file)?);
            }
            let Some(from) = &mut self.open else { break };
            let Some(text) = next_text(from)? else {
                self.open = None;
                continue;
            };
            lines += 1;
            self.bodies += 1;
            self.read += text.len() as u64;
            let found = body(&text, self.last).map_err(|reason| Unusable::NotABody {
                file: from.name.clone(),
                line: from.line,
                reason,
            })?;
            self.last = found.iter().map(|it| it.at).max().unwrap_or(self.last).max(self.last);
            transitions.extend(found);
        }
        if lines == 0 {
            return Ok(None);
        }
        #[expect(clippy::cast_precision_loss, reason = "a part for a progress bar")]
        let done = (self.read as f64 / self.bytes.max(1) as f64).min(1.0);
        Ok(Some(Chunk { transitions, until: self.last, done }))
    }
}

fn open(file: &Path) -> Result<Open, Unusable> {
    let name = file.display().to_string();
    match File::open(file) {
        Ok(handle) => Ok(Open { name, line: 0, from: BufReader::new(handle) }),
        Err(error) => Err(Unusable::Unreadable { file: name, error }),
    }
}

/// The next text that may be a body: a line, or the whole file when it is one indented JSON value.
fn next_text(open: &mut Open) -> Result<Option<Vec<u8>>, Unusable> {
    let broken =
        |name: &str, error: io::Error| Unusable::Unreadable { file: name.to_owned(), error };
    loop {
        let mut text = Vec::new();
        let taken = (&mut open.from)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut text)
            .map_err(|error| broken(&open.name, error))?;
        if taken == 0 {
            return Ok(None);
        }
        open.line += 1;
        if text.trim_ascii().is_empty() {
            continue;
        }
        // written by people or `jq`: the first line is only a brace
        if open.line == 1 && matches!(webhook::without_mark(&text).trim_ascii(), b"{" | b"[") {
            (&mut open.from)
                .take(MAX_LINE_BYTES)
                .read_to_end(&mut text)
                .map_err(|error| broken(&open.name, error))?;
        }
        return Ok(Some(text));
    }
}

/// The transitions of one body, all at its time of arrival.
fn body(text: &[u8], not_before: Timestamp) -> Result<Vec<Transition>, String> {
    let (at, body): (Option<Timestamp>, Cow<'_, [u8]>) =
        match serde_json::from_slice::<Arrived<'_>>(webhook::without_mark(text)) {
            Ok(arrived) => (Some(arrived.at), Cow::Borrowed(arrived.body.get().as_bytes())),
            Err(_) => (None, Cow::Borrowed(text)),
        };
    // with an end in the past of the end of time, an alert without a status has resolved
    let delivery = webhook::delivery(&body, String::new(), at.unwrap_or(Timestamp::MAX))
        .map_err(|refused| refused.to_string())?;
    let told = delivery.alerts.iter().filter_map(|it| it.ends_at.or(it.starts_at)).max();
    let Some(at) = at.or(told).map(|at| at.max(not_before)) else {
        if delivery.alerts.is_empty() {
            return Ok(Vec::new());
        }
        return Err(
            "no time is known: expected startsAt in an alert, or {\"at\": TIME, \"body\": …}"
                .into(),
        );
    };
    let truncated = delivery.truncated;
    let mut found: Vec<Transition> =
        delivery.alerts.into_iter().map(|alert| Transition { at, alert, truncated }).collect();
    found.sort_by_key(|it| it.alert.status == AlertStatus::Firing);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(files: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (index, text) in files.iter().enumerate() {
            let path = folder.path().join(format!("{index}.json"));
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        let mut reader = Reader::new(paths);
        let mut lines = Vec::new();
        loop {
            match reader.read() {
                Ok(Some(chunk)) => lines.extend(chunk.transitions.iter().map(|it| {
                    let status = it.alert.status;
                    format!("{} {status:?} {} {}", it.at, it.alert.labels, it.truncated)
                })),
                Ok(None) => return Ok(lines),
                Err(error) => {
                    let folder = format!("{}/", folder.path().display());
                    return Err(error.to_string().replace(&folder, ""));
                }
            }
        }
    }

    const FIRING: &str = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"2026-01-05T10:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}"#;
    const RESOLVED: &str = r#"{"version":"4","truncatedAlerts":2,"alerts":[{"status":"resolved","labels":{"alertname":"A"},"startsAt":"2026-01-05T10:00:00Z","endsAt":"2026-01-05T10:05:00Z"}]}"#;

    #[test]
    fn bodies_of_one_a_line_arrive_when_what_they_tell_of_had_happened() {
        let expected = [
            "2026-01-05T10:00:00Z Firing A 0",
            "2026-01-05T10:05:00Z Resolved A 2",
            // never before the one above it
            "2026-01-05T10:05:00Z Firing A 0",
        ];
        let text = format!("{FIRING}\n\n{RESOLVED}\n{FIRING}");
        assert_eq!(read(&[&text]).unwrap(), expected);
        assert_eq!(read(&[FIRING, &format!("{RESOLVED}\n{FIRING}\n")]).unwrap(), expected);
    }

    #[test]
    fn a_recorded_time_of_arrival_counts() {
        let line = format!(r#"{{"at":"2026-01-05T10:00:30Z","body":{FIRING}}}"#);
        assert_eq!(read(&[&line]).unwrap(), ["2026-01-05T10:00:30Z Firing A 0"]);
    }

    #[test]
    fn an_indented_body_is_one_body() {
        let value: serde_json::Value = serde_json::from_str(FIRING).unwrap();
        let text = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(read(&[&text]).unwrap(), ["2026-01-05T10:00:00Z Firing A 0"]);
    }

    #[test]
    fn what_is_no_body_is_named_by_file_and_line() {
        for (text, expected) in [
            (
                format!("{FIRING}\n{{\"text\":\"x\"}}"),
                "0.json:2: expected version \"4\" with an alerts array, got an object with keys text; a `payload:` in the receiver's webhook_config replaces the body: remove it",
            ),
            ("nonsense".into(), "0.json:1: not JSON: expected ident at line 1 column 2"),
            (
                r#"{"alerts":[{"labels":{"a":"b"}}]}"#.into(),
                "0.json:1: no time is known: expected startsAt in an alert, or {\"at\": TIME, \"body\": …}",
            ),
        ] {
            assert_eq!(read(&[&text]).unwrap_err(), expected, "{text}");
        }
        let mut reader = Reader::new(vec![PathBuf::from("missing.json")]);
        let error = reader.read().unwrap_err().to_string();
        assert!(error.starts_with("missing.json cannot be read: "), "{error}");
    }
}
