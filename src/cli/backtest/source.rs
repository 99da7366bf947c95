//! Where the past is read from.

use std::time::Duration;

use jiff::Timestamp;

use super::Options;
use crate::cli::Place;
use crate::error::Error;
use crate::history::Chunk;
use crate::history::bodies;
use crate::history::episodes;
use crate::history::prometheus;
use crate::library::Library;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::net;
use crate::net::Call;

/// Episodes of one page.
const PAGE: u32 = 500;
/// Longest time for one page.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A history to read.
pub(super) struct Source {
    from: From,
    since: Timestamp,
    until: Timestamp,
}

enum From {
    Prometheus(Box<prometheus::Reader>, String),
    Bodies(bodies::Reader, usize),
    /// All episodes at once, and where they were.
    Episodes(Option<Chunk>, String, usize),
}

/// Opens the source that the options name.
pub(super) async fn open(
    at: &Place,
    options: &Options,
    library: &Library,
    since: Timestamp,
    until: Timestamp,
) -> Result<Source, Error> {
    let from = if !options.files.is_empty() {
        From::Bodies(bodies::Reader::new(options.files.clone()), options.files.len())
    } else if let Some(url) = &options.prometheus {
        let url = url.trim_end_matches('/').to_owned();
        let configured = library.config.prometheus.iter().flat_map(|it| &it.headers);
        let headers =
            configured.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
        let source = prometheus::Source {
            url: url.clone(),
            headers,
            since,
            until,
            gap: options.gap,
            labels: options.labels.iter().cloned().collect(),
        };
        From::Prometheus(Box::new(prometheus::Reader::new(source)), net::place(&url))
    } else if let Some(server) = &options.server {
        let url = server.trim_end_matches('/');
        let found = fetch(url, options.token.as_deref(), since).await?;
        episodes_of(&found, since, until, format!("the episodes of {}", net::place(url)))
    } else {
        let (_, store) = at.store().await?;
        let mut found = Vec::new();
        let mut cursor: Option<EpisodeId> = None;
        loop {
            let page =
                store.episodes(false, cursor, PAGE).await.map_err(crate::cli::store_error)?;
            cursor = page.last().map(|it| it.id);
            let end = page.len() < PAGE as usize || page.iter().all(|it| is_before(it, since));
            found.extend(page);
            if end {
                break;
            }
        }
        episodes_of(&found, since, until, "the episodes of the database".into())
    };
    Ok(Source { from, since, until })
}

/// Whether an episode, and with it those of a whole page older than it, ended before `since`.
fn is_before(episode: &Episode, since: Timestamp) -> bool {
    !episode.open && episode.ended_at.unwrap_or(episode.seen_at) < since
}

fn episodes_of(found: &[Episode], since: Timestamp, until: Timestamp, place: String) -> From {
    let transitions = episodes::transitions(found, since, until);
    From::Episodes(Some(Chunk { transitions, until, done: 1.0 }), place, found.len())
}

/// The episodes of a running quell, newest first.
async fn fetch(url: &str, token: Option<&str>, since: Timestamp) -> Result<Vec<Episode>, Error> {
    #[derive(serde::Deserialize)]
    struct Page {
        items: Vec<Episode>,
        next: Option<String>,
    }
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = format!("{url}/api/v1/episodes?limit={PAGE}{cursor}");
        let mut call = Call::get(&page, ANSWERS_WITHIN);
        if let Some(bearer) = &bearer {
            call = call.header("authorization", bearer);
        }
        let place = net::place(url);
        let answer = net::send(call).await.map_err(|failure| {
            Error::new("Q0702", format!("could not reach {place}: {failure}"))
                .hint("is `quell serve` running there? name another with --server")
        })?;
        if !answer.is_success() {
            let words = format!("{place} answered {}", answer.describe());
            return Err(Error::problems("Q0703", words).hint(
                "only loopback may read without an operator's token: give one with --token",
            ));
        }
        let page: Page = serde_json::from_slice(&answer.body).map_err(|error| {
            Error::problems(
                "Q0703",
                format!("{place} answered something else than episodes: {error}"),
            )
        })?;
        let end = page.items.iter().all(|it| is_before(it, since));
        found.extend(page.items);
        match page.next {
            Some(next) if !end => cursor = format!("&cursor={next}"),
            Some(_) | None => return Ok(found),
        }
    }
}

impl Source {
    /// The next transitions.
    pub(super) async fn read(&mut self) -> Result<Option<Chunk>, Error> {
        match &mut self.from {
            From::Prometheus(reader, _) => reader.read().await.map_err(|words| {
                Error::new("Q0621", words).hint(
                    "is the URL that of Prometheus itself, and does it keep ALERTS for that long?",
                )
            }),
            From::Bodies(reader, _) => reader.read().map_err(|error| {
                Error::new("Q0622", error.to_string())
                    .hint("expected webhook bodies, one a line, or {\"at\": TIME, \"body\": {…}}")
            }),
            From::Episodes(chunk, ..) => Ok(chunk.take()),
        }
    }

    /// The span that is asked for; recorded bodies have their own.
    pub(super) fn span(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        match self.from {
            From::Bodies(..) => (None, None),
            From::Prometheus(..) | From::Episodes(..) => (Some(self.since), Some(self.until)),
        }
    }

    /// In words: `24,811 samples of Prometheus at http://localhost:9090`.
    pub(super) fn describe(&self) -> String {
        use super::show::thousands;
        match &self.from {
            From::Prometheus(reader, place) => {
                format!("{} samples of Prometheus at {place}", thousands(reader.samples))
            }
            From::Bodies(reader, files) => {
                let plural = if *files == 1 { "" } else { "s" };
                format!(
                    "{} webhook bodies of {files} file{plural}",
                    thousands(reader.bodies as u64)
                )
            }
            From::Episodes(_, place, count) => {
                format!("{place}, {} in all", thousands(*count as u64))
            }
        }
    }
}
