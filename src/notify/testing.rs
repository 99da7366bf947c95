//! What the tests of the channels share: a notice, and servers on loopback that record what they get.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::Uri;
use axum::response::IntoResponse;
use axum::response::Response;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Links;
use crate::model::incident::IncidentId;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::labels::Labels;

/// The notice of `experience.md`, twelve minutes into an incident.
pub(super) fn notice(kind: NoticeKind) -> Notice {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    Notice {
        kind,
        incident: IncidentId(381),
        title: "api: HighErrorRate, critical".into(),
        severity: "critical".into(),
        headline: "Error rate 11.3 % (limit 5 %) on 2 of 12 pods.".into(),
        details: vec![
            "Proposes: roll back api from revision 41 to 40 (healthy for 6 days before).".into(),
            "Needs one person of tier 3 by 10:25.".into(),
        ],
        tried: vec!["restart at 10:02, did not help (11.8 % after 5 min)".into()],
        proposes: None,
        labels: Labels::from_iter([
            ("alertname", "HighErrorRate"),
            ("service", "api"),
            ("severity", "critical"),
        ]),
        opened_at: at("2026-01-05T10:00:00Z"),
        at: at("2026-01-05T10:12:00.25Z"),
    }
}

/// Links as the engine makes them.
pub(super) fn links() -> Links {
    Links {
        incident: "https://quell.example.com/incidents/i-381".into(),
        ack: Some("https://quell.example.com/act/TOKEN".into()),
        take: Some("https://quell.example.com/act/TAKE".into()),
        decide: None,
    }
}

prop_compose! {
    /// Any notice, with hostile text in every place that an alert can reach.
    pub(super) fn any_notice()(
        kind in prop::sample::select(vec![
            NoticeKind::Opened,
            NoticeKind::Progress,
            NoticeKind::NeedsYou,
            NoticeKind::Acknowledged,
            NoticeKind::Resolved,
        ]),
        title in hostile(),
        severity in hostile(),
        headline in hostile(),
        details in prop::collection::vec(hostile(), 0..4),
        tried in prop::collection::vec(hostile(), 0..4),
        labels in prop::collection::btree_map(hostile(), hostile(), 0..4),
    ) -> Notice {
        Notice {
            title,
            severity,
            headline,
            details,
            tried,
            labels: labels.into_iter().collect(),
            ..notice(kind)
        }
    }
}

/// Text with the pieces that do harm in Slack, in mail headers or in both.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<!channel>".to_owned()),
        Just("<@U024BE7LH>".to_owned()),
        Just("<https://evil.example|Acknowledge>".to_owned()),
        Just("\r\nBcc: evil@example.com\r\n\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("&lt;".to_owned()),
        Just("größe 🔥 ".to_owned()),
        Just("=?utf-8?b?Cg==?=".to_owned()),
        Just("x".repeat(4_000)),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// A request that a [`Server`] got.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: serde_json::Value,
}

/// An HTTP server on a loopback port that records requests and gives every one the same answer.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    got: Arc<Mutex<Vec<Got>>>,
    /// Stops the server when dropped.
    _serving: JoinSet<()>,
}

impl Server {
    pub(super) async fn answering(
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Self {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let (parts, ()) = answer.body(()).unwrap().into_parts();
        let body: String = body.into();
        let got = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&got);
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, text: Bytes| async move {
                into.lock().unwrap().push(Got {
                    method,
                    path: uri.to_string(),
                    headers,
                    body: if text.is_empty() {
                        serde_json::Value::Null
                    } else {
                        serde_json::from_slice(&text).unwrap()
                    },
                });
                (parts, body).into_response()
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, got, _serving: serving }
    }

    /// The one request it got.
    pub(super) fn only(&self) -> Got {
        let got = self.got.lock().unwrap();
        assert_eq!(got.len(), 1, "{got:#?}");
        got[0].clone()
    }

    /// How many requests it got.
    pub(super) fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

/// The headers of a mail, unfolded; panics where there is a line that is none.
pub(super) fn mail_headers(mail: &str) -> BTreeMap<String, String> {
    let (head, _) = mail.split_once("\r\n\r\n").expect("a mail has a body");
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{head:?}");
    let mut headers = BTreeMap::new();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} in {head:?}"));
        let twice = headers.insert(name.to_ascii_lowercase(), value.to_owned());
        assert_eq!(twice, None, "{name} twice");
    }
    headers
}
