//! Requests to the API of a Kubernetes cluster.
//!
//! The kubeconfig, TLS and who quell is there are kube's; the stack around them is not the one of its client, which sends again by
//! itself what was refused for the moment, and keeps connections that the server may have closed: here a request is sent once, on a
//! connection of its own, so that [`Failure::sent`] says whether it may have had its effect. Objects are JSON, so that fields
//! that this version does not know survive.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use http::Request;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::Body;
use kube::client::ConfigExt;
use kube::client::RustlsTlsError;
use tokio::time::Instant;
use tower::BoxError;
use tower::ServiceBuilder;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::Answer;
use super::CONNECT_TIMEOUT;
use super::Failure;
use super::Limit;

mod config;

/// Where the API of a cluster is, and who quell is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// As a kubeconfig file says.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// Which of its contexts; silent means the current one.
        context: Option<String>,
    },
    /// The cluster that quell runs in, by the pod's service account.
    InCluster,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Below the server's URL, with a slash before it. Its parts are names of Kubernetes, which need no escape.
    pub path: &'a str,
    /// Escaped here.
    pub query: Vec<(&'a str, String)>,
    /// Content type and body.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// When the answer, its body included, must be there.
    pub deadline: Instant,
    /// How much of an answer is read.
    pub limit: Limit,
}

/// A way to one cluster.
type Way = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

/// A way that was made, and the state of the files that it was made of.
struct Known {
    made_of: Files,
    way: Way,
}

/// Files by path, with what tells that they were changed; `None` is one that cannot be read.
type Files = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

static KNOWN: Mutex<BTreeMap<Place, Arc<Known>>> = Mutex::new(BTreeMap::new());

/// Sends a request and reads the answer, whatever its status. A kubeconfig that cannot be used is [`Failure::Invalid`].
pub async fn send(place: &Place, ask: Ask<'_>) -> Result<Answer, Failure> {
    let began = Instant::now();
    let way = way(place).await?;
    let (deadline, limit) = (ask.deadline, ask.limit);
    let timeout = deadline.saturating_duration_since(began);
    let mut request = request(ask)?;
    let connection = capture_connection(&mut request);
    let answered = tokio::time::timeout_at(deadline, way.oneshot(request)).await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(why(&*error)),
        Err(_) if connection.connection_metadata().is_none() => {
            return Err(Failure::ConnectTimeout(timeout));
        }
        Err(_) => return Err(Failure::Timeout(timeout)),
    };
    let status = response.status().as_u16();
    if status == 401 {
        // what was read of the files may be old; whoever asks next reads them anew
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }
    let headers = response.headers().clone();
    let reading = read(response.into_body(), limit, status);
    let (body, cut) = match tokio::time::timeout_at(deadline, reading).await {
        Ok(read) => read?,
        Err(_) => return Err(Failure::Timeout(timeout)),
    };
    Ok(Answer { status, headers, body, cut, took: began.elapsed() })
}

/// The way to a cluster: the known one, unless a file that it was made of was changed.
async fn way(place: &Place) -> Result<Way, Failure> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned();
    if let Some(known) =
        known.filter(|it| it.made_of.iter().all(|(file, state)| look(file) == *state))
    {
        return Ok(known.way.clone());
    }
    let (config, files) = config::load(place).await.map_err(Failure::Invalid)?;
    // looked at after they were read would hide a change in between
    let way = make(&config).map_err(Failure::Invalid)?;
    let known = Arc::new(Known { made_of: files, way: way.clone() });
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), known);
    Ok(way)
}

/// The state of a file.
fn look(file: &Path) -> Option<(SystemTime, u64)> {
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// The stack: base URL, who quell is, TLS, one connection a request.
fn make(config: &Config) -> Result<Way, String> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https =
        config.rustls_https_connector_with_connector(http).map_err(|error| unusable(&error))?;
    let mut connector = TimeoutConnector::new(https);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let client = legacy::Client::builder(TokioExecutor::new())
        // a connection that the server closed meanwhile would make an effect's outcome unknown
        .pool_max_idle_per_host(0)
        .build(connector);
    let auth = config.auth_layer().map_err(|_| "its credential cannot be used".to_owned())?;
    let extra = config.extra_headers_layer().map_err(|_| "its `as` cannot be used".to_owned())?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .layer(extra)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(service.map_err(BoxError::from)))
}

/// Why certificates cannot be used, without a text of their files.
fn unusable(error: &kube::Error) -> String {
    match error {
        kube::Error::RustlsTls(RustlsTlsError::InvalidIdentityPem(_)) => {
            "its client certificate, or the key of it, is no PEM".into()
        }
        kube::Error::RustlsTls(error) => format!("its certificates cannot be used: {error}"),
        kube::Error::InferKubeconfig(_) => {
            "its client certificate, or the key of it, cannot be read".into()
        }
        _ => "its certificates cannot be used".into(),
    }
}

fn request(ask: Ask<'_>) -> Result<Request<Body>, Failure> {
    let mut uri = ask.path.to_owned();
    if !ask.query.is_empty() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&ask.query);
        uri = format!("{uri}?{}", query.finish());
    }
    let mut builder = Request::builder()
        .method(ask.method)
        .uri(uri)
        .header("user-agent", concat!("quell/", env!("CARGO_PKG_VERSION")))
        .header("accept", "application/json");
    let body = match ask.body {
        Some((kind, body)) => {
            builder = builder.header("content-type", kind);
            Body::from(body)
        }
        None => Body::empty(),
    };
    builder.body(body).map_err(|_| Failure::Invalid("the request could not be built".into()))
}

/// Reads a body up to its limit; says whether there was more.
async fn read(mut body: Incoming, limit: Limit, status: u16) -> Result<(Vec<u8>, bool), Failure> {
    let (max, refuse) = match limit {
        Limit::Refuse(max) => (max, true),
        Limit::Cut(max) => (max, false),
    };
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| why(&error).while_reading(status))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = max - read.len();
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return if refuse {
                Err(Failure::TooLarge { status, limit: max })
            } else {
                Ok((read, true))
            };
        }
    }
    Ok((read, false))
}

/// Why there is no answer. Only what failed while connecting was surely not sent.
fn why(error: &(dyn StdError + 'static)) -> Failure {
    let connecting = error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
    let io = super::failure::find(error, super::failure::io_kind);
    if let Some(reason) = super::failure::find(error, super::failure::tls).filter(|_| connecting) {
        return Failure::Tls(reason);
    }
    match io {
        Some(std::io::ErrorKind::ConnectionRefused) if connecting => Failure::Refused,
        Some(std::io::ErrorKind::TimedOut) if connecting => {
            Failure::ConnectTimeout(CONNECT_TIMEOUT)
        }
        Some(kind) if connecting => Failure::Connect(kind.to_string()),
        None if connecting => {
            Failure::Connect("its host has no address, or closed the connection".into())
        }
        Some(kind) => Failure::Lost(kind.to_string()),
        None => Failure::Lost("the server closed it before it had answered whole".into()),
    }
}
