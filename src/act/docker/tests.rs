use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::extract::Path as Part;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::routing::get;
use axum::routing::post;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::*;
use crate::model::action::Span;

const LONG: Duration = Duration::from_secs(20);

/// An engine on a socket that answers as Docker does; what a container does is said by the first part of its name.
struct Engine {
    asked: Asks,
    directory: tempfile::TempDir,
    _serving: JoinSet<()>,
}

type Asks = Arc<Mutex<Vec<String>>>;

impl Engine {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let asked = Asks::default();
        let router = Router::new()
            .route("/containers/{name}/json", get(inspect))
            .route("/containers/{name}/restart", post(restart))
            .with_state(Arc::clone(&asked));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { asked, directory, _serving: serving }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn inspect(State(asked): State<Asks>, Part(name): Part<String>) -> (StatusCode, String) {
    let stem = name.trim_start_matches("id-").split('-').next().unwrap().to_owned();
    let restarted = asked.lock().unwrap().iter().any(|it| it.contains(&stem));
    let (status, running, health) = match stem.as_str() {
        "gone" => {
            let said = json!({ "message": format!("No such container: {name}") });
            return (StatusCode::NOT_FOUND, said.to_string());
        }
        "crash" if restarted => ("exited", false, None),
        "loop" if restarted => ("restarting", true, None),
        "sick" => ("running", true, Some(json!({ "Status": "starting", "FailingStreak": 0 }))),
        _ => ("running", true, None),
    };
    let mut state = json!({
        "Status": status, "Running": running, "Paused": false, "ExitCode": if running { 0 } else { 3 },
        "StartedAt": "2026-01-05T10:00:00.123456789Z",
    });
    if let Some(health) = health {
        state["Health"] = health;
    }
    let id = format!("id-{stem}");
    (StatusCode::OK, json!({ "Id": id, "Name": format!("/{stem}"), "State": state }).to_string())
}

async fn restart(
    State(asked): State<Asks>,
    Part(name): Part<String>,
    uri: Uri,
) -> (StatusCode, String) {
    asked.lock().unwrap().push(uri.to_string());
    let said = |words: &str| json!({ "message": words }).to_string();
    match name.as_str() {
        "id-never" => std::future::pending().await,
        "id-cut" => panic!("the connection breaks"),
        "id-removed" => (StatusCode::NOT_FOUND, said("No such container: removed")),
        "id-refused" => (StatusCode::FORBIDDEN, said("authorization denied by plugin")),
        "id-busy" => (StatusCode::CONFLICT, said("container is marked for removal")),
        "id-broken" => (StatusCode::INTERNAL_SERVER_ERROR, said("Cannot restart container broken")),
        _ => (StatusCode::NO_CONTENT, String::new()),
    }
}

fn targets(socket: PathBuf) -> Targets {
    Targets { docker: BTreeMap::from([("web".to_owned(), socket)]), ..Targets::default() }
}

fn of(container: &str, grace: Option<&str>) -> DockerRestart {
    let grace = grace.map(|it| Span(it.to_owned()));
    DockerRestart { server: "web".into(), container: container.into(), grace }
}

#[tokio::test]
async fn a_restart_is_done_when_the_container_runs_and_says_how_it_is() {
    let engine = Engine::start();
    let targets = targets(engine.socket());
    let outcome = perform(&of("shop", None), LONG, &targets).await;
    let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
    assert_eq!(summary, "shop restarted: now running");
    let expected = json!({
        "id": "id-shop", "status": "running", "started_at": "2026-01-05T10:00:00.123456789Z", "health": null,
    });
    assert_eq!(output, expected);
    let outcome = perform(&of("sick", Some("15s")), LONG, &targets).await;
    let Outcome::Done { summary, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(summary, "sick restarted: now running, health starting");
    assert_eq!(engine.asked(), ["/containers/id-shop/restart", "/containers/id-sick/restart?t=15"]);
}

#[tokio::test]
async fn what_the_engine_says_no_to_was_not_done() {
    let engine = Engine::start();
    for (name, again, words) in [
        ("gone", false, "there is no container gone: No such container: gone"),
        ("removed", false, "No such container: removed"),
        ("busy", true, "the engine answered 409: container is marked for removal: now running"),
        ("broken", true, "the engine answered 500: Cannot restart container broken: now running"),
        ("crash", true, "restarted, but it does not run: exited with exit code 3"),
        ("loop", true, "restarted, but it does not run: restarting"),
    ] {
        let outcome = perform(&of(name, None), LONG, &targets(engine.socket())).await;
        let Outcome::Failed { reason, retryable } = outcome else { panic!("{outcome:?}") };
        assert!(reason.starts_with(name) && reason.contains(words), "{reason}");
        assert_eq!(retryable, again, "{reason}");
    }
    let outcome = perform(&of("refused", None), LONG, &targets(engine.socket())).await;
    let Outcome::Denied { reason, .. } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("authorization denied by plugin"), "{reason}");
}

#[tokio::test]
async fn a_restart_without_an_answer_is_unknown() {
    let engine = Engine::start();
    let targets = targets(engine.socket());
    let outcome = perform(&of("never", None), Duration::from_millis(400), &targets).await;
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("no answer within 400ms"), "{reason}");
    let outcome = perform(&of("cut", None), LONG, &targets).await;
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("nobody knows whether the engine restarted it"), "{reason}");
}

#[tokio::test]
async fn without_an_engine_a_name_or_time_enough_nothing_is_asked() {
    let engine = Engine::start();
    let here = targets(engine.socket());
    let nowhere = targets(engine.socket().with_extension("gone"));
    let outcome = perform(&of("shop", None), LONG, &nowhere).await;
    let Outcome::Failed { reason, retryable: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("nobody answers at"), "{reason}");
    for (action, words) in [
        (of("a/../../b", None), "expected the name or the identifier of a container"),
        (
            of("shop", Some("20s")),
            "a grace of 20s is not shorter than the timeout of the step, 20s",
        ),
        (of("shop", Some("soon")), "`grace`: "),
        (
            DockerRestart { server: "db".into(), ..of("shop", None) },
            "no server `db` in targets.docker",
        ),
    ] {
        let outcome = perform(&action, LONG, &here).await;
        let Outcome::Failed { reason, retryable: false } = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(words), "{reason}");
    }
    assert_eq!(engine.asked(), Vec::<String>::new());
}
