//! Writes a signed checkpoint where whoever can change the database cannot: a directory, an HTTP server, standard output.
//!
//! Each checkpoint has a name of its own, `checkpoint-000000000018`, and `latest` is the last. What is there already and says
//! something else is not written over.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::model::config::Anchor;
use crate::net;
use crate::net::Call;
use crate::net::Limit;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest part of an answer that is read, in bytes.
const MAX_ANSWER: usize = 4 << 10;
/// The name of the last checkpoint.
const LATEST: &str = "latest";

/// How writing a checkpoint went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchored {
    /// It is there.
    Done,
    /// It is not, for this reason; try again.
    Failed(String),
    /// What is there says something else.
    Contradicted(String),
    /// What is there is the checkpoint of a larger log.
    Older {
        /// Its leaves.
        there: u64,
    },
}

/// The name of the checkpoint of a log of this size.
fn name(size: u64) -> String {
    format!("checkpoint-{size:012}")
}

/// Writes the checkpoint of a log of this size.
pub async fn anchor(to: &Anchor, size: u64, note: &str) -> Anchored {
    match to {
        Anchor::Directory(folder) => {
            let (folder, note) = (folder.clone(), note.to_owned());
            let writing = tokio::task::spawn_blocking(move || write(&folder, size, &note));
            match writing.await {
                Ok(Ok(done)) => done,
                Ok(Err(error)) => Anchored::Failed(error.to_string()),
                Err(error) => Anchored::Failed(error.to_string()),
            }
        }
        Anchor::Http(url) => {
            for name in [name(size), LATEST.to_owned()] {
                if let Err(reason) = put(url.reveal(), &name, note).await {
                    return Anchored::Failed(reason);
                }
            }
            Anchored::Done
        }
        Anchor::Stdout => {
            let note = note.to_owned();
            let writing = tokio::task::spawn_blocking(move || {
                let mut out = io::stdout().lock();
                out.write_all(note.as_bytes()).and_then(|()| out.flush())
            });
            match writing.await {
                Ok(Ok(())) => Anchored::Done,
                Ok(Err(error)) => Anchored::Failed(error.to_string()),
                Err(error) => Anchored::Failed(error.to_string()),
            }
        }
    }
}

fn write(folder: &Path, size: u64, note: &str) -> io::Result<Anchored> {
    fs::create_dir_all(folder)?;
    let file = folder.join(name(size));
    if let Some(there) = read(&file)?
        && said(&there) != said(note)
    {
        let what = format!("{} says something else than the log", file.display());
        return Ok(Anchored::Contradicted(what));
    }
    let latest = folder.join(LATEST);
    if let Some(there) = read(&latest)?.as_deref().and_then(size_of).filter(|there| *there > size) {
        return Ok(Anchored::Older { there });
    }
    for file in [file, latest] {
        let fresh = folder.join(format!(".{}.new", name(size)));
        let mut new = fs::File::create(&fresh)?;
        new.write_all(note.as_bytes())?;
        new.sync_all()?;
        fs::rename(&fresh, file)?;
    }
    fs::File::open(folder)?.sync_all()?;
    Ok(Anchored::Done)
}

fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a note says, without its signatures.
fn said(note: &str) -> &str {
    note.rsplit_once("\n\n").map_or(note, |(text, _)| text)
}

fn size_of(note: &str) -> Option<u64> {
    note.split('\n').nth(1)?.parse().ok()
}

/// Any 2xx means that it is there. Of the URL only its place is shown: it may hold credentials.
async fn put(url: &str, name: &str, note: &str) -> Result<(), String> {
    let mut to = Url::parse(url).map_err(|_| "the URL cannot be read".to_owned())?;
    match to.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().push(name);
        }
        Err(()) => return Err("the URL has no path".to_owned()),
    }
    let call = Call {
        method: "PUT",
        body: Some(note.as_bytes().to_vec()),
        headers: vec![("content-type", "text/plain; charset=utf-8")],
        limit: Limit::Cut(MAX_ANSWER),
        ..Call::get(to.as_str(), TIMEOUT)
    };
    let place = net::place(url);
    match net::send(call).await {
        Ok(answer) if answer.is_success() => Ok(()),
        Ok(answer) => Err(format!("{place} answered {}", answer.status)),
        Err(failure) => Err(format!("{place}: {failure}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use axum::Router;
    use axum::http::Method;
    use axum::http::StatusCode;
    use axum::http::Uri;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::model::config::Secret;

    fn note(size: u64, root: &str) -> String {
        format!("quell\n{size}\n{root}\n\n\u{2014} quell c2ln\n")
    }

    #[tokio::test]
    async fn a_directory_keeps_each_checkpoint_and_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let to = Anchor::Directory(folder.path().join("anchor"));
        for (size, root) in [(3, "a"), (8, "b"), (8, "b")] {
            assert_eq!(anchor(&to, size, &note(size, root)).await, Anchored::Done);
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("anchor").join(name));
        assert_eq!(read("checkpoint-000000000003").unwrap(), note(3, "a"));
        assert_eq!(read("checkpoint-000000000008").unwrap(), note(8, "b"));
        assert_eq!(read(LATEST).unwrap(), note(8, "b"));
        assert_eq!(fs::read_dir(folder.path().join("anchor")).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn a_directory_that_says_something_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let to = Anchor::Directory(folder.path().to_owned());
        anchor(&to, 8, &note(8, "b")).await;
        let found = anchor(&to, 8, &note(8, "c")).await;
        let says = |what: &String| what.contains("says something else");
        assert!(matches!(&found, Anchored::Contradicted(what) if says(what)), "{found:?}");
        assert_eq!(anchor(&to, 5, &note(5, "a")).await, Anchored::Older { there: 8 });
        assert_eq!(fs::read_to_string(folder.path().join(LATEST)).unwrap(), note(8, "b"));
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-file");
        fs::write(&file, "").unwrap();
        let found = anchor(&Anchor::Directory(file), 8, &note(8, "b")).await;
        assert!(matches!(found, Anchored::Failed(_)), "{found:?}");
    }

    #[tokio::test]
    async fn an_http_server_is_sent_the_checkpoint_and_the_latest() {
        for (status, taken) in [(201, true), (302, false), (403, false), (500, false)] {
            let got: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
            let into = Arc::clone(&got);
            let answer = move |method: Method, uri: Uri, body: String| {
                into.lock().unwrap().push((format!("{method} {uri}"), body));
                async move { (StatusCode::from_u16(status).unwrap(), "hush-answer") }
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut server = JoinSet::new();
            server
                .spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
            let url = Secret::new(format!("http://{address}/bucket/hush?key=hush-key"));
            match anchor(&Anchor::Http(url), 8, &note(8, "b")).await {
                Anchored::Done => {
                    let put = |name: &str| format!("PUT /bucket/hush/{name}?key=hush-key");
                    let expected =
                        ["checkpoint-000000000008", LATEST].map(|it| (put(it), note(8, "b")));
                    assert_eq!(*got.lock().unwrap(), expected);
                    assert!(taken, "{status}");
                }
                Anchored::Failed(reason) => {
                    assert!(!taken && reason.ends_with(&format!("answered {status}")), "{reason}");
                    assert!(!reason.contains("hush"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
