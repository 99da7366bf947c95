//! Reads a metrics page: the text format 0.0.4 and OpenMetrics 1.0, strictly.
//!
//! A page that is not what its format says is an error with line and column, never a page with fewer
//! samples: a line dropped in silence would be missing evidence that looks like a healthy target.
//!
//! Sources: prometheus.io/docs/instrumenting/exposition_formats and prometheus.io/docs/specs/om. Both
//! formats take names of any UTF-8 text in quotes: `{"http.errors", "le gal"="x"} 1`.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::model::labels::Labels;

use line::Line;

mod line;

/// Which format a page is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `text/plain; version=0.0.4`: timestamps in milliseconds.
    Text,
    /// `application/openmetrics-text`: timestamps in seconds, exemplars, `# EOF` at the end.
    OpenMetrics,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// Name of the metric, with suffixes such as `_bucket`.
    pub(super) name: String,
    /// Labels without the name.
    pub(super) labels: Labels,
    /// Value; may be NaN or infinite.
    pub(super) value: f64,
    /// Its own timestamp, when it has one.
    pub(super) at: Option<Timestamp>,
}

/// Where a page breaks its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// What was expected.
    pub(super) message: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

/// Types that a `# TYPE` line may give: those of both formats, since exporters mix them.
const TYPES: [&str; 9] = [
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "stateset",
    "info",
    "unknown",
    "untyped",
];

/// Reads all samples of a page, in its order.
pub(super) fn parse(page: &str, format: Format) -> Result<Vec<Sample>, Broken> {
    let mut samples = Vec::new();
    let mut ended = false;
    let mut count = 0;
    // the line feed after the last line belongs to it; Prometheus reads a page without it too
    for text in page.strip_suffix('\n').unwrap_or(page).split('\n') {
        count += 1;
        let mut line = Line::new(text, count);
        if ended {
            return Err(line.broken("nothing may follow `# EOF`"));
        }
        match format {
            Format::Text => samples.extend(text_line(&mut line)?),
            Format::OpenMetrics if text == "# EOF" => ended = true,
            Format::OpenMetrics => samples.extend(open_metrics_line(&mut line)?),
        }
    }
    if format == Format::OpenMetrics && !ended {
        return Err(Broken {
            line: count,
            column: 1,
            message: "the page is not whole: it must end with `# EOF`".into(),
        });
    }
    Ok(samples)
}

/// Empty, a comment, `# HELP`, `# TYPE`, or a sample. Tokens may have any blanks between them.
fn text_line(line: &mut Line<'_>) -> Result<Option<Sample>, Broken> {
    line.blanks();
    if line.at_end() {
        return Ok(None);
    }
    if line.eat('#') {
        line.blanks();
        let word = line.word();
        line.blanks();
        if !matches!(word, "HELP" | "TYPE") || line.at_end() {
            return Ok(None);
        }
        name_in_comment(line)?;
        if word == "TYPE" {
            line.blanks();
            kind(line)?;
            line.blanks();
            line.end()?;
        }
        return Ok(None);
    }
    let (name, labels) = series(line, Format::Text)?;
    if line.blanks() == 0 {
        return Err(line.broken("expected a space and a value"));
    }
    let value = value(line)?;
    line.blanks();
    let at = if line.at_end() { None } else { Some(milliseconds(line)?) };
    line.blanks();
    line.end()?;
    Ok(Some(Sample { name, labels, value, at }))
}

/// `# HELP`, `# TYPE`, `# UNIT` or a sample. Tokens have exactly one space between them, and there are
/// neither empty lines nor other comments.
fn open_metrics_line(line: &mut Line<'_>) -> Result<Option<Sample>, Broken> {
    if line.eat('#') {
        line.space()?;
        let before = line.clone();
        match line.word() {
            "HELP" | "UNIT" => {
                line.space()?;
                name_in_comment(line)?;
                if !line.at_end() {
                    line.space()?;
                }
            }
            "TYPE" => {
                line.space()?;
                name_in_comment(line)?;
                line.space()?;
                kind(line)?;
                line.end()?;
            }
            _ => return Err(before.broken("expected HELP, TYPE, UNIT or EOF")),
        }
        return Ok(None);
    }
    if line.at_end() {
        return Err(line.broken("OpenMetrics has no empty lines"));
    }
    let (name, labels) = series(line, Format::OpenMetrics)?;
    line.space()?;
    let value = value(line)?;
    let mut at = None;
    if !line.at_end() {
        line.space()?;
        if !line.rest().starts_with('#') {
            at = Some(seconds(line)?);
            if !line.at_end() {
                line.space()?;
            }
        }
        if line.eat('#') {
            exemplar(line)?;
        }
    }
    line.end()?;
    Ok(Some(Sample { name, labels, value, at }))
}

