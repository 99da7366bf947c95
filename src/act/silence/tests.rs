use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use tokio::net::TcpListener;

use super::Server as Asking;
use super::*;
use crate::exec;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;
use crate::model::action::Span;

const LONG: Duration = Duration::from_secs(20);

/// A real Alertmanager.
struct Real {
    endpoint: Endpoint,
    _process: Running,
    _directory: tempfile::TempDir,
}

impl Real {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        loop {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = free.local_addr().unwrap().to_string();
            drop(free);
            if let Some(process) = launch(directory.path(), &address).await {
                let endpoint =
                    Endpoint { url: format!("http://{address}"), headers: BTreeMap::new() };
                return Self { endpoint, _process: process, _directory: directory };
            }
        }
    }

    async fn silences(&self) -> Vec<Listed> {
        let server = Asking::new(LONG, Some(&self.endpoint)).unwrap();
        parse(&server.read("/api/v2/silences").await.unwrap().unwrap()).unwrap()
    }

    async fn state(&self, id: &str) -> String {
        let all = self.silences().await;
        all.into_iter().find(|it| it.id == id).unwrap().status.state
    }
}

/// `None` when another process took the port meanwhile.
async fn launch(directory: &Path, address: &str) -> Option<Running> {
    let config = directory.join("alertmanager.yml");
    let text = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
    std::fs::write(&config, text).unwrap();
    let argv = vec![
        "prometheus-alertmanager".to_owned(),
        format!("--config.file={}", config.display()),
        format!("--storage.path={}", directory.join("data").display()),
        format!("--web.listen-address={address}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let mut process = exec::start_to(&Spawn { argv, ..Spawn::default() }, Output::Drop)
        .unwrap_or_else(|error| {
            panic!("install prometheus-alertmanager: tests/run does it ({error})")
        });
    let deadline = Instant::now() + LONG;
    let ready = format!("http://{address}/-/ready");
    while !net::send(Call::get(&ready, LONG)).await.is_ok_and(|answer| answer.is_success()) {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "Alertmanager does not answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Some(process)
}

fn silence(matchers: &[&str], lasts: &str) -> Silence {
    Silence {
        matchers: matchers.iter().map(ToString::to_string).collect(),
        lasts: Span(lasts.into()),
        comment: "while it is restarted".into(),
        ends_at: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "Alertmanager goes by the time of the machine")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn prepared(silence: &Silence, key: &str) -> (Silence, Unsilence) {
    let Prepared { action, previous } = prepare(silence, key, now()).unwrap();
    let (Action::Silence(silence), Some(Action::Unsilence(end))) = (action, previous) else {
        panic!()
    };
    (silence, end)
}

fn done(outcome: Outcome) -> (String, Value) {
    let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
    (summary, output)
}

#[tokio::test]
async fn a_silence_is_made_once_for_a_key_and_what_takes_it_back_finds_it() {
    let server = Real::start().await;
    let at = Some(&server.endpoint);
    let wanted = silence(&["alertname=\"HighErrorRate\"", "service=~\"a|b\"", "env!=dev"], "10m");
    let (it, end_it) = prepared(&wanted, "r-1/2");
    let (summary, output) = done(perform(&it, "r-1/2", LONG, at).await);
    assert!(summary.starts_with("silenced until 20"), "{summary}");
    let id = output["id"].as_str().unwrap().to_owned();
    assert_eq!(server.state(&id).await, "active");

    // again with the same key: nothing more
    let (summary, output) = done(perform(&it, "r-1/2", LONG, at).await);
    assert_eq!(
        (summary, output["id"].as_str().unwrap()),
        (format!("silence {id} was made before"), &*id)
    );
    let all = server.silences().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].comment, "while it is restarted [quell r-1/2]");
    let differs = all[0].ends_at.duration_since(it.ends_at.unwrap()).abs();
    assert!(differs < SignedDuration::from_secs(1), "{differs}");

    // another key is another silence, and stays
    let (other, _) = prepared(&wanted, "r-1/22");
    let (_, output) = done(perform(&other, "r-1/22", LONG, at).await);
    let other = output["id"].as_str().unwrap().to_owned();
    assert_eq!(done(end(&end_it, LONG, at).await).1, json!({ "ended": [id] }));
    assert_eq!(
        (server.state(&id).await, server.state(&other).await),
        ("expired".into(), "active".into())
    );

    // ended twice is ended; and one that was ended is not made again by a repeat
    assert_eq!(done(end(&end_it, LONG, at).await).1, json!({ "ended": [] }));
    let outcome = perform(&it, "r-1/2", LONG, at).await;
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "the silence was made before, and somebody ended it");

    let by_id = |id: &str| Unsilence { id: id.into(), made_by: None };
    assert_eq!(done(end(&by_id(&other), LONG, at).await).1, json!({ "ended": [other] }));
    let unheard = "00000000-0000-0000-0000-000000000000";
    assert_eq!(done(end(&by_id(unheard), LONG, at).await).1, json!({ "ended": [] }));
}

#[tokio::test]
async fn what_a_person_silenced_is_left_alone() {
    let server = Real::start().await;
    let mine = Asking::new(LONG, Some(&server.endpoint)).unwrap();
    let body = json!({
        "matchers": [{ "name": "a", "value": "b", "isRegex": false, "isEqual": true }],
        "startsAt": now(), "endsAt": now() + SignedDuration::from_hours(1),
        "createdBy": "dana", "comment": "[quell r-1/2]",
    });
    let answer = mine.send("POST", "/api/v2/silences", Some(&body)).await.unwrap();
    let made: Value = serde_json::from_slice(&answer.body).unwrap();
    let id = made["silenceID"].as_str().unwrap();
    let by_id = Unsilence { id: id.into(), made_by: None };
    let outcome = end(&by_id, LONG, Some(&server.endpoint)).await;
    let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("was made by \"dana\": quell ends only what it made"), "{reason}");
    let by_key = Unsilence { id: String::new(), made_by: Some("r-1/2".into()) };
    assert_eq!(done(end(&by_key, LONG, Some(&server.endpoint)).await).1, json!({ "ended": [] }));
    assert_eq!(server.state(id).await, "active");
}