/// ` {trace_id="x"} 0.5 1700000000.1` after the `#`: checked, and not used.
fn exemplar(line: &mut Line<'_>) -> Result<(), Broken> {
    line.space()?;
    if !line.eat('{') {
        return Err(line.broken("expected `{` and the labels of an exemplar"));
    }
    let (name, _) = labels(line, Format::OpenMetrics)?;
    if name.is_some() {
        return Err(line.broken("an exemplar has no name"));
    }
    line.space()?;
    value(line)?;
    if !line.at_end() {
        line.space()?;
        seconds(line)?;
    }
    Ok(())
}

/// A name, labels, or both; the name may stand quoted among the labels.
fn series(line: &mut Line<'_>, format: Format) -> Result<(String, Labels), Broken> {
    let begin = line.clone();
    let bare = line.name(true);
    let after_name = line.clone();
    if format == Format::Text {
        line.blanks();
    }
    if !line.eat('{') {
        // the blanks before a value are the caller's
        *line = after_name;
        return match bare {
            "" => Err(line.broken("expected a metric name")),
            name => Ok((name.to_owned(), Labels::default())),
        };
    }
    let (quoted, labels) = labels(line, format)?;
    match (bare, quoted) {
        ("", None) => Err(begin.broken("this sample has no metric name")),
        ("", Some(name)) => Ok((name, labels)),
        (name, None) => Ok((name.to_owned(), labels)),
        (_, Some(_)) => Err(begin.broken("this sample has two metric names")),
    }
}

/// Labels up to and with the `}`, and the metric name when it stands among them.
fn labels(line: &mut Line<'_>, format: Format) -> Result<(Option<String>, Labels), Broken> {
    let blanks = |line: &mut Line<'_>| {
        if format == Format::Text {
            line.blanks();
        }
    };
    let mut metric = None;
    let mut labels = Labels::default();
    let mut names = BTreeSet::new();
    blanks(line);
    if line.eat('}') {
        return Ok((metric, labels));
    }
    loop {
        let begin = line.clone();
        let quoted = line.rest().starts_with('"');
        let name = if quoted { line.quoted(format)? } else { line.name(false).to_owned() };
        if name.is_empty() {
            return Err(begin.broken("expected a label name"));
        }
        blanks(line);
        if line.eat('=') {
            blanks(line);
            let value = line.quoted(format)?;
            if !names.insert(name.clone()) {
                return Err(begin.broken(&format!("label `{name}` is given twice")));
            }
            labels.set(name, value);
        } else if quoted && metric.is_none() {
            metric = Some(name);
        } else {
            return Err(line.broken("expected `=`"));
        }
        blanks(line);
        if line.eat('}') {
            return Ok((metric, labels));
        }
        if !line.eat(',') {
            return Err(line.broken("expected `,` or `}`"));
        }
        blanks(line);
        // the text format allows a comma after the last label
        if format == Format::Text && line.eat('}') {
            return Ok((metric, labels));
        }
    }
}

/// The metric name of a `#` line, bare or quoted.
fn name_in_comment(line: &mut Line<'_>) -> Result<(), Broken> {
    if line.rest().starts_with('"') {
        line.quoted(Format::Text)?;
    } else if line.name(true).is_empty() {
        return Err(line.broken("expected a metric name"));
    }
    Ok(())
}

fn kind(line: &mut Line<'_>) -> Result<(), Broken> {
    let begin = line.clone();
    let word = line.word();
    if TYPES.contains(&word) {
        return Ok(());
    }
    Err(begin.broken(&format!("`{word}` is no metric type; expected {}", TYPES.join(", "))))
}

/// A number as both formats write it. Rust reads `nan`, `inf` and `infinity` in any case, with a sign, as
/// Go does.
fn value(line: &mut Line<'_>) -> Result<f64, Broken> {
    let begin = line.clone();
    let word = line.word();
    word.parse().map_err(|_| begin.broken(&format!("expected a number, not `{word}`")))
}

fn milliseconds(line: &mut Line<'_>) -> Result<Timestamp, Broken> {
    let begin = line.clone();
    let word = line.word();
    let time = word.parse().ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    time.ok_or_else(|| {
        begin.broken(&format!("expected a time in whole milliseconds, not `{word}`"))
    })
}

fn seconds(line: &mut Line<'_>) -> Result<Timestamp, Broken> {
    let begin = line.clone();
    let word = line.word();
    let time = word
        .parse()
        .ok()
        .and_then(|time| jiff::SignedDuration::try_from_secs_f64(time).ok())
        .and_then(|time| Timestamp::from_duration(time).ok());
    time.ok_or_else(|| begin.broken(&format!("expected a time in seconds, not `{word}`")))
}

#[cfg(test)]
mod tests;