#[test]
fn a_silence_is_bounded_and_never_of_everything() {
    for (matchers, lasts, words) in [
        (&["service=\"a\""][..], "25h", "a silence lasts at most 1d, got 1d1h"),
        (&["service=\"a\""], "0s", "a silence lasts at most 1d, got 0s"),
        (&["service=\"a\""], "soon", "`for`: "),
        (&[], "5m", "needs at least one matcher with `=`"),
        (&["service=~\".*\""], "5m", "needs at least one matcher with `=`"),
        (&["service=\"\"", "a!=b"], "5m", "needs at least one matcher with `=`"),
        // a value that tries to be more than a value
        (&["service=\"a\",env=\"b\""], "5m", "is no matcher"),
        (&["service=\"a\"\"b\""], "5m", "is no matcher"),
        (&["service"], "5m", "is no matcher"),
    ] {
        let outcome = prepare(&silence(matchers, lasts), "r-1/2", now()).unwrap_err();
        let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(words), "{reason}");
    }
}

#[tokio::test]
async fn without_an_alertmanager_nothing_is_done() {
    let (it, end_it) = prepared(&silence(&["a=b"], "5m"), "r-1/2");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let nobody = Endpoint { url, headers: BTreeMap::new() };
    for (at, again, words) in [
        (None, false, "there is no `alertmanager` in quell.yml"),
        (Some(&nobody), true, "no answer"),
    ] {
        for outcome in [perform(&it, "r-1/2", LONG, at).await, end(&end_it, LONG, at).await] {
            let Outcome::Failed { reason, retryable } = outcome else { panic!("{outcome:?}") };
            assert!(reason.contains(words) && retryable == again, "{reason}");
        }
    }
}
